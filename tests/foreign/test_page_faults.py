"""Pages in Chromium through faults: a node is killed, a node drains, Redis stands still and is killed, the
network fails, the machine sleeps, tokens end. Somebody publishes all the while. In the end each page shows
every message once and in order, its own of meanwhile too, and its indicator told the truth in between."""

import asyncio
import contextlib
import re
import secrets
import signal

from chromium import chromium
from faults import HEARTBEAT, cluster, flood, killed, publishing, way

ROOM = "demo:faults"
SHOWN = 500  # messages that the demo shows; of more the newest
SLEEP = 60  # seconds
FLOOD = 10_000  # messages
LONGEST = 30  # seconds of a pause between two attempts
# Most of their time these wait: `run.py` runs so many of them at a time, the longest first.
SIDE_BY_SIDE = 3


@contextlib.asynccontextmanager
async def people(place, **options):
    """Two people in the demo, and one on a bare page, who keeps all messages."""
    async with cluster(place, **options) as nodes, chromium(place) as browser:
        alice, bob = [await browser.demo(nodes.url, ROOM, user) for user in ("alice", "bob")]
        yield nodes, alice, bob, await browser.bare(nodes.url, ROOM, "carol")


async def test_page_wakes_from_sleep(place):
    """Alice's machine sleeps for a minute; of Bob's browser only what runs pages does."""
    async with cluster(place) as nodes, chromium(place, "alice") as hers, chromium(place, "bob") as his:
        alice, bob = await hers.demo(nodes.url, ROOM, "alice"), await his.demo(nodes.url, ROOM, "bob")
        carol = await his.bare(nodes.url, ROOM, "carol")
        async with publishing(nodes, ROOM) as publisher:
            await publisher.more()
            for page in (alice, bob, carol):
                await page.forget()
            with hers.stopped(), his.stopped("--type=renderer"):
                await asyncio.sleep(SLEEP)
            await asyncio.gather(alice.say(), bob.say(), carol.say())
            await publisher.more()
        for page in (alice, bob, carol):
            look = await page.look()
            assert look.longestPause > (SLEEP - 2) * 1000, f"{page.name} stood still for {look.longestPause} ms only"
        looks = await judge(nodes, publisher, alice, bob, carol)
        told(looks[alice], "reconnecting", "resumed")


async def test_page_survives_a_killed_node(place):
    async with people(place) as (nodes, alice, bob, carol), publishing(nodes, ROOM) as publisher:
        await publisher.more()
        for page in (alice, bob):
            await page.forget()
            node = nodes.of(await page.look())
            await killed(node)
            await page.say()
            await page.until(lambda look: any("reconnecting" in said for said in look.statuses), "it says that it is cut off", 10)
            await page.say()
            await page.until(lambda look: "resumed" in look.status, "it says that it is back", 15)
            await publisher.more()
            told(await page.look(), "reconnecting", "resumed")
            await node.start()
        await publisher.end()
        await judge(nodes, publisher, alice, bob, carol)


async def test_page_moves_from_a_draining_node(place):
    """A planned move is none of a reader's business: the indicator says `connected` all the time."""
    settings = ["--set", "drain.total=12s", "--set", "drain.pause=1s"]
    async with people(place, settings=settings) as (nodes, alice, bob, carol), publishing(nodes, ROOM) as publisher:
        await publisher.more()
        for page in (alice, bob):
            await page.forget()
        node = nodes.of(before := await alice.look())
        drained = asyncio.create_task(node.stop())
        while not drained.done():
            await asyncio.gather(alice.say(), bob.say())
            await asyncio.sleep(0.5)
        await drained
        await node.start()
        await publisher.more()
        await publisher.end()
        looks = await judge(nodes, publisher, alice, bob, carol)
        look = looks[alice]
        assert look.frames("reconnect") == before.frames("reconnect") + 1, "the node did not ask it to move"
        assert look.node != before.node and len(look.sockets) == len(before.sockets) + 1, look.sockets
        for page in (alice, bob):
            told(looks[page])


async def test_page_waits_for_redis(place):
    """While Redis hangs, and while it is gone, the page shows what it has not sent yet."""
    async with people(place) as (nodes, alice, bob, carol), publishing(nodes, ROOM) as publisher:
        await publisher.more()
        for page in (alice, bob):
            await page.forget()
        nodes.redis.signal(signal.SIGSTOP)
        await waits(alice)
        nodes.redis.signal(signal.SIGCONT)
        await alice.until(lambda look: look.queue == 0, "what waited is sent")
        await publisher.more()
        await nodes.redis.kill()
        await waits(bob)
        await nodes.redis.start()
        await bob.until(lambda look: look.queue == 0, "what waited is sent")
        await publisher.more()
        await publisher.end()
        # A Redis that comes back may have lost something: the room goes on in another epoch, and says that nothing is.
        looks = await judge(nodes, publisher, alice, bob, carol, epochs=2)
        for page in (alice, bob):
            # The connections have nothing to do with it.
            told(looks[page])
        holes = [hole for hole in looks[carol].holes if hole["room"] == ROOM]
        assert [(hole["type"], hole["lost"]) for hole in holes] == [("reset", 0)], holes


async def test_page_tells_what_redis_lost(place):
    """Redis comes back empty: the room begins again, the page says so, and nothing of the new numbering is missing."""
    async with people(place) as (nodes, alice, bob, carol):
        async with publishing(nodes, ROOM) as publisher:
            await publisher.more()
        old = publisher.rows
        for page in (alice, bob):
            await page.until(lambda look: look.rows == old, f"{page.name} shows them")
            await page.forget()
        await nodes.redis.kill(is_emptied=True)
        said = [await alice.say(), await bob.say()]
        await nodes.redis.start()
        async with publishing(nodes, ROOM, name="again-") as publisher:
            await publisher.more()
            await asyncio.gather(*(page.until(lambda look: look.queue == 0, "what waited is sent") for page in (alice, bob)))
        rows = await nodes.messages(ROOM)
        assert [row for row in rows if row[1] not in said] == publisher.rows and {text for _, text in rows} >= set(said), rows
        assert [seq for seq, _ in rows] == list(range(1, len(publisher.rows) + 3)), "the room has holes"
        for page in (alice, bob):
            look = await page.until(lambda look: look.rows == old + rows, f"{page.name} shows old and new")
            told(look, "gap")
            assert look.wrong == [f"1 is shown after {old[-1][0]}"] and not look.errors, (look.wrong, look.errors)


async def waits(page):
    await page.say()
    for _ in range(8):
        await asyncio.sleep(0.5)
        assert (look := await page.look()).queue == 1, f"{page.name} has {look.queue} queued"


async def test_page_goes_offline(place):
    """Alice's network swallows everything, and is back; then she is told that she is offline, and online."""
    async with people(place) as (nodes, _, bob, carol), way(nodes.port) as network:
        alice = await bob.browser.demo(network.url, ROOM, "alice-on-the-way")
        async with publishing(nodes, ROOM) as publisher:
            await publisher.more()
            for page in (alice, bob):
                await page.forget()
            network.darken()
            await alice.say()
            # Nothing says that the way is dark: she asks after a silent heartbeat, and waits for the answer.
            await alice.until(lambda look: "reconnecting" in look.status, "she notices", HEARTBEAT + 10 + 5)
            await alice.say()
            await alice.until(lambda look: look.queue == 2, "both wait")
            network.heal()
            await alice.until(lambda look: "resumed" in look.status and look.queue == 0, "she is back")
            told(await alice.look(), "reconnecting", "resumed")

            await alice.forget()
            # In this order: a frame that comes to a Chromium which plays offline keeps it from seeing the end.
            network.cut()
            await alice.offline(True)
            await alice.say()
            await alice.until(lambda look: "reconnecting" in look.status, "she notices at once", 5)
            # Meanwhile the pauses between her attempts have grown.
            await asyncio.sleep(6)
            assert "reconnecting" in (await alice.look()).status
            network.heal()
            await alice.offline(False)
            await alice.until(lambda look: "resumed" in look.status and look.queue == 0, "the event brings her back", 5)
            told(await alice.look(), "reconnecting", "resumed")
        looks = await judge(nodes, publisher, alice, bob, carol)
        told(looks[bob])


async def test_page_tells_of_a_gap(place):
    """What the room no longer keeps is named, and nothing else is missing."""
    settings = ["--set", "namespaces.demo.repair_window=16"]
    async with cluster(place, "ab", settings, kept=20) as nodes, chromium(place) as browser, way(nodes.port) as network:
        alice, carol = await browser.demo(network.url, ROOM, "alice"), await browser.bare(nodes.url, ROOM, "carol")
        await carol.until(lambda look: look.start > 0, "carol has joined")
        async with publishing(nodes, ROOM) as publisher:
            await publisher.more()
            await alice.forget()
            node = nodes.of(await alice.look())
            network.cut()
            await alice.until(lambda look: "reconnecting" in look.status, "she is cut off", 10)
            # What a node has in its memory reaches further back than the history.
            await node.stop()
            await publisher.more(100)
            await node.start()
            network.heal()
            await alice.until(lambda look: "gap" in look.status, "she is told")
            await publisher.more()
        rows = publisher.rows
        look = await alice.until(lambda look: look.rows[-1] == rows[-1], "she has the last message")
        told(look, "reconnecting", "gap")
        (gap,) = [hole for hole in look.holes if hole["room"] == ROOM]
        assert look.rows == [row for row in rows if not gap["from"] <= row[0] <= gap["to"]], gap
        assert look.wrong == [f"{gap['to'] + 1} is shown after {gap['from'] - 1}"] and not look.errors, (look.wrong, look.errors)
        assert (look := await carol.look()).rows == rows and "gap" not in look.events, look.events


async def test_page_renews_its_token(place):
    """Tokens of a few seconds: renewed early; missing for a while; and no good any more."""
    secret = secrets.token_hex(32)
    configuration = f'[auth]\nhs_secret = "{secret}"\nleeway = "2s"\n'
    async with cluster(place, configuration=configuration) as nodes, chromium(place) as browser:

        async def page(user, *lives, **more):
            rooms = {"demo:*": ["join", "publish", "history"]}
            tokens = {"secret": secret, "user": user, "rooms": rooms, "lives": lives, **more}
            return await browser.bare(nodes.url, ROOM, user, tokens=tokens)

        async with publishing(nodes, ROOM) as publisher:
            early, late = await page("early", 6), await page("late", 5, 60, none=(2, 12))
            never, no_more = await page("never", -5), await page("no-more", 5, -5)
            for each in (early, late):
                await each.until(lambda look: look.start > 0, f"{each.name} has joined")
            for _ in range(16):
                await asyncio.gather(early.say(), late.say())
                await asyncio.sleep(1)
            await late.until(lambda look: look.events[-1] == "resumed", "it is back with a later token")
        looks = await judge(nodes, publisher, early, late)
        assert looks[early].frames("refreshed") >= 2 and looks[early].events == ["connected"], looks[early].events
        assert len(looks[early].sockets) == 1, looks[early].sockets
        assert "reconnecting 4100" in looks[late].events and "gap" not in looks[late].events, looks[late].events
        for ended, before in ((never, []), (no_more, ["connected"])):
            look = await ended.until(lambda look: look.state == "closed", f"{ended.name} has ended")
            assert [event for event in look.events if "reconnect" not in event and "refused" not in event] == [*before, "failed expired_token"], look.events
        # For the first time, and once more since the node said `expired_token`.
        assert (asked := (await never.look()).asked) == 2, asked


def told(look, *words):
    """The indicator has said these, in this order, and of breaks nothing else; without a word, `connected` alone."""
    if not words:
        assert set(look.statuses) == {"connected"}, look.statuses
        return
    said = [word for status in look.statuses for word in ("reconnecting", "resumed", "gap", "stopped") if word in status]
    assert all(int(seconds) <= LONGEST for seconds in re.findall(r"reconnecting in (\d+) s", " ".join(look.statuses))), look.statuses
    # That the break before is over may still have been said when this one came.
    said = said[said.index(words[0]) if words[0] in said else 0 :]
    assert tuple(word for at, word in enumerate(said) if said[at - 1 : at] != [word]) == words, look.statuses


async def judge(nodes, publisher, *pages, epochs=1):
    """Every page shows what the room holds; the room holds what was acknowledged and said, once."""
    rows = await nodes.messages(ROOM)
    assert [seq for seq, _ in rows] == list(range(1, len(rows) + 1)), "the room has holes"
    assert len(publisher.epochs) == epochs, f"the room's epochs: {publisher.epochs}"
    assert [row for row in rows if " " not in row[1]] == publisher.rows, "what was acknowledged is not what the room holds"
    said = [text for page in pages for text in page.said]
    assert sorted(text for _, text in rows if " " in text) == sorted(said), "own messages are not stored once"
    looks = {}
    for page in pages:
        look = looks[page] = await page.until(lambda look: shows(look, rows), f"{page.name} shows the newest of {len(rows)} messages")
        assert look.rows == (rows[look.start - 1 :] if look.start else rows[-SHOWN:]), page.name
        assert not look.wrong and not look.errors, (page.name, look.wrong, look.errors)
    return looks


def shows(look, rows):
    enough = len(look.rows) >= min(len(rows), SHOWN) or look.start
    return look.rows and look.rows[-1] == rows[-1] and look.queue == 0 and enough


async def test_page_in_a_flood(place):
    """10,000 messages at once: the demo shows the newest of them, without holes, the bare page all."""
    async with cluster(place, names="a") as nodes, chromium(place) as browser:
        alice = await browser.demo(nodes.url, ROOM, "alice", isFlooded=True)
        carol = await browser.bare(nodes.url, ROOM, "carol")
        await carol.until(lambda look: look.start > 0, "carol has joined")
        await flood(nodes, ROOM, FLOOD)
        rows = await nodes.messages(ROOM)
        assert len(rows) == FLOOD and sorted(text for _, text in rows) == sorted(f"[{number}]" for number in range(FLOOD))
        for page in (alice, carol):
            look = await page.until(lambda look: shows(look, rows), f"{page.name} shows the newest")
            assert look.rows == (rows if page is carol else rows[-SHOWN:]), page.name
            assert not look.wrong and not look.errors, (page.name, look.wrong, look.errors)
