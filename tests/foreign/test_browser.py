"""Chromium on the node's demo, driven by browser.mjs; this side stops and starts the node."""

import asyncio
import pathlib
import shutil

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


async def next_line(browser):
    try:
        line = await asyncio.wait_for(browser.stdout.readline(), STEP)
    except TimeoutError:
        raise AssertionError(f"browser.mjs said nothing for {STEP} s") from None
    return line.decode().strip() or "browser.mjs ended without being done"
