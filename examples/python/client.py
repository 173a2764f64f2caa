"""A client for Roomcast in one file: Python 3.11 or newer, and the package `websockets` (15 or newer).

    python3 client.py ws://127.0.0.1:8080/ws chat     prints the room's messages, publishes the lines of stdin

    async with Client("ws://127.0.0.1:8080/ws", user="alice") as client:
        room = client.room("chat", history=20)
        await room.publish({"text": "hello"})
        async for message in room:
            print(message["seq"], message["data"])

It follows the rules for clients in docs/protocol.md: it comes back with a random, growing pause, resumes
each room from its position on whichever node it reaches, moves when a node asks it to, names every hole
(`Hole`), and sends a publish without an answer again under its key, so that it is stored once.
"""

import asyncio
import collections
import contextlib
import inspect
import itertools
import json
import random
import sys
import threading
import uuid
from urllib.parse import urlencode

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, InvalidURI

ANSWER_TIMEOUT = 10  # seconds for a handshake, and for WebSocket's own pings
STEADY = 5  # seconds after which a connection counts as a success
MOVE_TIMEOUT = 5  # seconds that the old connection of a planned move has for its answers
KEY_TRUST = 100  # seconds in which a publish may be sent again: nodes keep its key for 120
HELD_MESSAGES = 10_000  # of a room whose reader takes its time
FINAL_CODES = {1002, 1003, 1007, 1008, 1009}
PASSING = {"overloaded", "bus_unavailable", "rate_limited", "publish_unknown"}
# A node decides these after it has looked for the key: they are sure, whatever went before.
SURE = {"key_conflict", "seq_conflict"}
REASONS = {4501: "banned", 4502: "disconnected", 4503: "replaced"}


class RoomcastError(Exception):
    """`code` is one of docs/protocol.md, or `closed`, `no_token`, `slow_reader`."""

    def __init__(self, code, message=None):
        super().__init__(f"{code}: {message}" if message else code)
        self.code = code


class Hole(RoomcastError):
    """Messages that cannot be delivered: `frame` is the node's `gap` (`from`, `to`) or `reset` (`lost`).
    Read your application's state again; another `async for` goes on behind the hole."""

    def __init__(self, frame):
        super().__init__(frame["type"])
        self.frame = frame


class Lost(Exception):
    """The connection ended before the answer."""


def final(code):
    """The error of a close code that says "do not come back"."""
    if code in FINAL_CODES or 3500 <= code < 4000 or 4500 <= code < 5000:
        return RoomcastError(REASONS.get(code, f"close_{code}"))
    return None


def close_code(closed):
    return closed.rcvd.code if closed.rcvd else 1006


class Pauses:
    """Full jitter: anything up to a ceiling that doubles."""

    def __init__(self, initial, cap):
        self.initial, self.cap, self.failures = initial, cap, 0

    def next(self, floor=0.0):
        """Seconds; `floor` is what a node demands at least."""
        self.failures += 1
        return floor + random.uniform(0, min(self.cap, self.initial * 2 ** min(self.failures - 1, 20)))


class Client:
    """`token` is a text, or a function (it may be `async`) that is asked for each connection, and before
    the token ends. `on_frame` gets the frames that are no messages: `signal`, `typing`, `user_joined`, …
    `initial` and `cap` bound the pauses, in seconds."""

    def __init__(self, url, *, user=None, token=None, on_frame=None, initial=1.0, cap=30.0):
        self.url, self.user, self.token, self.on_frame = url, user, token, on_frame
        # Without a user the keys of publishes are known by this name: it stays the same.
        self.name = uuid.uuid4().hex
        self.pauses = Pauses(initial, cap)
        self.rooms, self.ids, self.tasks = {}, itertools.count(1), set()
        self.link = self.failure = None
        self.changed = asyncio.Event()

    async def __aenter__(self):
        self.spawn(self._run())
        return self

    async def __aexit__(self, *_):
        self.fail(RoomcastError("closed"))
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        if self.link:
            await self.link.socket.close()

    def room(self, name, *, history=None, since=None):
        """The room, joined as soon as there is a connection. `since` is a position that you kept:
        {"epoch": …, "seq": …} of the last message that you handled."""
        if name not in self.rooms:
            self.rooms[name] = room = Room(self, name, history, since)
            if self.link:
                self.spawn(room.enter(self.link))
        return self.rooms[name]

    async def ask(self, type, **fields):
        """The answer to any other request (`history`, `members`, `received`, …). It is asked once: `Lost`
        says that its connection ended first."""
        answer = await (await self.live()).ask({"type": type, "id": next(self.ids), **fields})
        if answer["type"] == "error":
            raise RoomcastError(answer["code"], answer["message"])
        return answer

    def spawn(self, work):
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    def fail(self, failure):
        """Ends the client for good."""
        self.failure = self.failure or failure
        self.changed.set()
        for room in list(self.rooms.values()):
            room.end(self.failure)

    async def live(self):
        """The connection that counts, as soon as there is one."""
        while not self.failure:
            if self.link and not self.link.is_lost:
                return self.link
            self.changed.clear()
            await self.changed.wait()
        raise self.failure

    async def _run(self):
        pause = 0.0
        try:
            while True:
                old, self.link = self.link, await self._dial(pause)
                for room in self.rooms.values():
                    self.link.joins.append(self.spawn(room.enter(self.link)))
                self.changed.set()
                if old and not old.is_lost:
                    self.spawn(self._hand_over(old, self.link))
                pause = await self._until_over(self.link)
        except RoomcastError as failure:
            self.fail(failure)

    async def _until_over(self, link):
        """Waits until the connection is lost, or is to be left; the pause before the next one."""
        began = asyncio.get_running_loop().time()
        await link.over.wait()
        if asyncio.get_running_loop().time() - began >= STEADY:
            self.pauses.failures = 0
        if not link.is_lost:
            return 0.0
        if failure := final(link.code):
            raise failure
        return self.pauses.next()

    async def _hand_over(self, old, new):
        """The old connection of a planned move counts until its rooms are joined on the new one and
        its requests are answered."""
        try:
            if waiting := [*new.joins, *old.answers.values()]:
                await asyncio.wait(waiting, timeout=MOVE_TIMEOUT)
        finally:
            await old.socket.close()

    async def _dial(self, pause):
        """Tries until a node says `connected`; raises what is final."""
        may_renew = callable(self.token)
        for tries in itertools.count(1):
            await asyncio.sleep(pause)
            floor = 0.0
            try:
                return await self._open(tries)
            except RoomcastError:
                raise
            except InvalidURI as error:
                raise RoomcastError("bad_url", str(error)) from None
            except ConnectionClosed as closed:
                if failure := final(close_code(closed)):
                    raise failure from None
            except InvalidStatus as error:
                status, code, detail, floor = problem(error.response)
                if code == "expired_token" and may_renew:
                    may_renew = False
                # Others may pass: a balancer that is being set up answers 404 for a while.
                elif status in (400, 401, 403):
                    raise RoomcastError(code or f"status_{status}", detail) from None
            except Exception as error:
                # It may pass: no answer, a name that is not found, a token callback that failed.
                print(f"roomcast: {error!r}", file=sys.stderr)
            pause = self.pauses.next(floor)

    async def _open(self, tries):
        query = {"client": self.name, "tries": tries} | ({"user": self.user} if self.user else {})
        headers = {}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {await self.take_token()}"
        socket = await connect(
            f"{self.url}?{urlencode(query)}", subprotocols=["roomcast.v1.json"], additional_headers=headers,
            open_timeout=ANSWER_TIMEOUT, close_timeout=ANSWER_TIMEOUT, ping_timeout=ANSWER_TIMEOUT, max_size=2**24,
        )
        try:
            connected = json.loads(await asyncio.wait_for(socket.recv(), ANSWER_TIMEOUT))
        except BaseException:
            socket.transport.abort()
            raise
        link = Link(self, socket, connected["limits"]["message_bytes"])
        self.spawn(link.read())
        if "expires" in connected:
            self.spawn(link.renew(connected["expires"] - connected["time"]))
        return link

    async def take_token(self):
        token = self.token() if callable(self.token) else self.token
        token = await token if inspect.isawaitable(token) else token
        if not token:
            raise RoomcastError("no_token")  # Never without one by accident.
        return token


def problem(response):
    """Status, code, detail and the demanded pause of a refused handshake."""
    try:
        body = json.loads(response.body or b"{}")
    except ValueError:
        body = {}
    if not isinstance(body, dict) or not body.get("code"):
        body = {}  # A balancer's.
    wait = response.headers.get("Retry-After", "")
    return response.status_code, body.get("code"), body.get("detail"), float(wait) if wait.isdecimal() else 0.0


class Link:
    """One connection: its answers by id, and what ended it."""

    def __init__(self, client, socket, message_bytes):
        self.client, self.socket, self.message_bytes = client, socket, message_bytes
        self.answers, self.joins = {}, []
        self.over, self.is_lost, self.code = asyncio.Event(), False, 1006

    async def ask(self, frame):
        """Sends a request; its answer, or `Lost`."""
        text = json.dumps(frame, ensure_ascii=False, allow_nan=False)
        if len(text.encode()) > self.message_bytes:
            raise RoomcastError("too_large")  # The node would end the connection for good.
        if self.is_lost:
            raise Lost
        answer = self.answers[frame["id"]] = asyncio.get_running_loop().create_future()
        try:
            await self.socket.send(text)
            return await answer
        except ConnectionClosed:
            raise Lost from None
        finally:
            self.answers.pop(frame["id"], None)

    async def read(self):
        try:
            while True:
                self.receive(json.loads(await self.socket.recv()))
        except ConnectionClosed as closed:
            self.code = close_code(closed)
        finally:
            self.is_lost = True
            self.socket.transport.abort()
            self.over.set()
            for answer in self.answers.values():
                if not answer.done():
                    answer.set_exception(Lost())

    def receive(self, frame):
        if frame["type"] == "reconnect":
            asyncio.get_running_loop().call_later(frame["after_ms"] / 1000, self.over.set)
        # The room first: who asked may look at it.
        if room := self.client.rooms.get(frame.get("room")):
            room.receive(self, frame)
        answer = self.answers.get(frame.get("id"))
        if answer and not answer.done():
            answer.set_result(frame)
        elif frame["type"] != "message" and self.client.on_frame:
            self.client.on_frame(frame)

    async def renew(self, life):
        """Brings a new token before the old one ends; `life` is in milliseconds, by the node's clock.
        If that fails the node ends the connection with 4100, and the next one has a new token."""
        if not callable(self.client.token):
            return
        with contextlib.suppress(Lost):
            while True:
                await asyncio.sleep(max(1.0, life / 1000 * random.uniform(0.75, 0.9)))
                try:
                    token = await self.client.take_token()
                except Exception as error:
                    print(f"roomcast: no new token: {error!r}", file=sys.stderr)
                    return
                answer = await self.ask({"type": "refresh", "id": next(self.client.ids), "token": token})
                if answer["type"] != "refreshed":
                    return
                life = answer["expires"] - answer["time"]


class Room:
    """`position` is {"epoch", "seq"}: everything up to it was received. In a room with state `state` is
    a dictionary from key to the newest message of that key, `""` is the room's own."""

    def __init__(self, client, name, history, since):
        self.client, self.name, self.history, self.since = client, name, history, since
        self.position = self.epoch = self.state = self.parts = None
        self.is_snapshot = False
        self.link = self.asked = self.failure = None
        self.held, self.news, self.turn = collections.deque(), asyncio.Event(), asyncio.Lock()
        if client.failure:
            self.end(client.failure)

    async def enter(self, link):
        """Joins on this connection; what passes is tried again."""
        pauses = Pauses(self.client.pauses.initial, self.client.pauses.cap)
        with contextlib.suppress(Lost):
            while not self.failure:
                frame = {"type": "join", "id": next(self.client.ids), "room": self.name}
                if since := self.position or self.since:
                    frame["since"] = since
                elif self.history:
                    frame["history"] = self.history
                self.asked = link
                answer = await link.ask(frame)
                if answer["type"] == "joined":
                    return
                if "retry_after_ms" not in answer and answer["code"] != "bus_unavailable":
                    return self.end(RoomcastError(answer["code"], answer["message"]))
                await asyncio.sleep(pauses.next(answer.get("retry_after_ms", 0) / 1000))

    async def publish(self, data, **fields):
        """Its place, {"epoch", "seq", "time"}. `fields` are those of the frame (`event`, `state_key`, …).
        One at a time in each room, so that their order holds whatever must be sent again."""
        frame = {"key": uuid.uuid4().hex} | fields
        frame |= {"type": "publish", "id": next(self.client.ids), "room": self.name, "data": data}
        loop, is_unsure = asyncio.get_running_loop(), False
        async with self.turn:
            try:
                async with asyncio.timeout(None) as limit:
                    while True:
                        link = await self.live()
                        if not is_unsure:  # From the first sending without a sure answer.
                            limit.reschedule(loop.time() + KEY_TRUST)
                        try:
                            answer = await link.ask(frame)
                        except Lost:
                            is_unsure = True
                            continue
                        if answer["type"] == "ack":
                            return {part: answer[part] for part in ("epoch", "seq", "time")}
                        code = answer["code"]
                        if code not in PASSING:
                            raise RoomcastError("publish_unknown" if is_unsure and code not in SURE else code, answer["message"])
                        is_unsure = is_unsure or code == "publish_unknown"
                        if not is_unsure:  # Surely not stored: it may wait without end.
                            limit.reschedule(None)
                        await asyncio.sleep(answer.get("retry_after_ms", 1000) / 1000 * random.uniform(1, 2))
            except TimeoutError:
                raise RoomcastError("publish_unknown") from None

    async def live(self):
        """The connection that counts, once `join` was sent on it: what is published after it comes back."""
        while True:
            link = await self.client.live()
            if self.asked is link or self.failure:
                return link
            await asyncio.sleep(0)  # Its task is about to run.

    async def leave(self):
        """Ends the membership; `async for` ends."""
        self.end(None)
        if self.client.link:
            with contextlib.suppress(Lost):
                await self.client.link.ask({"type": "leave", "id": next(self.client.ids), "room": self.name})

    def __aiter__(self):
        return self

    async def __anext__(self):
        while not self.held:
            self.news.clear()
            await self.news.wait()
        if isinstance(self.held[0], dict):
            return self.held.popleft()
        if isinstance(self.held[0], Hole):
            raise self.held.popleft()
        raise self.held[0]  # The end: it stays.

    def tell(self, item):
        if len(self.held) >= HELD_MESSAGES:
            self.end(RoomcastError("slow_reader"))
        elif not self.failure:
            self.held.append(item)
            self.news.set()

    def end(self, failure):
        """With an error, or, by one's own wish, without."""
        if self.failure:
            return
        self.failure = failure or RoomcastError("closed")
        self.held.append(failure or StopAsyncIteration())
        self.news.set()
        self.client.rooms.pop(self.name, None)

    # The position. Only what follows moves it.

    def receive(self, link, frame):
        kind = frame["type"]
        if kind == "joined":
            self.link, self.epoch = link, frame["epoch"]
            self.joined(frame)
        elif link is not self.link:
            pass  # Of a planned move: the room is on the other connection.
        elif kind == "message":
            self.message(frame)
        elif kind in ("gap", "reset"):
            self.hole(frame)
        elif kind == "state" and "id" not in frame:
            self.part(frame)
        elif kind == "left" and "id" not in frame:
            self.end(RoomcastError("left", frame.get("reason")))

    def known(self):
        """The last seq of the present epoch that is known."""
        return self.position["seq"] if self.position and self.position["epoch"] == self.epoch else 0

    def joined(self, frame):
        # Where a hole or a snapshot is yet to come the old position holds: a connection that is lost
        # in between must hide nothing.
        self.is_snapshot, self.parts = frame.get("state", False), None
        if not self.is_snapshot and frame.get("recovered", True) and frame["seq"] >= self.known():
            self.position = {"epoch": self.epoch, "seq": frame["seq"]}

    def message(self, frame):
        # Both connections of a planned move bring it: only what is above the position is new.
        if self.is_snapshot or frame["seq"] <= self.known():
            return
        self.position = {"epoch": self.epoch, "seq": frame["seq"]}
        if self.state is not None:
            self.state.pop(frame.get("state_key", ""), None)
            if not frame.get("remove"):
                self.state[frame.get("state_key", "")] = frame
        self.tell(frame | {"epoch": self.epoch})

    def hole(self, frame):
        end, known = frame.get("to", frame.get("seq")), self.known()
        if frame["type"] == "reset":
            self.epoch = frame["epoch"]
        elif end <= known:
            return
        else:
            frame["from"] = max(frame["from"], known + 1)
        self.is_snapshot, self.parts = frame.get("state", False), None
        if not self.is_snapshot:
            self.position = {"epoch": self.epoch, "seq": end}
        # Newer values of the same keys stand for what is `conflated`.
        if not frame.get("conflated"):
            self.tell(Hole(frame))

    def part(self, frame):
        """A part of the room's state: the old one holds until the last part has come."""
        self.parts = self.parts or {}
        self.parts |= {entry.get("key", ""): entry for entry in frame["entries"]}
        if not frame["more"]:
            self.state, self.parts, self.is_snapshot, self.epoch = self.parts, None, False, frame["epoch"]
            self.position = {"epoch": frame["epoch"], "seq": frame["seq"]}


async def main(url, name):
    async with Client(url) as client:
        room = client.room(name, history=20)
        client.spawn(publish_lines(room))
        while True:
            try:
                async for message in room:
                    print(message["seq"], message.get("user", "-"), json.dumps(message["data"], ensure_ascii=False), flush=True)
                return
            except Hole as hole:
                print(f"missing: {hole.frame}", flush=True)


async def publish_lines(room):
    loop, lines = asyncio.get_running_loop(), asyncio.Queue()

    def read():
        for line in sys.stdin:
            loop.call_soon_threadsafe(lines.put_nowait, line.rstrip("\n"))

    # The thread may be left behind in its read.
    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            await room.publish({"text": await lines.get()})
        except RoomcastError as error:
            print(f"not published: {error}", file=sys.stderr)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(*sys.argv[1:]))
