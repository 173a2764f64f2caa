"""Chromium on the node's demo: driven by browser.mjs, while this side stops and starts the node; and by the
demo's own script, which looks at each of its states."""

import asyncio
import pathlib
import shutil

from documents import ROOT
from programs import Node, program

STEP = 60  # seconds for one step of the script in the browser


async def test_page_in_chromium(place):
    async with Node(place, "a") as node:
        await driven(place, node, "browser.mjs", node.url("http", "/"))


async def test_page_in_every_state(place):
    """Chat, the keyboard alone, and axe-core on a desktop and a phone, one light and one dark."""
    async with Node(place, "a") as node:
        settings = [f"CHROMIUM={shutil.which('chromium')}", "LOOKS=desktop-light phone-dark"]
        command = ["node", ROOT / "sdk/demo/test/browser.mjs", node.url("http", "/")]
        log = place.logs / "browser.log"
        async with program(["env", *settings, *command], log) as browser:
            assert await browser.wait() == 0, log.read_text()


async def driven(place, node, script, *arguments):
    """Runs a script that drives Chromium, and does what it asks for on stdout (steps.mjs)."""
    chromium = shutil.which("chromium")
    assert chromium, "chromium is not installed"
    command = ["node", pathlib.Path(__file__).with_name(script), chromium, place.work, *arguments]
    pipe = asyncio.subprocess.PIPE
    async with program(command, place.logs / "browser.log", pipe, pipe) as browser:
        while (step := await next_line(browser, script)) != "done":
            if step == "stop the node":
                await node.stop()
            elif step == "start the node":
                await node.start()
            else:
                raise AssertionError(step)
            browser.stdin.write(b"\n")
        assert await asyncio.wait_for(browser.wait(), STEP) == 0, f"{script} failed"


async def next_line(browser, script):
    try:
        line = await asyncio.wait_for(browser.stdout.readline(), STEP)
    except TimeoutError:
        raise AssertionError(f"{script} said nothing for {STEP} s") from None
    return line.decode().strip() or f"{script} ended without being done"
