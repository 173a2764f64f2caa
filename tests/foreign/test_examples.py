"""The examples, each as its reader starts it: pages in Chromium, the bot, the client in Python, and the
backends in Express and FastAPI. test_backends.py holds the backends without dependencies."""

import asyncio
import contextlib
import http.cookiejar
import importlib.util
import json
import os
import secrets
import signal
import sys
import urllib.error
import urllib.request

from client import ANSWER, client
from documents import ROOT
from programs import START, Node, free_port, program, redis, until
from relay import Relay, listening
from test_backends import refused
from test_browser import driven
from test_documents import Output, succeeds

EXAMPLES = ROOT / "examples"
BUILD = 100  # seconds for the types and the build of a page
PAUSES = {"initial": 0.1, "cap": 0.5}  # seconds: a client that comes back soon

NAMESPACES = """
[namespaces.demo]
presence = "events"
[namespaces.board]
state = true
"""


def example_client():
    """examples/python/client.py as a module; its name is taken here."""
    spec = importlib.util.spec_from_file_location("example_client", EXAMPLES / "python/client.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


example = example_client()


async def test_example_page(place):
    """Rooms are in memory: they are started again with the node."""
    await page_in_chromium(place, "page", EXAMPLES / "page")


async def test_example_react(place):
    """Rooms are in Redis: they go on where they were."""
    app, built = EXAMPLES / "react", place.work / "examples/react"
    for tool, *arguments in (["tsc", "--noEmit", "-p", app], ["vite", "build", app, "--outDir", built, "--emptyOutDir"]):
        log = place.logs / f"{tool}.log"
        async with program([app / "node_modules/.bin" / tool, *arguments], log) as building:
            assert await asyncio.wait_for(building.wait(), BUILD) == 0, log.read_text()
    async with redis(place) as url:
        await page_in_chromium(place, "react", built, "--redis-url", url)


async def page_in_chromium(place, name, folder, *arguments):
    port = free_port()
    served = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", folder, port]
    async with Node(place, "a", "--config", namespaces(place), *arguments) as node, program(served, place.logs / "served.log"):
        await until(lambda: answers(port), "the page is not served")
        url = f"http://127.0.0.1:{port}/?node={node.url('http', '')}"
        await driven(place, node, "examples.mjs", url, name)


def namespaces(place):
    configuration = place.logs / "roomcast.toml"
    configuration.write_text(NAMESPACES)
    return configuration


def answers(port):
    with contextlib.suppress(OSError):
        return urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2).status == 200


async def test_example_bot(place):
    """It answers, counts each word once, resumes after a restart of the node and of itself."""
    settings = ["--config", namespaces(place)]
    async with redis(place) as url, Node(place, "a", *settings, "--redis-url", url) as node:
        async with Node(place, "b", *settings, "--redis-url", url) as other, client(other, user="alice") as alice:
            await alice.join("demo:lobby")
            async with bot(place, node) as shown:
                await shown.has("in demo:lobby")
                await alice.send("publish", room="demo:lobby", data={"text": "!time"})
                question, answer = await alice.frames("message", 2)
                assert (question["user"], answer["user"]) == ("alice", "bot"), answer
                assert answer["data"]["text"].startswith("It is 20"), answer
                await says(alice, "two words", 3)
                await node.stop()
                await alice.send("publish", room="demo:lobby", data={"text": "it was away"})
                await node.start()
                await shown.has("resumed")
                await counted(alice, 6)
            assert "ended" in (await shown.stream.read()).decode()
            await alice.send("publish", room="demo:lobby", data={"text": "the bot too"})
            async with bot(place, node) as shown:
                await counted(alice, 9)
                await says(alice, "end", 10)


@contextlib.asynccontextmanager
async def bot(place, node):
    command = ["env", f"ROOMCAST_URL={node.url()}", "node", EXAMPLES / "bot/bot.mjs"]
    async with program(command, place.logs / "bot.log", stdout=asyncio.subprocess.PIPE) as running:
        yield Output(running.stdout)
    assert running.returncode == 0, f"the bot ended with {running.returncode}"


async def says(alice, text, total):
    await alice.send("publish", room="demo:lobby", data={"text": text})
    await counted(alice, total)


async def counted(alice, total):
    """Waits until the bot has counted so many words of alice, and sees that it counts no more."""
    async with asyncio.timeout(START):
        while True:
            await alice.send("state", id=99, room="board:words")
            frame = json.loads(await alice.socket.recv())
            if frame["type"] != "state":
                continue
            words = {entry["key"]: entry["data"]["words"] for entry in frame["entries"]}
            if words.get("alice", 0) >= total:
                break
            await asyncio.sleep(0.05)
    assert words == {"alice": total}, words


async def test_example_python_survives_a_kill(place):
    """Its node is killed while two publish: each message comes once and in order, no publish is doubled."""
    each = 150
    async with redis(place) as url, Node(place, "a", "--redis-url", url) as node, Node(place, "b", "--redis-url", url) as other:
        async with example.Client(node.url(), user="alice", **PAUSES) as alice, client(other, user="bob") as bob:
            room = alice.room("chat:1", history=10)
            await room.publish("first")
            assert (await message(room))["data"] == "first"
            tasks = [alice.spawn(publishes(room, each)), alice.spawn(publishes_at(bob, each))]
            seen = [await message(room) for _ in range(each // 5)]
            await kill(node)
            await asyncio.sleep(0.5)
            await node.start()
            seen += [await message(room) for _ in range(2 * each - len(seen))]
            places = await asyncio.gather(*tasks)
            assert [item["seq"] for item in seen] == list(range(2, 2 * each + 2))
            for user, own in zip(("alice", "bob"), places):
                of_user = [(item["seq"], item["data"]) for item in seen if item["user"] == user]
                assert of_user == [(at, number) for number, at in enumerate(own)], user
            assert room.position == {"epoch": seen[-1]["epoch"], "seq": seen[-1]["seq"]}


async def message(room):
    return await asyncio.wait_for(anext(room), START)


async def publishes(room, count):
    return [(await room.publish(number))["seq"] for number in range(count)]


async def publishes_at(bob, count):
    places = []
    for number in range(count):
        places.append((await bob.publish("chat:1", number))["seq"])
        await asyncio.sleep(0.01)
    return places


async def kill(node):
    os.kill(node.process.pid, signal.SIGKILL)
    await node.process.wait()
    await node.running.__aexit__(None, None, None)


async def test_example_python_is_told_of_holes(place):
    """As a program: of a gap that history no longer fills, and of a room that was started again."""
    async with redis(place) as url:
        bound = ["--redis-url", url, "--set", "namespaces.default.history_size=5"]
        async with Node(place, "a", *bound) as node, Node(place, "b", *bound) as other, client(other, user="bob") as bob:
            async with python_program(place, node) as (running, shown):
                running.stdin.write(b"hello\n")
                await shown.has('1 - {"text": "hello"}')
                await kill(node)
                for number in range(2, 31):
                    await bob.publish("chat", number)
                await node.start()
                await shown.has("30 bob 30")
                notes = [line for line in shown.lines if line.startswith("missing: ")]
                assert len(notes) == 1 and "'type': 'gap'" in notes[0] and "'from': 2," in notes[0], shown.lines
                rest = [int(line.split()[0]) for line in shown.lines[shown.lines.index(notes[0]) + 1 :]]
                assert len(rest) >= 5 and rest == list(range(rest[0], 31)), shown.lines
                assert f"'to': {rest[0] - 1}" in notes[0], shown.lines
    async with Node(place, "c") as node, python_program(place, node) as (running, shown):
        running.stdin.write(b"hello\n")
        await shown.has('1 - {"text": "hello"}')
        await node.stop()
        await node.start()
        await shown.has("'type': 'reset'")
        running.stdin.write(b"again\n")
        await shown.has('1 - {"text": "again"}')


@contextlib.asynccontextmanager
async def python_program(place, node):
    pipe, command = asyncio.subprocess.PIPE, [sys.executable, "-B", EXAMPLES / "python/client.py", node.url(), "chat"]
    async with program(command, place.logs / "client.log", pipe, pipe) as running:
        yield running, Output(running.stdout)


async def test_example_python_moves(place):
    """A node that drains asks its client to move: on the way to another node nothing is lost or doubled."""
    async with redis(place) as url, Node(place, "b", "--redis-url", url) as other, client(other, user="bob") as bob:
        # A client may be slow to come and to leave where the machine is busy.
        leaving = Node(place, "a", "--redis-url", url, "--set", "drain.total=5s")
        await leaving.start()
        async with listening(Balancer(leaving.port)) as way, example.Client(f"ws://127.0.0.1:{way.port}/ws", **PAUSES) as alice:
            room = alice.room("chat:1")
            await room.publish("first")
            assert (await message(room))["data"] == "first"
            task, old = alice.spawn(publishes_at(bob, 500)), alice.link
            way.target = other.port
            await leaving.stop()
            assert [(await message(room))["data"] for _ in range(500)] == list(range(500))
            await task
            # It left by itself (its own Close has 1000): the node had no need to end it.
            assert alice.link is not old and old.socket.close_code == 1000, (old.socket.close_code, way.count)
            assert way.count == 2, way.count


async def test_example_python_publishes_once(place):
    """The connection ends with the ack on its way: what is sent again is the same message."""
    async with Node(place, "a") as node, listening(Balancer(node.port)) as way, example.Client(f"ws://127.0.0.1:{way.port}/ws", **PAUSES) as live:
        room = live.room("chat:1")
        await until(lambda: room.position, "the room is not joined")
        way.cut = b'"type":"ack"'
        assert (await room.publish("once"))["seq"] == 1
        assert way.count == 2, way.count
        assert (await room.publish("then"))["seq"] == 2
        assert [(await message(room))["data"] for _ in range(2)] == ["once", "then"]


class Balancer(Relay):
    """Takes each new connection to the node that is its target then. One connection is cut in place of
    the first bytes that hold `cut`."""

    def __init__(self, target):
        super().__init__(target)
        self.count, self.cut = 0, None

    async def __call__(self, reader, writer):
        self.count += 1
        await super().__call__(reader, writer)

    async def passes(self, data):
        if not self.cut or self.cut not in data:
            return True
        self.cut = None
        return False


async def test_example_backend_in_express(place):
    await backend(place, lambda port: ["node", EXAMPLES / "backend-express/backend.mjs"])


async def test_example_backend_in_fastapi(place):
    folder = EXAMPLES / "backend-fastapi"
    await backend(place, lambda port: [sys.executable, "-B", "-m", "uvicorn", "backend:app", "--app-dir", folder, "--port", port])


async def backend(place, command):
    secret, configuration, port = place.logs / "secret", place.logs / "roomcast.toml", free_port()
    secret.write_text(secrets.token_hex(32) + "\n")
    key, table = (await succeeds(place, place.roomcast, "api-key", "shop", "--scopes", "publish admin")).split("\n", 1)
    configuration.write_text(f'[auth]\nhs_secret_file = "{secret}"\n{table}')
    async with Node(place, "a", "--config", configuration) as node:
        settings = {"ROOMCAST_URL": node.url("http", ""), "ROOMCAST_SECRET_FILE": str(secret), "ROOMCAST_KEY": key, "PORT": port}
        started = ["env", *(f"{name}={value}" for name, value in settings.items()), *command(port)]
        async with program(started, place.logs / "backend.log"):
            alice, bob = Session(port), Session(port)
            await until(lambda: alice.post("/token", None)[0] == 401, "the backend is not there")
            await sessions(node, alice, bob)


async def sessions(node, alice, bob):
    for login in (("alice", "wrong"), ("__proto__", "x"), ("mallory", "")):
        assert (await alice.ask("/login", user=login[0], password=login[1]))[0] == 401, login
    for session, login in ((alice, ("alice", "wonderland")), (bob, ("bob", "builder"))):
        assert (await session.ask("/login", user=login[0], password=login[1]))[0] == 204
    tokens = []

    async def token():
        status, answer = await alice.ask("/token")
        assert status == 200, answer
        tokens.append(answer["token"])
        return tokens[-1]

    async with example.Client(node.url(), token=token, **PAUSES) as live:
        room = live.room("chat:1")
        await room.publish("by her own connection")
        status, stored = await bob.ask("/rooms/chat%3A1/messages", text="by the backend")
        assert (status, stored.get("seq")) == (200, 2), stored
        own, other = await message(room), await message(room)
        assert (own["user"], own["data"]) == ("alice", "by her own connection"), own
        assert (other["user"], other["data"]) == ("bob", {"text": "by the backend"}), other
        assert (await bob.ask("/rooms/inbox:alice/messages", text="no"))[0] == 403
        assert (await failed(live.room("chat:2").publish, 1)) is None
        assert (await failed(live.room("inbox:bob").publish, 1)) == "forbidden"
        assert (await alice.ask("/logout"))[0] == 204
        assert await failed(message, room) == "banned"
    assert await refused(node, tokens[-1]) == (403, "banned")
    assert (await alice.ask("/token"))[0] == 401
    assert (await bob.ask("/token"))[0] == 200


async def failed(call, *arguments):
    """The code that it fails with, or None."""
    try:
        await asyncio.wait_for(call(*arguments), START)
    except example.RoomcastError as error:
        return error.code


class Session:
    """A browser's: its cookies, and JSON."""

    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}"
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))

    async def ask(self, path, **data):
        return await asyncio.to_thread(self.post, path, data)

    def post(self, path, data):
        request = urllib.request.Request(self.url + path, json.dumps(data).encode(), {"Content-Type": "application/json"}, method="POST")
        try:
            with self.opener.open(request, timeout=ANSWER) as answer:
                return answer.status, json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            return error.code, {}
        except OSError:
            return None, {}
