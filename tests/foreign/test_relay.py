"""One node, its rooms in memory: order, both encodings, resume, gaps, and answers to bad input."""

import asyncio
import base64
import re
import urllib.request

from client import ANSWER, JSON, MSGPACK, client
from programs import Node
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

ROOM = "chat:münchen"
BLOB = bytes(range(256))


async def test_order_across_encodings(place):
    """Two members, in JSON and in MessagePack, both publish: both see one order."""
    async with Node(place, "a") as node, client(node, JSON, "alice") as alice, client(
        node, MSGPACK, "bob"
    ) as bob:
        members = [alice, bob]
        for member in members:
            await member.join(ROOM)
        each = 200
        for member in members:
            for number in range(each):
                await member.send("publish", room=ROOM, data={"number": number, "λ": [None, 0.5]})
        seen = [await member.frames("message", 2 * each) for member in members]
        assert seen[0] == seen[1], "the two members saw different messages"
        assert [message["seq"] for message in seen[0]] == list(range(1, 2 * each + 1))
        for user in ("alice", "bob"):
            own = [message for message in seen[0] if message["user"] == user]
            assert [message["data"]["number"] for message in own] == list(range(each)), user
        assert seen[0][0]["data"]["λ"] == [None, 0.5], seen[0][0]


async def test_data_across_encodings(place):
    """What an author sends arrives as it was, or as the protocol's table of data says."""
    samples = [2**63, -(2**63), "ein Satz\n", True, None, [], {"": {"deep": [1, 2.5]}}]
    async with Node(place, "a") as node, client(node, JSON) as text, client(
        node, MSGPACK
    ) as binary:
        for reader in (text, binary):
            await reader.join(ROOM)
        for author in (text, binary):
            for data in samples:
                await author.send("publish", room=ROOM, data=data)
                for reader in (text, binary):
                    message = await reader.frame("message")
                    assert message["data"] == data, f"{message['data']!r} instead of {data!r}"
        as_text = {"$bin": base64.b64encode(BLOB).decode()}
        for author, data in ((binary, BLOB), (text, as_text)):
            await author.send("publish", room=ROOM, data=data)
            assert (await text.frame("message"))["data"] == as_text
            assert (await binary.frame("message"))["data"] == BLOB


async def test_compression(place):
    """`websockets` compresses what it sends, and reads what the node compressed for both encodings."""
    data = {"text": "words that come again and again, " * 100, "list": list(range(50))}
    async with Node(place, "a", "--set", "http.deflate=true") as node, client(
        node, JSON
    ) as text, client(node, MSGPACK) as binary:
        members = [text, binary]
        for member in members:
            names = [extension.name for extension in member.socket.protocol.extensions]
            assert names == ["permessage-deflate"], names
            await member.join(ROOM)
        for author in members:
            for number in range(20):
                sent = data | {"number": number}
                await author.send("publish", room=ROOM, data=sent)
                for reader in members:
                    message = await reader.frame("message")
                    assert message["data"] == sent, message
        for family in ("deflated", "inflated"):
            # The node adds up what was compressed now and then, not with each message.
            for _ in range(100):
                plain, packed = await asyncio.to_thread(sizes, node, family)
                if plain > 40 * 3000:
                    break
                await asyncio.sleep(0.1)
            assert plain > 40 * 3000 and packed < plain / 5, (family, plain, packed)


def sizes(node, family):
    """Bytes of payload before and after compression, by the node's metrics."""
    with urllib.request.urlopen(node.url("http", "/metrics"), timeout=ANSWER) as answer:
        metrics = answer.read().decode()
    return [
        float(re.search(f'^roomcast_{family}_bytes_total{{size="{size}"}} (.+)$', metrics, re.M)[1])
        for size in ("plain", "compressed")
    ]


async def test_ack_key_and_echo(place):
    """A publish sent again under its key is stored once; `echo: false` is not heard by its author."""
    async with Node(place, "a") as node, client(node, user="alice") as alice, client(node) as other:
        first = await alice.publish(ROOM, "once", key="k")
        again = await alice.publish(ROOM, "once", key="k")
        assert {**first, "id": 0} == {**again, "id": 0}, f"{first} and {again}"
        await alice.send("publish", id=90, room=ROOM, data="something else", key="k")
        error = await alice.frame("error")
        assert (error["id"], error["code"]) == (90, "key_conflict"), error

        await alice.join(ROOM)
        await other.join(ROOM)
        ack = await alice.publish(ROOM, "unheard", echo=False)
        assert ack["seq"] == 2, ack
        await alice.send("publish", room=ROOM, data="heard")
        assert [message["data"] for message in await other.frames("message", 2)] == [
            "unheard",
            "heard",
        ]
        assert (await alice.frame("message"))["data"] == "heard"
        page = await history(alice)
        assert [message["data"] for message in page["messages"]] == ["once", "unheard", "heard"]


async def history(member):
    await member.send("history", id=91, room=ROOM)
    return await member.frame("history")


async def test_resume_after_reconnect(place):
    """A member that lost its connection in a burst receives what it missed, each message once."""
    for encoding in (JSON, MSGPACK):
        async with Node(place, encoding) as node, client(node) as author:
            async with client(node, encoding) as member:
                joined = await member.join(ROOM)
                for number in range(1, 61):
                    await author.send("publish", room=ROOM, data=number)
                seen = await member.frames("message", 20)
                member.drop()
            ack = await author.publish(ROOM, 61)
            assert ack["seq"] == 61, ack
            async with client(node, encoding) as member:
                since = {"epoch": joined["epoch"], "seq": seen[-1]["seq"]}
                back = await member.join(ROOM, since=since)
                assert back["recovered"] is True and back["seq"] == since["seq"], back
                seen += await member.frames("message", 41)
                await author.send("publish", room=ROOM, data=62)
                seen += await member.frames("message", 1)
            assert [message["seq"] for message in seen] == list(range(1, 63))
            assert [message["data"] for message in seen] == list(range(1, 63))


async def test_gap_and_reset(place):
    """What history no longer has is named, and so is a position that the room never had."""
    short = ["--set", "namespaces.default.history_size=16"]
    short += ["--set", "namespaces.default.repair_window=16"]
    async with Node(place, "a", *short) as node, client(node) as author:
        for number in range(1, 2001):
            await author.send("publish", room=ROOM, data=number)
        last = await author.publish(ROOM, 2001)
        async with client(node) as member:
            back = await member.join(ROOM, since={"epoch": last["epoch"], "seq": 3})
            assert back["recovered"] is False, back
            gap = await member.frame("gap")
            assert gap["from"] == 4 and 4 <= gap["to"] < 2001, gap
            rest = await member.frames("message", 2001 - gap["to"])
            assert [message["seq"] for message in rest] == list(range(gap["to"] + 1, 2002))
        async with client(node) as member:
            back = await member.join(ROOM, since={"epoch": "00000000000000ff", "seq": 3})
            assert back["recovered"] is False, back
            reset = await member.frame("reset")
            assert (reset["epoch"], reset["seq"]) == (last["epoch"], 2001), reset
            assert reset["lost"] == 3, reset


# What is sent, and the documented answer: the code of an `error`, after which the connection goes
# on, or the code of a Close.
BAD_FRAMES = [
    ("no JSON", "{nonsense", "bad_frame"),
    ("no map", "[]", "bad_frame"),
    ("no type", "{}", "bad_frame"),
    ("an unknown type", '{"type":"dance","id":5}', "unknown_type"),
    ("a field twice", '{"type":"ping","id":5,"id":5}', "bad_frame"),
    ("id 0", '{"type":"ping","id":0}', "bad_frame"),
    ("id as a float", '{"type":"ping","id":1.0}', "bad_frame"),
    ("a publish without data", '{"type":"publish","id":5,"room":"r"}', "bad_frame"),
    ("no room", '{"type":"join","id":5}', "bad_frame"),
    ("an empty room", '{"type":"join","id":5,"room":""}', "bad_room"),
    ("a room with a blank", '{"type":"join","id":5,"room":"a b"}', "bad_room"),
    ("a reserved room", '{"type":"join","id":5,"room":"$inner"}', "bad_room"),
    ("a long room", '{"type":"join","id":5,"room":"%s"}' % ("r" * 129), "bad_room"),
    ("leaving unjoined", '{"type":"leave","id":5,"room":"r"}', "not_joined"),
    ("much data", '{"type":"publish","id":5,"room":"r","data":"%s"}' % ("x" * 70_000), "too_large"),
    ("broken MessagePack", b"\xc1", "bad_frame"),
    ("MessagePack cut short", b"\x81\xa4type", "bad_frame"),
    ("MessagePack of another type", b"\x93\x01\x02\x03", "bad_frame"),
    ("text that is not UTF-8", b"\xff\xfe", 1007),
    ("a binary frame on JSON", b"\x80", 1003),
    ("a text frame on MessagePack", "{}", 1003),
    ("a huge frame", "x" * (1024 * 1024 + 1), 1009),
]


async def test_bad_frames(place):
    """Each gets its documented answer; after an `error` the connection still works."""
    async with Node(place, "a") as node:
        for what, frame, answer in BAD_FRAMES:
            encoding = MSGPACK if "MessagePack" in what else JSON
            async with client(node, encoding) as sender:
                try:
                    await sender.socket.send(frame, text="UTF-8" in what or None)
                    if isinstance(answer, int):
                        code = await sender.closed()
                        assert code == answer, f"closed with {code}"
                        continue
                    error = await sender.frame("error")
                    assert error["code"] == answer and error["message"], error
                    assert ('"id":5' in str(frame)) <= (error.get("id", 5) == 5), error
                    await sender.send("ping", id=7)
                    assert (await sender.frame("pong"))["id"] == 7
                except AssertionError as failure:
                    raise AssertionError(f"{what}, expecting {answer}: {failure}") from None


async def test_handshakes(place):
    """The subprotocol chooses the encoding; one the node does not know is refused with 400."""
    async with Node(place, "a") as node:
        async with connect(node.url(), open_timeout=ANSWER) as plain:
            assert plain.subprotocol is None, plain.subprotocol
            assert '"connected"' in await asyncio.wait_for(plain.recv(), ANSWER)
        async with connect(node.url(), subprotocols=["chat", MSGPACK, JSON]) as choosing:
            assert choosing.subprotocol == MSGPACK, choosing.subprotocol
        for url, offered in ((node.url(), ["chat"]), (node.url() + "?user=a%20b", [JSON])):
            try:
                async with connect(url, subprotocols=offered, open_timeout=ANSWER):
                    raise AssertionError(f"{url} offering {offered} was let in")
            except InvalidStatus as refused:
                assert refused.response.status_code == 400, refused


async def test_stop_says_come_back(place):
    """A node told to end closes its connections with 1012."""
    node = Node(place, "a")
    await node.start()
    async with client(node) as member:
        await member.join(ROOM)
        await node.stop()
        code = await member.closed()
        assert code == 1012, f"closed with {code}"
