"""Runs the tests with foreign clients, each under its deadline, and counts. One after the other, but for
modules that say how many of theirs may run side by side."""

import argparse
import asyncio
import pathlib
import signal
import sys
import time
import traceback

import test_asyncapi
import test_backends
import test_browser
import test_cluster
import test_commands
import test_documents
import test_examples
import test_page_faults
import test_relay
import test_sdk
import test_wscat
from programs import Place

MODULES = [
    test_relay, test_cluster, test_wscat, test_browser, test_backends, test_examples, test_sdk, test_asyncapi,
    test_documents, test_commands, test_page_faults,
]
DEADLINE = 120  # seconds for one test, with the starting and stopping of its programs


def tests(module, wanted):
    for name, test in vars(module).items():
        if name.startswith("test_") and (not wanted or any(part in name for part in wanted)):
            yield name, test


async def run(test, place):
    """None, or what went wrong."""
    try:
        async with asyncio.timeout(DEADLINE):
            await test(place)
    except asyncio.CancelledError:
        raise
    except Exception as failure:
        return "".join(traceback.format_exception(failure))
    return None


async def main(arguments):
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)
    outcomes = []
    for module in MODULES:
        free = asyncio.Semaphore(getattr(module, "SIDE_BY_SIDE", 1))

        async def judged(name, test):
            async with free:
                began = time.monotonic()
                place = Place(arguments.roomcast.resolve(), arguments.work.resolve(), name)
                failure = await run(test, place)
            print(f"{'FAILED' if failure else 'ok':6} {name} ({time.monotonic() - began:.1f} s)")
            if failure:
                print(failure)
                place.show_logs()
            return not failure

        outcomes += await asyncio.gather(*(judged(name, test) for name, test in tests(module, arguments.wanted)))
    passed = sum(outcomes)
    print(f"foreign clients: {passed} passed, {len(outcomes) - passed} failed")
    return 0 if outcomes and all(outcomes) else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--roomcast", type=pathlib.Path, required=True, help="the program")
    parser.add_argument("--work", type=pathlib.Path, required=True, help="folder for logs")
    parser.add_argument("wanted", nargs="*", help="parts of the names of the tests to run")
    try:
        sys.exit(asyncio.run(main(parser.parse_args())))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit("interrupted")
