"""One connection to a node, as a stranger would write it: `websockets`, `json`, `msgpack`."""

import asyncio
import contextlib
import itertools
import json

import msgpack
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

ANSWER = 10  # seconds until a frame must come

CODECS = {
    "roomcast.v1.json": (lambda frame: json.dumps(frame, ensure_ascii=False), json.loads),
    "roomcast.v1.msgpack": (msgpack.packb, msgpack.unpackb),
}
JSON, MSGPACK = CODECS


class Client:
    """Frames in and out; each wait has a deadline."""

    def __init__(self, socket, encoding):
        self.socket = socket
        self.encode, self.decode = CODECS[encoding]
        self.kind = str if encoding == JSON else bytes
        self.ids = itertools.count(1)

    async def send(self, type, **fields):
        await self.socket.send(self.encode({"type": type, **fields}))

    async def frame(self, type):
        """The next frame, which must be of this type."""
        try:
            frame = await asyncio.wait_for(self.socket.recv(), ANSWER)
        except TimeoutError:
            raise AssertionError(f"no `{type}` came within {ANSWER} s") from None
        assert isinstance(frame, self.kind), f"expected {self.kind.__name__}, not {frame!r}"
        frame = self.decode(frame)
        assert frame["type"] == type, f"expected `{type}`, not {frame}"
        return frame

    async def frames(self, type, count):
        return [await self.frame(type) for _ in range(count)]

    async def join(self, room, **fields):
        """Joins and returns `joined`; only for a connection on which nothing else is under way."""
        id = next(self.ids)
        await self.send("join", id=id, room=room, **fields)
        joined = await self.frame("joined")
        assert joined["id"] == id and joined["room"] == room, joined
        return joined

    async def publish(self, room, data, **fields):
        """Publishes and returns the answer; only for a connection that gets nothing else."""
        id = next(self.ids)
        await self.send("publish", id=id, room=room, data=data, **fields)
        ack = await self.frame("ack")
        assert ack["id"] == id and ack["room"] == room, ack
        return ack

    async def closed(self):
        """Waits for the node's Close and returns its code."""
        with contextlib.suppress(ConnectionClosed):
            async with asyncio.timeout(ANSWER):
                while True:
                    await self.socket.recv()
        return self.socket.close_code

    def drop(self):
        """Ends the TCP connection without a word."""
        self.socket.transport.abort()


@contextlib.asynccontextmanager
async def client(node, encoding=JSON, user=None):
    """A connection whose `connected` has come."""
    url = node.url() + (f"?user={user}" if user else "")
    async with connect(
        url, subprotocols=[encoding], open_timeout=ANSWER, close_timeout=ANSWER
    ) as socket:
        assert socket.subprotocol == encoding, f"the node chose {socket.subprotocol}"
        made = Client(socket, encoding)
        made.connected = await made.frame("connected")
        yield made
