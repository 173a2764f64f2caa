"""What a page can lose: nodes on one Redis behind nginx, the way to them, and someone who publishes all the
while and knows what was acknowledged."""

import asyncio
import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import tempfile
from urllib.parse import quote

from documents import ROOT
from programs import START, Node, free_port, pongs, program, status, until
from relay import Relay, listening
from test_documents import succeeds

HEARTBEAT = 2  # seconds: a page notices a dead way after this and 10 s more
KEPT = 20_000  # messages that a room keeps: all of a test


class Redis:
    """A Redis that keeps on disk what it has acknowledged; it may be killed and started again."""

    def __init__(self, place, folder):
        self.port, self.log = free_port(), place.logs / "redis.log"
        self.command = ["redis-server", "--port", self.port, "--bind", "127.0.0.1", "--dir", folder]
        self.command += ["--save", "", "--appendonly", "yes", "--appendfsync", "always"]
        self.url, self.kept = f"redis://127.0.0.1:{self.port}", f"{folder}/appendonlydir"

    async def start(self):
        self.running = program(self.command, self.log)
        self.process = await self.running.__aenter__()
        await until(lambda: pongs(self.port), "redis-server does not answer")

    async def kill(self, is_emptied=False):
        await killed(self)
        if is_emptied:
            shutil.rmtree(self.kept)

    def signal(self, number):
        os.kill(self.process.pid, number)


async def killed(server):
    """Ends a node or a Redis as a failing machine does."""
    os.kill(server.process.pid, signal.SIGKILL)
    await server.process.wait()
    await server.running.__aexit__(None, None, None)
    # Should the test fail before it starts again, nothing is left to end.
    server.running = contextlib.AsyncExitStack()


class Cluster:
    """Three nodes with the demo on one Redis, behind the nginx of deploy/nginx."""

    def __init__(self, place, redis, key, nodes, port):
        self.place, self.redis, self.key, self.port = place, redis, key, port
        self.nodes = {node.name: node for node in nodes}
        self.url = f"http://127.0.0.1:{port}"

    def of(self, look):
        """The node that a page is on."""
        return self.nodes[look.node]

    async def call(self, method, path, body=None):
        return await asyncio.to_thread(call, self.port, self.key, method, path, body)

    async def messages(self, room):
        """All that the room holds: [seq, text] of each."""
        rows, more = [], True
        while more:
            path = f"/v1/rooms/{quote(room, safe='')}/messages?limit=1000&after={rows[-1][0] if rows else 0}"
            code, page = await self.call("GET", path)
            assert code == 200, page
            rows += [[message["seq"], message["data"]["text"]] for message in page["messages"]]
            more = page["more"]
        return rows


def call(port, key, method, path, body, headers={}):
    """One request of a backend: status and answer; status 0 if there was none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, {"Authorization": f"Bearer {key}", "Content-Type": "application/json", **headers})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"null")
    except (OSError, http.client.HTTPException, ValueError):
        return 0, None
    finally:
        connection.close()


@contextlib.asynccontextmanager
async def cluster(place, names="abc", settings=(), configuration="", kept=KEPT):
    async with contextlib.AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        redis = Redis(place, folder)
        await redis.start()
        stack.push_async_exit(lambda *gone: redis.running.__aexit__(*gone))
        key, table = (await succeeds(place, place.roomcast, "api-key", "tests", "--scopes", "publish read")).split("\n", 1)
        file = place.logs / "roomcast.toml"
        file.write_text(f'[namespaces.demo]\npresence = "events"\nreceipts = true\nhistory_size = {kept}\n{configuration}{table}')
        common = ["--config", file, "--redis-url", redis.url, "--set", "http.demo=on", "--set", f"http.demo_key={key}"]
        common += ["--set", f"heartbeat.interval={HEARTBEAT}s", *settings]
        nodes = []
        for name in names:
            node = Node(place, name, *common)
            node.name = name
            await node.start()
            stack.push_async_exit(Leaving(node))
            nodes.append(node)
        port = await stack.enter_async_context(nginx(place, [node.port for node in nodes], folder))
        yield Cluster(place, redis, key, nodes, port)


class Leaving:
    """Stops a node at the end of a test. One that a failed test has killed has ended already."""

    def __init__(self, node):
        self.node = node

    async def __aenter__(self):
        return self.node

    async def __aexit__(self, failure, *_):
        if not (failure and self.node.ended()):
            await self.node.stop()


@contextlib.asynccontextmanager
async def nginx(place, ports, folder):
    """The balancer as it is deployed, but for places and ports, and with the bare page; gives its port."""
    port = free_port()
    text = (ROOT / "deploy/nginx/roomcast.conf").read_text()
    servers = "".join(f"server 127.0.0.1:{node} max_fails=0; " for node in ports)
    for pattern, place_of in (
        (r"(server node-\d:8080 max_fails=0;\s+)+", servers), (r"listen 0\.0\.0\.0:8000", f"listen 127.0.0.1:{port}"),
        (r"/tmp/", f"{folder}/"), (r"worker_processes auto", "worker_processes 1"),
        (r"worker_connections 65536", "worker_connections 1024"), (r"worker_rlimit_nofile \d+;", ""),
        (r"location / {", f"location = /bare {{ default_type text/html; alias {folder}/bare.html; }}\n\\g<0>"),
    ):
        text, found = re.subn(pattern, place_of, text)
        assert found, f"deploy/nginx/roomcast.conf has no {pattern}"
    file = place.logs / "nginx.conf"
    file.write_text(text)
    shutil.copy(ROOT / "tests/foreign/bare.html", folder)
    os.chmod(folder, 0o755)
    async with program(["nginx", "-e", "stderr", "-c", file, "-g", "daemon off;"], place.logs / "nginx.log"):
        await until(lambda: status(f"http://127.0.0.1:{port}/health/live"), "nginx does not answer")
        yield port


class Publisher:
    """Publishes numbered messages in order, each until it is acknowledged, under one key."""

    def __init__(self, cluster, room, name="", pause=0.05):
        self.cluster, self.room, self.name, self.pause = cluster, room, name, pause
        self.rows, self.epochs, self.refused, self.is_over = [], set(), set(), False

    async def run(self):
        loop = asyncio.get_running_loop()
        due = loop.time()
        while not self.is_over:
            text = f"[{self.name}{len(self.rows) + 1}]"
            while not await self.publish(text):
                await asyncio.sleep(0.1)
            due = max(due + self.pause, loop.time())
            await asyncio.sleep(due - loop.time())

    async def end(self):
        """Nothing more after the message that is on its way; raises what made the publisher fail."""
        self.is_over = True
        await asyncio.wait_for(self.task, START)

    async def publish(self, text):
        path = f"/v1/rooms/{quote(self.room, safe='')}/messages"
        key = {"Idempotency-Key": f"{self.name}-{len(self.rows) + 1}"}
        code, answer = await asyncio.to_thread(
            call, self.cluster.port, self.cluster.key, "POST", path, {"data": {"text": text}, "user": "publisher"}, key
        )
        if code == 200:
            self.rows.append([answer["seq"], text])
            self.epochs.add(answer["epoch"])
            return True
        assert code in (0, 502, 503, 504), (code, answer)
        self.refused.add((code, (answer or {}).get("code")))
        return False

    async def more(self, count=40):
        """Waits until so many more are acknowledged."""
        wanted = len(self.rows) + count
        try:
            async with asyncio.timeout(START):
                while len(self.rows) < wanted and not self.task.done():
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"{len(self.rows)} of {wanted} messages were taken; refused: {self.refused}") from None
        if self.task.done():
            self.task.result()


@contextlib.asynccontextmanager
async def publishing(cluster, room, **options):
    publisher = Publisher(cluster, room, **options)
    publisher.task = asyncio.create_task(publisher.run())
    try:
        yield publisher
    finally:
        # A failure of its own is the reason of whatever else went wrong.
        await publisher.end()


async def flood(cluster, room, count, batch=100, at_once=4):
    """Publishes so many messages as fast as the nodes take them, each once: under its key, until it is stored."""
    numbers = iter(range(0, count, batch))

    def item(number):
        return {"room": room, "user": f"bot-{number % 7}", "data": {"text": f"[{number}]"}, "key": f"flood-{number}"}

    async def some():
        for first in numbers:
            items = [item(number) for number in range(first, first + batch)]
            while items:
                code, answer = await cluster.call("POST", "/v1/batch", {"items": items})
                assert code == 200, (code, answer)
                refused = [(own, result["code"]) for own, result in zip(items, answer["results"], strict=True) if "seq" not in result]
                # On a busy machine Redis may once answer too late.
                assert all(code in ("bus_unavailable", "publish_unknown", "overloaded") for _, code in refused), refused[0]
                items = [own for own, _ in refused]
                await asyncio.sleep(0.5 if items else 0)

    await asyncio.gather(*(some() for _ in range(at_once)))


class Way(Relay):
    """The network between a page and nginx: bytes both ways, until it goes dark or is cut."""

    def __init__(self, target):
        super().__init__(target)
        self.pairs, self.is_broken = set(), False
        self.light = asyncio.Event()
        self.light.set()

    def darken(self):
        """Nothing passes any more, and no side learns of it."""
        self.light.clear()

    def cut(self):
        """Ends every connection without a word, and new ones at once."""
        self.is_broken = True
        self.end()

    def end(self):
        for writer in [writer for pair in self.pairs for writer in pair]:
            writer.transport.abort()

    def heal(self):
        """New connections pass; those that were in the dark are gone."""
        self.end()
        self.is_broken = False
        self.light.set()

    async def __call__(self, reader, writer):
        pair = (writer,)
        self.pairs.add(pair)
        try:
            await self.light.wait()
            if self.is_broken:
                raise ConnectionResetError
            there, back = await self.reach()
            self.pairs.remove(pair)
            self.pairs.add(pair := (writer, back))
            await self.join(reader, writer, there, back)
        except OSError:
            writer.transport.abort()
        finally:
            self.pairs.discard(pair)

    async def passes(self, data):
        await self.light.wait()
        return True


@contextlib.asynccontextmanager
async def way(target):
    async with listening(Way(target)) as to:
        to.url = f"http://127.0.0.1:{to.port}"
        try:
            yield to
        finally:
            to.cut()
            to.light.set()
