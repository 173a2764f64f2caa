"""The Python side of chromium.mjs: a Chromium, its pages, and what they have shown."""

import asyncio
import contextlib
import itertools
import json
import os
import pathlib
import shutil
import signal
from dataclasses import dataclass
from urllib.parse import urlencode


ANSWER = 30  # seconds until a page must show what is waited for
LINE = 64 * 1024 * 1024  # bytes of one answer: 10,000 messages of a page


@contextlib.asynccontextmanager
async def chromium(place, name="chromium"):
    """A Chromium without pages; leaves a picture of each of them behind if its test fails."""
    executable = shutil.which("chromium")
    assert executable, "chromium is not installed"
    script = pathlib.Path(__file__).with_name("chromium.mjs")
    pipe = asyncio.subprocess.PIPE
    with (place.logs / f"{name}.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec("node", script, executable, place.work, stdin=pipe, stdout=pipe, stderr=log, limit=LINE)
    browser = Chromium(process, place)
    reading = asyncio.create_task(browser.read())
    try:
        yield browser
    except BaseException:
        with contextlib.suppress(Exception):
            async with asyncio.timeout(10):
                await browser.pictures()
        raise
    finally:
        await browser.end()
        reading.cancel()


class Chromium:
    def __init__(self, process, place):
        self.process, self.place = process, place
        self.ids, self.asked, self.pages = itertools.count(1), {}, []

    async def read(self):
        while line := await self.process.stdout.readline():
            answer = json.loads(line)
            asked = self.asked.pop(answer["id"])
            if not asked.done():
                if "error" in answer:
                    asked.set_exception(AssertionError(answer["error"]))
                else:
                    asked.set_result(answer["value"])
        for asked in self.asked.values():
            if not asked.done():
                asked.set_exception(AssertionError("chromium.mjs ended"))

    async def ask(self, what, **command):
        id = next(self.ids)
        self.asked[id] = asyncio.get_running_loop().create_future()
        self.process.stdin.write(json.dumps({"id": id, "what": what, **command}).encode() + b"\n")
        try:
            return await asyncio.wait_for(self.asked[id], ANSWER)
        except TimeoutError:
            raise AssertionError(f"Chromium did not answer `{what}` within {ANSWER} s") from None

    async def demo(self, url, room, user, **options):
        """The page at `/`, as somebody who is connected."""
        page = await self.page(user, f"{url}/?{urlencode({'room': room, 'user': user})}", **options)
        await page.until(lambda look: "connected" in look.status and look.queue == 0, f"{user} is connected")
        return page

    async def bare(self, url, room, user, **options):
        """A page that has nothing but /client.js."""
        return await self.page(user, f"{url}/bare?{urlencode({'room': room, 'user': user})}", **options)

    async def page(self, name, url, **options):
        await self.ask("open", name=name, url=url, **options)
        page = Page(self, name)
        self.pages.append(page)
        return page

    async def pictures(self):
        for page in self.pages:
            await self.ask("picture", name=page.name, file=str(self.place.work / f"{self.place.logs.name}-{page.name}.png"))

    def processes(self, kind=""):
        """The ids of Chromium's processes, or of one kind of them."""
        parents = {}
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                parents[int(folder.name)] = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
        found = [self.process.pid]
        for id in found:
            found += [child for child, parent in parents.items() if parent == id]
        return [id for id in found[1:] if kind in command_line(id)]

    @contextlib.contextmanager
    def stopped(self, kind=""):
        """They stand still meanwhile, and all their timers do."""
        ids = self.processes(kind)
        assert ids, f"no process of Chromium is {kind}"
        for id in ids:
            os.kill(id, signal.SIGSTOP)
        try:
            yield
        finally:
            for id in ids:
                os.kill(id, signal.SIGCONT)

    async def end(self):
        if self.process.returncode is None:
            self.process.stdin.close()
            try:
                await asyncio.wait_for(self.process.wait(), ANSWER)
            except TimeoutError:
                for id in [*self.processes(), self.process.pid]:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(id, signal.SIGKILL)
                await self.process.wait()


def command_line(id):
    try:
        return pathlib.Path(f"/proc/{id}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


@dataclass
class Look:
    """What a page shows and has shown: rows are [seq, text], `statuses` all that the indicator said."""

    rows: list
    statuses: list
    wrong: list
    longTasks: list
    longestPause: float
    status: str
    queue: int
    errors: list
    sockets: list
    asked: int
    # Of the bare page alone.
    events: list = ()
    said: list = ()
    state: str = ""
    start: int = 0

    @property
    def node(self):
        """The node that the page is on."""
        return next((socket["node"] for socket in reversed(self.sockets) if socket["isOpen"]), None)

    @property
    def holes(self):
        """The `gap` and `reset` frames that it got."""
        return [hole for socket in self.sockets for hole in socket["holes"]]

    def frames(self, type):
        return sum(socket["types"].get(type, 0) for socket in self.sockets)


class Page:
    def __init__(self, browser, name):
        self.browser, self.name, self.said = browser, name, []

    async def look(self):
        return Look(**await self.browser.ask("look", name=self.name))

    async def until(self, holds, what, seconds=ANSWER):
        """The first look for which it holds."""
        look = None
        try:
            async with asyncio.timeout(seconds):
                while not holds(look := await self.look()):
                    await asyncio.sleep(0.05)
        except TimeoutError:
            told = look and (look.status, look.state, look.statuses[-8:], look.events[-8:], look.queue, look.rows[-2:], look.sockets)
            raise AssertionError(f"not within {seconds} s: {what}; last: {told}") from None
        return look

    async def say(self):
        """Sends the next message of this person, and returns its text."""
        text = f"[{self.name} {len(self.said) + 1}]"
        self.said.append(text)
        await self.browser.ask("say", name=self.name, text=text)
        return text

    async def forget(self):
        await self.browser.ask("forget", name=self.name)

    async def offline(self, is_offline):
        await self.browser.ask("offline", name=self.name, isOffline=is_offline)
