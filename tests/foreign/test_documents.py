"""Every program that the documents show, run as they say; where it cannot run, it is parsed."""

import asyncio
import os
import re
import shutil
import tomllib
from pathlib import Path

from client import client
from documents import FENCE, HELD, PAGES, ROOT, blocks
from programs import START, Node, program

COMING_FROM = "docs/coming-from.md"
QUICKSTART = "docs/quickstart.md"
EXAMPLE = ROOT / "crates/client/examples/quickstart.rs"


async def test_documents_hold_no_block_unheld(place):
    unheld = [f"{block}: {block.kind!r}" for block in blocks() if block.kind not in HELD]
    assert not unheld, f"write a test, and name it in documents.py: {unheld}"
    assert len(blocks("js")) == 9, "a program came or went: run it below"


class Output:
    """What a program printed, line by line."""

    def __init__(self, stream):
        self.stream, self.lines = stream, []

    async def has(self, *wanted):
        """Waits until each of these is in a line of its own."""
        try:
            async with asyncio.timeout(START):
                while not all(any(want in line for line in self.lines) for want in wanted):
                    line = await self.stream.readline()
                    assert line, f"it ended after {self.lines}, without {wanted}"
                    self.lines.append(line.decode().rstrip())
        except TimeoutError:
            raise AssertionError(f"{wanted} did not come, only {self.lines}") from None


class Script:
    """A program for Node.js, beside the packages that npm installed (`ws`, where Node has no WebSocket)."""

    def __init__(self, place, node, name, text):
        folder = place.work / "npm/documents"
        folder.mkdir(exist_ok=True)
        self.path = folder / f"{name}.mjs"
        self.path.write_text(text.replace("127.0.0.1:8080", f"127.0.0.1:{node.port}"))
        self.run = program(["node", self.path], place.logs / f"{name}.log", stdout=asyncio.subprocess.PIPE)

    async def __aenter__(self):
        return Output((await self.run.__aenter__()).stdout)

    async def __aexit__(self, *ending):
        await self.run.__aexit__(*ending)


async def test_documents_coming_from(place):
    shared, socketio, service, pusher, backend, centrifugo = (block.text for block in blocks("js", page=COMING_FROM))
    key, table = (await succeeds(place, place.roomcast, "api-key", "shop", "--scopes", "publish")).split("\n", 1)
    configuration = place.logs / "node.toml"
    configuration.write_text(table)
    async with Node(place, "a", "--config", configuration) as node:
        # Also where the node comes only later.
        await node.stop()
        async with Script(place, node, "socketio", shared + socketio) as shown:
            await asyncio.sleep(0.5)
            await node.start()
            await shown.has("hi", "sent as 1")
            await node.stop()
            await node.start()
            await shown.has("started again; lost: 1")
        async with client(node, user="ann") as ann, Script(place, node, "service", shared + service):
            await ann.join("support")
            await answered(ann)
        async with Script(place, node, "pusher", shared + pusher) as shown:
            async with Script(place, node, "backend", f'process.env.KEY = "{key}";\n{backend}') as stored:
                await stored.has("stored as 1")
            await shown.has("7")
        async with Script(place, node, "centrifugo", shared + centrifugo) as shown:
            await shown.has("1 hi", "history: 1 more: false")


async def answered(ann):
    """Asks until the service, which may still be starting, answers."""
    for _ in range(START * 4):
        await ann.send("publish", room="support", event="ask", data="why?")
        try:
            async with asyncio.timeout(0.25):
                while (frame := await ann.frame("message"))["event"] != "answer":
                    pass
        except TimeoutError:
            continue
        assert (frame["user"], frame["data"]) == ("service", "ann, you asked: why?"), frame
        return
    raise AssertionError("the service does not answer")


async def test_documents_quickstart_client(place):
    _, chat, _ = (block.text for block in blocks("js", page=QUICKSTART))
    (addition,) = re.findall(r"^Add `(.+?)` at the end", (ROOT / QUICKSTART).read_text(), re.MULTILINE)
    async with Node(place, "a") as node, Script(place, node, "chat", f"{chat}\n{addition}\n") as shown:
        await shown.has("1 alice { at: ", "3 alice { at: ")
        await node.stop()
        shown.lines.clear()
        await node.start()
        await shown.has("1 alice { at: ", "5 alice { at: ")
        shown = (place.logs / "chat.log").read_text()
        assert "the room was started again; lost: " in shown, shown


async def test_documents_in_a_browsers_console(place):
    """The programs that a reader may paste into the console of the node's page."""
    listening, chat, _ = (block.text for block in blocks("js", page=QUICKSTART))
    shared, socketio, *_ = (block.text for block in blocks("js", page=COMING_FROM))
    pasted = {"listening": (listening, "joined"), "chat": (chat, "from a foreign client"), "socketio": (shared + socketio, "sent as ")}
    async with Node(place, "a") as node, client(node, user="bob") as bob:
        await bob.publish("chat", "from a foreign client")
        for name, (text, wanted) in pasted.items():
            script = place.logs / f"{name}.js"
            script.write_text(text.replace("127.0.0.1:8080", f"127.0.0.1:{node.port}"))
            console = Path(__file__).with_name("console.mjs")
            command = ["node", console, shutil.which("chromium"), place.work, node.url("http", "/"), script]
            async with program(command, place.logs / f"{name}.log", stdout=asyncio.subprocess.PIPE) as browser:
                await Output(browser.stdout).has(wanted)


async def test_documents_rust_client(place):
    (shown,) = blocks("rust")
    assert EXAMPLE.read_text().endswith("\n\n" + shown.text), f"{EXAMPLE} and {shown} differ"
    built = place.roomcast.parent / "examples" / EXAMPLE.stem
    async with Node(place, "a") as node:
        command = [built, node.url()]
        async with program(command, place.logs / "quickstart.log", stdout=asyncio.subprocess.PIPE) as printing:
            await Output(printing.stdout).has('1 {"text":"hi from Rust"}')


async def test_documents_toml(place):
    (manifest,) = (block for block in blocks("toml") if "[dependencies]" in block.text)
    configurations = [block for block in blocks("toml") if block != manifest]
    clone = ROOT.parent / "roomcast"
    workspace = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["dependencies"]
    for name, wanted in tomllib.loads(manifest.text)["dependencies"].items():
        if "path" in wanted:
            folder = ROOT / (ROOT / wanted["path"]).resolve().relative_to(clone)
            assert tomllib.loads((folder / "Cargo.toml").read_text())["package"]["name"] == name, manifest
        else:
            used = workspace[name]
            used = used if isinstance(used, str) else used["version"]
            shown = wanted if isinstance(wanted, str) else wanted["version"]
            assert used.split(".")[0] == shown, f"{manifest}: {name}"
    assert len(configurations) == 12, configurations
    path = place.logs / "shown.toml"
    for configuration in configurations:
        path.write_text(configuration.text)
        await succeeds(place, place.roomcast, "config", "check", path)


async def test_documents_others_programs_parse(place):
    for at, block in enumerate(blocks("js theirs")):
        path = place.logs / f"theirs-{at}.mjs"
        path.write_text(block.text)
        await succeeds(place, "node", "--check", path)


async def test_documents_balancers(place):
    """What nginx and HAProxy are told stands in a configuration that they take."""
    path, where = place.logs / "shown.conf", dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin:/sbin")
    for block in blocks("nginx"):
        location = block.text.find("location")
        outside, inside = (block.text, "") if location < 0 else (block.text[:location], block.text[location:])
        upstreams = "".join(f"upstream {name} {{ server 127.0.0.1:1; }}\n" for name in ("nodes", "application"))
        upgrade = "map $http_upgrade $connection_upgrade { default upgrade; }\n"
        server = f"server {{\nlisten 127.0.0.1:8000;\n{inside}}}\n"
        path.write_text(f"pid {place.logs}/nginx.pid;\nevents {{}}\nhttp {{\naccess_log off;\n{upgrade}{upstreams}{outside}{server}}}\n")
        await succeeds(place, "nginx", "-t", "-e", "stderr", "-c", path, env=where)
    for block in blocks("haproxy"):
        path.write_text(f"defaults\n mode http\n timeout connect 1s\n timeout client 1s\n timeout server 1s\nfrontend f\n bind 127.0.0.1:8000\n{block.text}")
        await succeeds(place, "haproxy", "-c", "-f", path, env=where)


async def succeeds(place, *command, env=None):
    """Its output; it must end with 0."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command), stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env=env
    )
    output, _ = await asyncio.wait_for(process.communicate(), START)
    assert process.returncode == 0, f"{' '.join(map(str, command))}:\n{output.decode()}"
    return output.decode()


KEY = re.compile(r"`([a-z]+(?:\.[a-zA-Z_*]+)+)`")
KEY_PAGES = ["README.md", "docs/guarantees.md", "docs/security.md", "docs/operations.md", "docs/protocol.md", "docs/coming-from.md", "docs/quickstart.md"]


async def test_documents_name_keys_that_exist(place):
    printed = await succeeds(place, place.roomcast, "config", "print")
    keys = {line.split()[0] for line in printed.splitlines()}
    sections = {key.split(".")[0] for key in keys} | {"history"}
    wrong = []
    for page in KEY_PAGES:
        for name in KEY.findall((ROOT / page).read_text()):
            key = re.sub(r"^namespaces\.[^.]+", "namespaces.default", name)
            # A field of a frame: `heartbeat.timeout_ms`.
            if name.split(".")[0] in sections and key not in keys and not name.endswith("_ms"):
                wrong.append(f"{page}: {name}")
    assert not wrong, wrong


UPGRADE = [
    "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
]
# What is asked → the row of protocol.md that answers. What needs a node in a state of its own (with
# keys, full, draining, not ready; a limit that is reached; a body that does not end) is in
# crates/roomcast/tests and crates/gateway.
ASKED = [
    ("GET /ws?user=a%20b", UPGRADE, 400, "bad_query"),
    ("GET /ws", [*UPGRADE, "Sec-WebSocket-Protocol: chat"], 400, "unknown_subprotocol"),
    ("GET /ws", UPGRADE[:3], 400, "bad_handshake"),
    ("GET /ws", [*UPGRADE, "Host: other"], 400, "bad_request"),
    ("hello", [], 400, ""),
    ("GET /nothing", [], 404, "not_found"),
    ("POST /ws", ["Content-Length: 0"], 405, "method_not_allowed"),
    ("GET /ws", [*UPGRADE, "Authorization: Bearer x"], 401, "bad_token"),
    ("GET /ws", [*UPGRADE, "Origin: https://elsewhere.example"], 403, "bad_origin"),
    ("GET /health/live", ["Content-Length: 5"], 413, "too_large"),
    ("GET /ws", [], 426, "upgrade_required"),
    ("GET /ws", [*UPGRADE[:2], "Sec-WebSocket-Version: 8", UPGRADE[3]], 426, "bad_handshake"),
    ("GET /ws", ["X-Long: " + "a" * 20_000], 431, ""),
    ("GET /ws", ["X-Short: a"] * 101, 431, ""),
]
ELSEWHERE = {
    (401, "no_token"), (401, "expired_token"), (401, "spent_ticket"), (403, "banned"), (408, "timeout"),
    (429, "rate_limited"), (429, "too_many_connections"),
    (503, "not_ready"), (503, "bus_unavailable"), (503, "draining"), (503, "full"),
}
# Rows of proxies and balancers.
NOT_FROM_A_NODE = {(403, "")}


async def test_documents_http_statuses(place):
    section = (ROOT / "docs/protocol.md").read_text().split("\n## HTTP statuses\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (\d+) \| `?(\w*)`? ?\| ", section, re.MULTILINE)
    documented = {(int(status), code) for status, code in rows} - NOT_FROM_A_NODE
    async with Node(place, "a") as node:
        for line, headers, status, code in ASKED:
            answer = await ask(node, "\r\n".join([f"{line} HTTP/1.1", "Host: node", *headers, "", ""]))
            assert answer.startswith(f"HTTP/1.1 {status} ") and f'"code":"{code}"' in answer + '"code":""', (line, answer)
    assert documented == {(status, code) for *_, status, code in ASKED} | ELSEWHERE


async def ask(node, request):
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
    try:
        writer.write(request.encode())
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), START)
        length = int(re.search(rb"content-length: (\d+)", head)[1])
        return (head + await asyncio.wait_for(reader.readexactly(length), START)).decode()
    finally:
        writer.close()


LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def anchors(path):
    """The anchors of a page, as GitHub makes them of its headings."""
    headings = HEADING.findall(FENCE.sub("", path.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


async def test_documents_link_to_what_is_there(place):
    broken = []
    for path in sorted({path for pattern in [*PAGES, "*.md"] for path in ROOT.glob(pattern)}):
        for link in LINK.findall(FENCE.sub("", path.read_text())):
            target, _, anchor = link.partition("#")
            aim = (path.parent / target).resolve() if target else path
            if "://" in link or link.startswith("mailto:"):
                continue
            if not aim.exists() or (anchor and anchor not in anchors(aim)):
                broken.append(f"{path.relative_to(ROOT)}: {link}")
    assert not broken, broken
