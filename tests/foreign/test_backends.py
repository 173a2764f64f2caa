"""The backends in examples/, each against a node with authentication: a user logs in, takes a token and
comes in; what the backend publishes arrives; what it shuts out stays out; foreign tokens are refused."""

import asyncio
import base64
import json
import secrets
import sys
import urllib.error
import urllib.request

from client import ANSWER, JSON, Client
from documents import ROOT, blocks
from programs import Node, free_port, program
from test_documents import Output, Script, succeeds
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

ROOM = "chat:1"
ALICE, BOB, ROOT_USER = ("alice", "wonderland"), ("bob", "builder"), ("root", "secret")


async def test_backends_in_node(place):
    await backend(place, ["node", ROOT / "examples/backend-node/backend.mjs"])


async def test_backends_in_python(place):
    await backend(place, [sys.executable, "-B", ROOT / "examples/backend-python/backend.py"])


async def backend(place, command):
    secret = place.logs / "secret"
    secret.write_text(secrets.token_hex(32) + "\n")
    made = await succeeds(place, place.roomcast, "api-key", "shop", "--scopes", "publish admin")
    key, table = made.split("\n", 1)
    configuration = place.logs / "roomcast.toml"
    configuration.write_text(f'[auth]\nhs_secret_file = "{secret}"\n{table}')
    async with Node(place, "a", "--config", configuration) as node:
        port = free_port()
        settings = {"ROOMCAST_URL": node.url("http", ""), "ROOMCAST_SECRET_FILE": str(secret), "ROOMCAST_KEY": key, "PORT": str(port)}
        started = ["env", *(f"{name}={value}" for name, value in settings.items()), *command]
        async with program(started, place.logs / "backend.log", stdout=asyncio.subprocess.PIPE) as running:
            await Output(running.stdout).has(f"backend: http://127.0.0.1:{port}/")
            ask = Asking(f"http://127.0.0.1:{port}")
            await tokens(node, ask)
            await rooms(node, ask)
            await page(place, node, ask)
            await shut_out(node, ask)


class Asking:
    """Requests to the backend; an answer is its status and its body."""

    def __init__(self, url):
        self.url = url

    async def __call__(self, path, login=None, data=None):
        headers = {}
        if login:
            headers["Authorization"] = "Basic " + base64.b64encode(":".join(login).encode()).decode()
        body = json.dumps(data).encode()
        request = urllib.request.Request(self.url + path, body, headers, method="POST")
        return await asyncio.to_thread(self.answer, request)

    def answer(self, request):
        try:
            with urllib.request.urlopen(request, timeout=ANSWER) as answer:
                return answer.status, json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())


def opened(node, token):
    """A connection as a page opens it."""
    return connect(node.url(), subprotocols=[JSON, f"roomcast.token.{token}"], open_timeout=ANSWER, close_timeout=ANSWER)


async def refused(node, token):
    """Status and code that a token is refused with."""
    try:
        async with opened(node, token):
            return 101
    except InvalidStatus as error:
        return error.response.status_code, json.loads(error.response.body)["code"]


async def tokens(node, ask):
    for login in (None, ("alice", "wrong"), ("__proto__", ""), ("mallory", "")):
        assert (await ask("/token", login))[0] == 401, login
    status, answer = await ask("/token", ALICE)
    assert status == 200, answer
    header, claims, signature = answer["token"].split(".")
    forged = base64.urlsafe_b64encode(base64.urlsafe_b64decode(claims + "==").replace(b"alice", b"root!")).decode().rstrip("=")
    flipped = ("A" if signature[0] != "A" else "B") + signature[1:]
    for token in (f"{header}.{forged}.{signature}", f"{header}.{claims}.{flipped}"):
        assert await refused(node, token) == (401, "bad_token"), token
    async with opened(node, answer["token"]) as socket:
        connected = await Client(socket, JSON).frame("connected")
        assert (connected["user"], connected["expires"]) == ("alice", answer["expires"]), connected


async def rooms(node, ask):
    """What a user publishes by way of the backend arrives; what the token does not name is closed."""
    _, answer = await ask("/token", ALICE)
    async with opened(node, answer["token"]) as socket:
        alice = Client(socket, JSON)
        await alice.frame("connected")
        await alice.join(ROOM)
        status, stored = await ask("/rooms/chat%3A1", BOB, {"text": "hi"})
        assert (status, stored.get("seq")) == (200, 1), stored
        message = await alice.frame("message")
        assert (message["user"], message["data"]) == ("bob", {"text": "hi"}), message
        await alice.join("inbox:alice")
        await alice.send("join", id=9, room="inbox:bob")
        assert (await alice.frame("error"))["code"] == "forbidden"
        assert (await ask("/rooms/inbox:bob", ALICE, 1))[0] == 403


# A page of the backend has its user's session, and asks its own host.
PAGE = """
globalThis.WebSocket ??= (await import("ws")).default;
const backend = globalThis.fetch;
globalThis.fetch = (path, options) => backend("BACKEND" + path, { ...options, headers: { authorization: `Basic ${btoa("bob:builder")}` } });
"""


async def page(place, node, ask):
    """The program that the quickstart shows for a page, which refreshes its token sooner here."""
    *_, shown = blocks("js", page="docs/quickstart.md")
    text = PAGE.replace("BACKEND", ask.url) + shown.text.replace("127.0.0.1:8090", "127.0.0.1:8080").replace("300_000", "300")
    async with Script(place, node, "page", text) as printed:
        await printed.has("type: 'connected'", "user: 'bob'", "type: 'joined'", "type: 'refreshed'")
        assert (await ask("/rooms/chat:1", ALICE, "to the page"))[0] == 200
        await printed.has("data: 'to the page'")


async def shut_out(node, ask):
    _, alice = await ask("/token", ALICE)
    _, bob = await ask("/token", BOB)
    for path in ("/ban/bob", "/disconnect/bob"):
        assert (await ask(path, ALICE))[0] == 403, path
    async with opened(node, alice["token"]) as first, opened(node, bob["token"]) as second:
        status, answer = await ask("/disconnect/alice", ROOT_USER)
        assert status == 204, answer
        assert await Client(first, JSON).closed() == 4100
        async with opened(node, alice["token"]):
            status, answer = await ask("/ban/bob", ROOT_USER)
            assert status == 200 and answer["user"] == "bob", answer
            assert await Client(second, JSON).closed() == 4501
    assert await refused(node, bob["token"]) == (403, "banned")
    assert (await ask("/nothing", ALICE))[0] == 404
