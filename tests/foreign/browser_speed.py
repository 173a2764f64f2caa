"""How Chromium takes 10,000 messages at full speed: the demo, and a bare page on /client.js. A measurement,
best with a release build and nothing beside it:

    target/foreign/venv/bin/python tests/foreign/browser_speed.py --roomcast target/release/roomcast

Each run is a room of its own. What it checks is that no message is lost and all are in order; what it
prints are the long tasks: whatever kept the page from answering for more than 50 ms."""

import argparse
import asyncio
import pathlib
import time

from chromium import chromium
from documents import ROOT
from faults import cluster, flood
from programs import Place

FLOOD = 10_000  # messages
SHOWN = 500  # of which the demo shows the newest
RUNS = 3
QUIET = 1.5  # seconds after the page has loaded, and after the last message


async def main(arguments):
    place = Place(arguments.roomcast.resolve(), arguments.work.resolve(), "browser_speed")
    async with cluster(place, names="a") as nodes, chromium(place) as browser:
        print("| page | run | published in | shown after | longest tasks above 50 ms |\n| --- | --- | --- | --- | --- |")
        for kind in ("demo", "bare"):
            bests = []
            for run in range(1, RUNS + 1):
                bests.append(await measured(nodes, browser, kind, run))
            print(f"{kind}: best of {RUNS} runs: {min(bests):.0f} ms")


async def measured(nodes, browser, kind, run):
    """The longest task of one run in milliseconds; 0: none was long."""
    room, name = f"demo:speed-{kind}-{run}", f"{kind}-{run}"
    page = await (browser.demo(nodes.url, room, name, isFlooded=True) if kind == "demo" else browser.bare(nodes.url, room, name))
    await page.until(lambda look: kind == "demo" or look.start > 0, "the page has joined")
    await asyncio.sleep(QUIET)
    await page.forget()
    began = time.monotonic()
    await flood(nodes, room, FLOOD)
    published = time.monotonic() - began
    async with asyncio.timeout(60):
        while await browser.ask("newest", name=name) < FLOOD:
            await asyncio.sleep(0.1)
    shown = time.monotonic() - began
    await asyncio.sleep(QUIET)
    look = await page.look()
    rows = await nodes.messages(room)
    assert look.rows == rows[-len(look.rows) :] and len(look.rows) == (SHOWN if kind == "demo" else FLOOD), len(look.rows)
    long = sorted((task["duration"] for task in look.longTasks), reverse=True)
    print(f"| {kind} | {run} | {published:.2f} s | {shown:.2f} s | {', '.join(f'{task:.0f} ms' for task in long[:5]) or 'none'} |", flush=True)
    await browser.ask("close", name=name)
    return max(long, default=0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--roomcast", type=pathlib.Path, default=ROOT / "target/release/roomcast", help="the program")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "target/foreign", help="folder for logs, with npm's packages")
    asyncio.run(main(parser.parse_args()))
