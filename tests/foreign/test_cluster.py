"""Three nodes on one Redis: members on different nodes see one order, and resume on any."""

import contextlib

from client import JSON, MSGPACK, client
from programs import Node, redis

ROOM = "chat:everywhere"


@contextlib.asynccontextmanager
async def cluster(place):
    async with contextlib.AsyncExitStack() as stack:
        url = await stack.enter_async_context(redis(place))
        yield [
            await stack.enter_async_context(Node(place, name, "--redis-url", url)) for name in "abc"
        ]


async def test_one_order_on_three_nodes(place):
    """A member of each encoding on each node; all publish at once."""
    async with cluster(place) as nodes, contextlib.AsyncExitStack() as stack:
        members = []
        for node in nodes:
            for encoding in (JSON, MSGPACK):
                members.append(await stack.enter_async_context(client(node, encoding)))
        epochs = {(await member.join(ROOM))["epoch"] for member in members}
        assert len(epochs) == 1, f"the nodes disagree on the epoch: {epochs}"
        each = 50
        for number in range(each):
            for author, member in enumerate(members):
                await member.send("publish", room=ROOM, data=[author, number])
        total = each * len(members)
        seen = [await member.frames("message", total) for member in members]
        assert [message["seq"] for message in seen[0]] == list(range(1, total + 1))
        for index, other in enumerate(seen[1:], 1):
            assert other == seen[0], f"members 0 and {index} saw different messages"
        for author in range(len(members)):
            own = [message["data"][1] for message in seen[0] if message["data"][0] == author]
            assert own == list(range(each)), f"author {author}: {own}"


async def test_resume_on_another_node(place):
    """A member drops in a burst and goes from node to node; it misses nothing, nothing comes twice."""
    async with cluster(place) as nodes, client(nodes[0]) as author:
        total = 240
        for number in range(1, total + 1):
            await author.send("publish", room=ROOM, data=number)
        first = await author.publish(ROOM, total + 1)
        position = {"epoch": first["epoch"], "seq": total + 1 - 90}
        seen = []
        for turn in range(3):
            async with client(nodes[(turn + 1) % 3], (JSON, MSGPACK)[turn % 2]) as member:
                back = await member.join(ROOM, since=position)
                assert back["recovered"] is True and back["seq"] == position["seq"], back
                seen += await member.frames("message", 30)
                position["seq"] = seen[-1]["seq"]
                member.drop()
        assert [message["seq"] for message in seen] == list(range(total - 88, total + 2))
        assert [message["data"] for message in seen] == list(range(total - 88, total + 2))


async def test_resume_after_a_node_ended(place):
    """The node of a member ends; the member goes on at another one."""
    async with cluster(place) as nodes, client(nodes[1]) as author:
        leaving = Node(place, "d", *nodes[0].command[-2:])
        await leaving.start()
        async with client(leaving) as member:
            joined = await member.join(ROOM)
            await author.publish(ROOM, "before")
            position = {"epoch": joined["epoch"], "seq": (await member.frame("message"))["seq"]}
            await leaving.stop()
            assert (code := await member.closed()) == 1012, f"closed with {code}"
        await author.publish(ROOM, "between")
        async with client(nodes[2]) as member:
            back = await member.join(ROOM, since=position)
            assert back["recovered"] is True, back
            await author.publish(ROOM, "after")
            rest = [message["data"] for message in await member.frames("message", 2)]
            assert rest == ["between", "after"], rest
