"""Chromium on the node's demo: driven by browser.mjs, while this side stops and starts the node; and by the
demo's own script, which looks at each of its states."""

import asyncio
import pathlib
import shutil

from documents import ROOT
from programs import Node, program

STEP = 60  # seconds for one step of the script in the browser


async def test_page_in_chromium(place):
    chromium = shutil.which("chromium")
    assert chromium, "chromium is not installed"
    async with Node(place, "a") as node:
        script = pathlib.Path(__file__).with_name("browser.mjs")
        command = ["node", script, chromium, place.work, node.url("http", "/")]
        pipe = asyncio.subprocess.PIPE
        async with program(command, place.logs / "browser.log", pipe, pipe) as browser:
            while (step := await next_line(browser)) != "done":
                if step == "stop the node":
                    await node.stop()
                elif step == "start the node":
                    await node.start()
                else:
                    raise AssertionError(step)
                browser.stdin.write(b"\n")
            assert await asyncio.wait_for(browser.wait(), STEP) == 0, "browser.mjs failed"


async def test_page_in_every_state(place):
    """Chat, the keyboard alone, and axe-core on a desktop and a phone, one light and one dark."""
    async with Node(place, "a") as node:
        settings = [f"CHROMIUM={shutil.which('chromium')}", "LOOKS=desktop-light phone-dark"]
        command = ["node", ROOT / "sdk/demo/test/browser.mjs", node.url("http", "/")]
        log = place.logs / "browser.log"
        async with program(["env", *settings, *command], log) as browser:
            assert await browser.wait() == 0, log.read_text()


async def next_line(browser):
    try:
        line = await asyncio.wait_for(browser.stdout.readline(), STEP)
    except TimeoutError:
        raise AssertionError(f"browser.mjs said nothing for {STEP} s") from None
    return line.decode().strip() or "browser.mjs ended without being done"
