"""Starts nodes and Redis servers on free ports of 127.0.0.1, and stops each by its process id."""

import asyncio
import contextlib
import os
import signal
import socket
import tempfile
import urllib.error
import urllib.request

START = 20  # seconds until a program must be ready
STOP = 15  # seconds until it must have ended


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Place:
    """Where a test finds the program, and leaves its logs."""

    def __init__(self, roomcast, work, name):
        self.roomcast = roomcast
        self.work = work
        self.logs = work / "logs" / name
        self.logs.mkdir(parents=True, exist_ok=True)
        for old in self.logs.iterdir():
            old.unlink()

    def show_logs(self, lines=15):
        for log in sorted(self.logs.iterdir()):
            print(f"--- the end of {log}")
            print("\n".join(log.read_text(errors="replace").splitlines()[-lines:]))


@contextlib.asynccontextmanager
async def program(command, log, stdin=asyncio.subprocess.DEVNULL, stdout=None):
    """Runs a program, its stderr (and stdout, unless asked for) in a log; ends it at the end."""
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *map(str, command), stdin=stdin, stdout=stdout or output, stderr=output
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            # Not `process.terminate()`, which may take its end from those who wait for it.
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), STOP)
            except TimeoutError:
                process.kill()
                await process.wait()
                raise AssertionError(f"{command[0]} does not end on SIGTERM") from None


def status(url):
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status
    except urllib.error.HTTPError as answer:
        return answer.code
    except OSError:
        return None


async def until(question, what):
    """Asks again and again until the answer is yes."""
    try:
        async with asyncio.timeout(START):
            while not await asyncio.to_thread(question):
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"{what} within {START} s") from None


class Node:
    """A node; it may be stopped and started again on its port."""

    def __init__(self, place, name, *arguments):
        self.port = free_port()
        self.log = place.logs / f"{name}.log"
        self.command = [place.roomcast, "serve", "--listen", f"127.0.0.1:{self.port}"]
        self.command += ["--node-id", name, "--set", "log.format=json"]
        self.command += ["--set", "namespaces.default.publish_rate=0"]
        self.command += ["--set", "drain.total=1s", "--set", "drain.pause=0s", *arguments]
        self.running = None

    def url(self, scheme="ws", path="/ws"):
        return f"{scheme}://127.0.0.1:{self.port}{path}"

    async def start(self):
        self.running = program(self.command, self.log)
        self.process = await self.running.__aenter__()
        ready = self.url("http", "/health/ready")
        try:
            await until(lambda: self.ended() or status(ready) == 200, "the node is not ready")
            assert not self.ended(), f"the node ended with {self.process.returncode}"
        except BaseException:
            await self.running.__aexit__(None, None, None)
            raise

    def ended(self):
        return self.process.returncode is not None

    async def stop(self):
        assert not self.ended(), f"the node ended by itself with {self.process.returncode}"
        await self.running.__aexit__(None, None, None)
        assert self.process.returncode == 0, f"the node ended with {self.process.returncode}"
        assert "panicked" not in self.log.read_text(), f"a panic, see {self.log}"

    async def __aenter__(self):
        await self.start()
        return self

    async def __aexit__(self, *_):
        await self.stop()


@contextlib.asynccontextmanager
async def redis(place):
    """A Redis server without persistence; gives its URL."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = ["redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", folder]
        command += ["--save", "", "--appendonly", "no"]
        async with program(command, place.logs / "redis.log"):
            await until(lambda: pongs(port), "redis-server does not answer")
            yield f"redis://127.0.0.1:{port}"


def pongs(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as stream:
            stream.sendall(b"PING\r\n")
            return stream.recv(7) == b"+PONG\r\n"
    except OSError:
        return False
