"""A TCP relay on a free port of 127.0.0.1, for tests that have a say in what passes."""

import asyncio
import contextlib


class Relay:
    """Takes each new connection to the port that is its target then."""

    def __init__(self, target):
        self.target, self.port = target, None

    async def passes(self, data):
        """Whether these bytes may pass; else their connection ends."""
        return True

    async def reach(self):
        return await asyncio.open_connection("127.0.0.1", self.target)

    async def join(self, reader, writer, there, back):
        await asyncio.gather(self.copied(reader, back), self.copied(there, writer))

    async def copied(self, reader, writer):
        with contextlib.suppress(OSError):
            while (data := await reader.read(65536)) and await self.passes(data):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def __call__(self, reader, writer):
        await self.join(reader, writer, *await self.reach())


@contextlib.asynccontextmanager
async def listening(relay):
    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    relay.port = server.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        server.close()
