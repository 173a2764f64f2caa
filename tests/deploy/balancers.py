"""What the balancers do: to whom clients stick, what they are told, whose word is believed."""

import contextlib
import json
import re
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from checks import check, eventually, get
from websockets.sync.client import connect

FORGED = "203.0.113.7"


def node(address, query="", **headers):
    """The name of the node that a WebSocket through this balancer leads to."""
    with connect(f"ws://{address}/ws{query}", additional_headers=headers, proxy=None) as link:
        return json.loads(link.recv(timeout=5))["node"]


def demo(address, page):
    """The statuses of some notifications by the key that the page shows, over whichever nodes."""
    key = re.search(r'name="roomcast-demo-key" content="(demo\.[\w-]+)"', page)[1]
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    statuses = set()
    for _ in range(6):
        request = urllib.request.Request(f"http://{address}/v1/users/alice/messages", b'{"data": 1}', headers)
        with contextlib.closing(urllib.request.urlopen(request, timeout=5)) as answer:
            statuses.add(answer.status)
    return statuses


def nodes(address, count):
    """The names of those that so many WebSockets at the same time lead to."""
    with contextlib.ExitStack() as links:
        opened = [links.enter_context(connect(f"ws://{address}/ws", proxy=None)) for _ in range(count)]
        return {json.loads(link.recv(timeout=5))["node"] for link in opened}


def http(nginx, haproxy):
    """While every node is ready."""
    for name, address in (("nginx", nginx), ("HAProxy", haproxy)):
        status, headers, page = get(f"http://{address}/")
        check(status == 200 and "Roomcast" in page, f"{name}: the page")
        check(demo(address, page) == {200}, f"{name}: the key of the page is good on every node")
        check(get(f"http://{address}/metrics")[0] == 404, f"{name}: no metrics")
        cookie = headers["Set-Cookie"].split(";")[0]
        stuck = {node(address, Cookie=cookie) for _ in range(8)}
        check(len(stuck) == 1, f"{name}: a cookie leads to one node", stuck)
        spread = nodes(address, 16)
        check(len(spread) > 1, f"{name}: without it one gets to several", spread)
    for user in ("alice", "bob"):
        stuck = {node(nginx, f"?user={user}") for _ in range(8)}
        check(len(stuck) == 1, f"nginx: {user} gets to one node", stuck)
    spread = {node(nginx, f"?user=user-{number}") for number in range(16)}
    check(len(spread) > 1, "nginx: users are spread", spread)


def tcp(described, nginx, haproxy):
    """Below HTTP, while every node is ready."""
    for name, address in (("nginx", nginx), ("HAProxy", haproxy)):
        stuck = {node(address) for _ in range(8)}
        check(len(stuck) == 1, f"{name} by TCP: upgrades, and an address leads to one node", stuck)
    around, _, said = get(f"http://{described.addresses['node-1']}:8080/")
    check(around == 0, "nobody gets around them: a node wants the PROXY header", said)


def away(described, nginx, haproxy):
    """When no node is there; then with one that tells what it was sent."""
    for name, address in (("nginx", nginx), ("HAProxy", haproxy)):
        eventually(lambda: get(f"http://{address}/")[0] == 503, f"{name}: 503 when every node is away")
        _, headers, body = get(f"http://{address}/ws")
        check(json.loads(body).get("code") == "no_node", f"{name}: and a problem in JSON", body)
        check(headers["Retry-After"] == "2", f"{name}: and Retry-After")
    standing = [stand_in(described.addresses["node-1"], port) for port in (8080, 9100)]
    for name, address in (("nginx", nginx), ("HAProxy", haproxy)):
        eventually(lambda: get(f"http://{address}/")[0] == 200, f"{name}: finds a node that is back")
        _, _, body = get(f"http://{address}/", **{"X-Forwarded-For": FORGED})
        check(json.loads(body).get("x-forwarded-for") == ["127.0.0.1"], f"{name}: a forged X-Forwarded-For does not pass", body)
    for server in standing:
        server.shutdown()
        server.server_close()


class Mirror(BaseHTTPRequestHandler):
    """Answers with what it was sent."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = json.dumps({name.lower(): self.headers.get_all(name) for name in self.headers}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def stand_in(address, port):
    server = ThreadingHTTPServer((address, port), Mirror)
    # Health checks hang up without a word.
    server.handle_error = lambda *_: None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
