"""`wscat`, as a newcomer would use it: joins a room, publishes, and prints what comes."""

import asyncio
import json

from client import ANSWER, client
from programs import Node, program

ROOM = "lobby"


async def test_wscat(place):
    async with Node(place, "a") as node, client(node, user="alice") as alice:
        joined = await alice.join(ROOM)
        command = ["node", place.work / "npm/node_modules/wscat/bin/wscat", "--no-color"]
        command += ["--connect", node.url() + "?user=wscat", "--wait", -1]
        # The publish may overtake the join; `history` shows the message either way.
        for frame in (
            {"type": "join", "room": ROOM, "history": 10},
            {"type": "publish", "room": ROOM, "data": "from wscat"},
        ):
            command += ["--execute", json.dumps(frame)]
        pipe = asyncio.subprocess.PIPE
        async with program(command, place.logs / "wscat.log", pipe, pipe) as wscat:
            seen = await alice.frame("message")
            assert (seen["user"], seen["data"]) == ("wscat", "from wscat"), seen
            await alice.send("publish", room=ROOM, data="to wscat")
            printed = await read(wscat.stdout)
        assert printed[0]["type"] == "connected" and printed[1]["type"] == "joined", printed
        assert printed[1]["epoch"] == joined["epoch"], printed
        messages = [(frame["user"], frame["data"], frame["seq"]) for frame in printed[2:]]
        assert messages == [("wscat", "from wscat", 1), ("alice", "to wscat", 2)], printed


async def read(output):
    """The frames it prints, until the message from the other side."""
    frames = []
    try:
        async with asyncio.timeout(ANSWER):
            while not (frames and frames[-1].get("data") == "to wscat"):
                line = await output.readline()
                assert line, f"wscat ended after {frames}"
                at = line.find(b"{")
                if at >= 0:
                    frames.append(json.loads(line[at:]))
    except TimeoutError:
        raise AssertionError(f"wscat printed only {frames}") from None
    return frames
