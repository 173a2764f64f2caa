"""A backend for Roomcast with nothing but Python (3.9 or newer): it signs tokens for the users that are
logged in, publishes to rooms, and bans and disconnects users.

    ROOMCAST_SECRET_FILE=secret ROOMCAST_KEY=shop.… python3 backend.py

    POST /token              a token for the user who is logged in
    POST /rooms/ROOM         publishes the JSON of the body there, in the user's name
    POST /ban/USER           shuts the user out for an hour (administrators)
    POST /disconnect/USER    ends the user's connections; they may come back (administrators)
"""

import base64
import hmac
import json
import os
import random
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote, unquote
from urllib.request import Request, urlopen

URL = os.environ.get("ROOMCAST_URL", "http://127.0.0.1:8080")
KEY = os.environ["ROOMCAST_KEY"]
PORT = int(os.environ.get("PORT", "3000"))
# The secret that the nodes have too (auth.hs_secret_file): the first line is the present one.
SECRET = Path(os.environ["ROOMCAST_SECRET_FILE"]).read_text().splitlines()[0].strip()

TOKEN_SECONDS = 600  # Short: what a token allows is judged anew each time a client takes one.
BAN_SECONDS = 3600
ATTEMPTS = 5

# In the place of your own login and sessions, and of what keeps other sites' pages from using them:
# HTTP's basic authentication.
USERS = {"alice": "wonderland", "bob": "builder", "root": "secret"}
ADMINISTRATORS = {"root"}


def logged_in(headers):
    kind, _, basic = headers.get("Authorization", "").partition(" ")
    if kind != "Basic":
        return None
    name, _, password = base64.b64decode(basic).decode().partition(":")
    return name if USERS.get(name) == password else None


def sign_token(user):
    """A JWT by HS256: who the user is, until when, and what may be done in which rooms."""
    part = lambda data: base64.urlsafe_b64encode(data).rstrip(b"=")
    exp = int(time.time()) + TOKEN_SECONDS
    rooms = {"chat:*": ["join", "publish", "history"], "inbox:{sub}": ["join"]}
    claims = {"sub": user, "exp": exp, "rooms": rooms}
    signed = b".".join(part(json.dumps(value).encode()) for value in ({"alg": "HS256"}, claims))
    signature = part(hmac.digest(SECRET.encode(), signed, "sha256"))
    return {"token": f"{signed.decode()}.{signature.decode()}", "expires": exp * 1000}


def roomcast(path, body):
    """A request to Roomcast. 429 and 503 say when to come back; after 504, or without an answer, nobody
    knows whether the message is stored: sent again with the same key it is stored once."""
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json", "Idempotency-Key": str(uuid.uuid4())}
    request = Request(URL + path, json.dumps(body).encode(), headers, method="POST")
    for attempt in range(1, ATTEMPTS + 1):
        seconds, status, text = 0.2 * attempt, 502, b'{"code": "no_answer"}'
        try:
            with urlopen(request, timeout=10) as answer:
                return answer.status, json.loads(answer.read() or b"{}")
        except HTTPError as error:
            status, text = error.code, error.read()
            if status not in (429, 503, 504):
                break
            seconds = float(error.headers.get("Retry-After", seconds))
        except OSError:
            pass  # It may be starting.
        if attempt < ATTEMPTS:
            time.sleep(seconds * (1 + random.random()))
    return status, json.loads(text or b"{}")


ROUTES = {
    "token": lambda user, name, data: (200, sign_token(user)),
    "rooms": lambda user, name, data: roomcast(f"/v1/rooms/{quote(name, safe='')}/messages", {"data": data, "user": user}),
    "ban": lambda user, name, data: roomcast("/v1/bans", {"user": name, "seconds": BAN_SECONDS, "reason": "by an administrator"}),
    "disconnect": lambda user, name, data: roomcast("/v1/disconnect", {"user": name, "renew": True}),
}


class Backend(BaseHTTPRequestHandler):
    def do_POST(self):
        try:
            status, body = self.answer()
        except ValueError as error:
            status, body = 400, {"detail": str(error)}
        text = b"" if status == 204 else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def answer(self):
        word, _, name = unquote(self.path.lstrip("/")).partition("/")
        if word not in ROUTES:
            return 404, {}
        user = logged_in(self.headers)
        if not user:
            return 401, {}
        if word in ("ban", "disconnect") and user not in ADMINISTRATORS:
            return 403, {}
        # Your own rules: this user may write in the rooms of the chat.
        if word == "rooms" and not name.startswith("chat:"):
            return 403, {}
        length = int(self.headers.get("Content-Length", 0))
        if not 0 <= length <= 65_536:
            return 413, {}
        text = self.rfile.read(length)
        return ROUTES[word](user, name, json.loads(text) if word == "rooms" else None)


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", PORT), Backend)
    print(f"backend: http://127.0.0.1:{PORT}/", flush=True)
    server.serve_forever()
