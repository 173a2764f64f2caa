"""The production profile, alive: the nodes and balancers of deploy/compose/production.yml with files
that secrets.sh made, and a node with the configuration and the mounts of deploy/kubernetes/production."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import http.client
import json
import os
import shutil
import socket
import ssl
import subprocess
import time

import up
from checks import ROOT, check, eventually, get, passes
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

NAME = "app.example.com"
PAGE = f"https://{NAME}"
SECRETS = up.RUN / "secrets"
NODES = ["node-1", "node-2", "node-3"]
CLIENTS, PLAIN, BACKENDS = "8443", "8000", "9443"  # ports inside of a balancer
KUBERNETES = ROOT / "deploy/kubernetes/production"


def look():
    passes("secrets.sh makes what is missing", ROOT / "deploy/compose/secrets.sh", SECRETS, NAME)
    made = {path.name: path.read_bytes() for path in SECRETS.iterdir()}
    passes("secrets.sh, once more", ROOT / "deploy/compose/secrets.sh", SECRETS, NAME)
    check(made == {path.name: path.read_bytes() for path in SECRETS.iterdir()}, "and leaves what is there")
    check(SECRETS.stat().st_mode & 0o777 == 0o700, "in a folder of one user")
    key, table = made_key()
    laid_over = {
        "COMPOSE_FILE": "docker-compose.yml:deploy/compose/production.yml",
        "SECRETS": str(SECRETS),
        "ADDRESS": "127.0.0.1",
        "ROOMCAST__API_KEYS__SHOP__SHA256": table,
        "ROOMCAST__API_KEYS__SHOP__SCOPES": "publish read admin",
        "ROOMCAST__DRAIN__TOTAL": "1s",
        "ROOMCAST__DRAIN__PAUSE": "0s",
    }
    with environment(laid_over):
        described = up.Compose()
        try:
            for service in ["redis", *NODES]:
                up.start(described, service)
            nodes(described)
            for name, service in up.BALANCERS.items():
                up.start(described, service)
                eventually(lambda: answers(described, service), f"{name}: leads to a node by TLS")
                behind(name, described.published(service), key)
                up.end([service])
        finally:
            up.down()
    kubernetes(key, table)


@contextlib.contextmanager
def environment(more):
    """These variables, for a while."""
    before = dict(os.environ)
    os.environ |= more
    try:
        yield
    finally:
        os.environ.clear()
        os.environ |= before


def made_key():
    """An API key, and the digest that the configuration has."""
    printed = subprocess.check_output([up.PROGRAMS["roomcast"], "api-key", "shop", "--scopes", "publish read admin"], text=True)
    lines = printed.splitlines()
    return lines[0], next(line.split('"')[1] for line in lines if line.startswith("sha256"))


def token(secret=None, **claims):
    """A token as a backend signs it, without Roomcast's help."""
    secret = secret or (SECRETS / "token-secret").read_text().strip().encode()
    part = lambda data: base64.urlsafe_b64encode(data).rstrip(b"=")
    said = {"sub": "alice", "exp": int(time.time()) + 300, "rooms": {"chat:*": ["join", "publish"]}, **claims}
    signed = b".".join(part(json.dumps(value).encode()) for value in ({"alg": "HS256"}, said))
    return (signed + b"." + part(hmac.digest(secret, signed, hashlib.sha256))).decode()


def trust(authority="node-ca.crt"):
    return ssl.create_default_context(cafile=SECRETS / authority)


def asked(address, path, method="GET", body=None, name=NAME, **headers):
    """Status, headers and body of a request by TLS to that address, as to a host of this name."""
    host, port = address.rsplit(":", 1)
    connection = http.client.HTTPSConnection(name, timeout=10)
    try:
        connection.sock = trust().wrap_socket(socket.create_connection((host, int(port)), timeout=10), server_hostname=name)
        connection.request(method, path, body, {key.replace("_", "-"): value for key, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()
    except OSError as error:
        return 0, {}, str(error)
    finally:
        connection.close()


def code(answer):
    """Status and code of a problem."""
    status, _, body = answer
    return status, json.loads(body).get("code") if body.startswith("{") else body


def bearer(word):
    return {"Authorization": f"Bearer {word}"}


class Link:
    """A WebSocket of asyncio, called from outside of it.

    The library's client with threads is not used: it reads and writes one TLS stream from two threads at
    once, and of some hundred handshakes one then hears nothing (Python before 3.13 does not lock)."""

    def __init__(self, runner, opened):
        self.runner, self.opened = runner, opened

    def send(self, frame):
        self.runner.run(self.opened.send(json.dumps(frame)))

    def recv(self):
        return json.loads(self.runner.run(asyncio.wait_for(self.opened.recv(), 5)))

    @property
    def close_code(self):
        return self.opened.close_code


@contextlib.contextmanager
def linked(address, word=None, origin=PAGE, query=""):
    """A WebSocket as a page opens it: the token is a subprotocol."""
    host, port = address.rsplit(":", 1)
    protocols = ["roomcast.v1.json"] + ([f"roomcast.token.{word}"] if word else [])

    async def opened():
        return await connect(f"wss://{NAME}/ws{query}", host=host, port=int(port), ssl=trust(), origin=origin,
                             subprotocols=protocols, proxy=None)

    with asyncio.Runner() as runner:
        link = runner.run(opened())
        try:
            yield Link(runner, link)
        finally:
            runner.run(link.close())


def refused(address, **link):
    """The status that a WebSocket is refused with."""
    try:
        with linked(address, **link):
            return 101
    except InvalidStatus as error:
        return error.response.status_code, json.loads(error.response.body)["code"]


def answers(described, service):
    return asked(described.published(service)[CLIENTS], "/ws")[0] == 401


def nodes(described):
    """Each by itself, as the balancers and Prometheus reach it."""
    at = described.addresses["node-1"]
    check(code(asked(f"{at}:8080", "/ws", name="roomcast"))[1] == "no_token", "a node speaks TLS under the nodes' name")
    status, _, said = asked(f"{at}:8080", "/ws", name="other")
    check(status == 0 and "CERTIFICATE_VERIFY_FAILED" in said, "and has a certificate for no other", said)
    check(get(f"http://{at}:8080/")[0] == 400, "nothing in the clear on the clients' port")
    check(get(f"http://{at}:9100/health/ready")[0] == 200, "health is on the metrics' port")
    check(code(asked(f"{at}:8081", "/v1/bans", name="roomcast")) == (401, "no_token"), "the backends' port wants a key")


def behind(name, published, key):
    """What clients, foreign pages and backends get through a balancer."""
    clients, backends = published[CLIENTS], published[BACKENDS]
    status, headers, _ = get_plain(published[PLAIN], "/ws")
    check((status, headers.get("Location")) == (301, f"{PAGE}/ws"), f"{name}: plain HTTP leads to TLS", headers)
    check(code(asked(clients, "/ws")) == (401, "no_token"), f"{name}: no token, no entry")
    check(code(asked(clients, "/ws", **bearer(token(b"x" * 32)))) == (401, "bad_token"), f"{name}: another's token is refused")
    check(code(asked(clients, "/ws", **bearer(token(exp=int(time.time()) - 60)))) == (401, "expired_token"), f"{name}: an old token too")
    status, headers, _ = asked(clients, "/ws", Origin=PAGE, **bearer(token()))
    check((status, headers.get("Access-Control-Allow-Origin")) == (426, PAGE), f"{name}: the page may learn what an upgrade would get", headers)
    foreign = refused(clients, word=token(), origin="https://evil.example")
    check(foreign == (403, "bad_origin"), f"{name}: a page of another site is refused", foreign)
    check(refused(clients, word=token(b"x" * 32)) == (401, "bad_token"), f"{name}: a page with another's token too")
    check(asked(clients, "/")[0] == 404, f"{name}: no demo at /")
    status, headers, library = asked(clients, "/client.js")
    check((status, headers.get("Access-Control-Allow-Origin")) == (200, "*") and "export" in library,
          f"{name}: the client library, for pages of all origins", headers)
    check(asked(clients, "/metrics")[0] == 404, f"{name}: no metrics")
    check(code(asked(clients, "/v1/bans", **bearer(key))) == (404, "not_found"), f"{name}: no routes of backends where clients come")
    ticket(name, clients)
    with linked(clients, token()) as link:
        connected = link.recv()
        check(connected["user"] == "alice" and "expires" in connected, f"{name}: a good token is let in", connected)
        link.send({"type": "join", "id": 1, "room": "chat:1"})
        check(link.recv()["type"] == "joined", f"{name}: into the rooms that it names")
        link.send({"type": "join", "id": 2, "room": "other"})
        check(link.recv().get("code") == "forbidden", f"{name}: and into no others")
        path, message = "/v1/rooms/chat%3A1/messages", json.dumps({"data": name, "user": "bot"})
        wrong = asked(backends, path, "POST", message, **bearer(key + "x"))
        check(code(wrong) == (401, "bad_token"), f"{name}: a wrong API key is refused", wrong)
        status, _, body = asked(backends, path, "POST", message, **bearer(key))
        check(status == 200, f"{name}: a backend publishes", body)
        heard = link.recv()
        check((heard["user"], heard["data"]) == ("bot", name), f"{name}: and members hear it", heard)
        asked(backends, "/v1/disconnect", "POST", json.dumps({"user": "alice"}), **bearer(key))
        with contextlib.suppress(Exception):
            link.recv()
        check(link.close_code == 4502, f"{name}: and disconnects a user", link.close_code)
    check(asked(backends, "/ws")[0] == 404, f"{name}: where backends come there is nothing else")


def ticket(name, clients):
    """A page takes one; whichever nodes it then gets to, it is good once."""
    status, headers, body = asked(clients, "/v1/tickets", "POST", json.dumps({"token": token()}), Origin=PAGE)
    check((status, headers.get("Access-Control-Allow-Origin")) == (200, PAGE), f"{name}: a page takes a ticket", body)
    query = f"?ticket={json.loads(body)['ticket']}"
    with linked(clients, query=query) as link:
        check(link.recv()["user"] == "alice", f"{name}: a ticket lets in")
    again = refused(clients, query=query)
    check(again == (401, "spent_ticket"), f"{name}: and only once", again)


def get_plain(address, path):
    """Without following where it leads."""
    connection = http.client.HTTPConnection(address, timeout=10)
    connection.request("GET", path, headers={"Host": NAME})
    answer = connection.getresponse()
    connection.close()
    return answer.status, answer.headers, ""


def kubernetes(key, digest):
    """One node as a pod of the profile runs it; secrets are folders of links, exchanged as a whole."""
    folder = up.RUN / "kubernetes"
    shutil.rmtree(folder, ignore_errors=True)
    at = up.Compose().addresses["node-1"]
    pairs = {"tls": {"tls.crt": "tls.crt", "tls.key": "tls.key"}, "tokens": {"secret": "token-secret"}}
    for mount, files in pairs.items():
        mounted(folder / mount, "first", {name: SECRETS / source for name, source in files.items()})
    text = (KUBERNETES / "roomcast.toml").read_text().replace('"0.0.0.0:', f'"{at}:').replace("/run/secrets", str(folder))
    configuration = folder / "roomcast.toml"
    configuration.write_text(text.replace('redis_url = "redis://redis.redis.svc:6379"', ""))
    settings = {"ROOMCAST__API_KEYS__SHOP__SHA256": digest, "ROOMCAST__API_KEYS__SHOP__SCOPES": "read"}
    command = [up.PROGRAMS["roomcast"], "serve", "--config", configuration]
    with environment(settings), open(folder / "log", "w") as log:
        node = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        eventually(lambda: get(f"http://{at}:9100/health/ready")[0] == 200, "Kubernetes: the node is ready")
        check(code(asked(f"{at}:8080", "/ws", Origin=PAGE)) == (401, "no_token"), "Kubernetes: no token, no entry")
        check(code(asked(f"{at}:8080", "/ws", Origin=PAGE, **bearer(token()))) == (426, "upgrade_required"), "Kubernetes: a good token")
        check(code(asked(f"{at}:8080", "/v1/bans", **bearer(key))) == (404, "not_found"), "Kubernetes: no routes of backends where clients come")
        check(code(asked(f"{at}:8081", "/v1/bans", **bearer(key))) == (403, "forbidden"), "Kubernetes: backends come by their own port")
        for old in ("tls.crt", "tls.key"):
            (SECRETS / old).unlink()
        passes("secrets.sh makes a pair anew", ROOT / "deploy/compose/secrets.sh", SECRETS, NAME)
        before = certificate(f"{at}:8080")
        mounted(folder / "tls", "second", {name: SECRETS / name for name in pairs["tls"]})
        eventually(lambda: certificate(f"{at}:8080") not in ("", before), "Kubernetes: a renewed secret is taken by itself")
    finally:
        node.terminate()
        check(node.wait(timeout=70) == 0, "Kubernetes: the node ends with 0", (folder / "log").read_text())


def mounted(folder, version, files):
    """A secret as the kubelet mounts it: NAME → ..data/NAME, ..data → ..VERSION, exchanged in one step."""
    place = folder / f"..{version}"
    place.mkdir(parents=True)
    for name, source in files.items():
        (place / name).write_bytes(source.read_bytes())
    (folder / "..new").symlink_to(place.name)
    (folder / "..new").rename(folder / "..data")
    for name in files:
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")


def certificate(address):
    host, port = address.rsplit(":", 1)
    with contextlib.suppress(OSError):
        return ssl.get_server_certificate((host, int(port)))
    return ""
