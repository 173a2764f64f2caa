"""Runs the SDK's own tests against a real node: the package as it is built, in both encodings."""

from documents import ROOT
from programs import program


async def test_sdk_against_a_node(place):
    folder, log = ROOT / "sdk/typescript", place.logs / "vitest.log"
    tests = ["vitest", "--run", "--root", folder, "test/live"]
    command = ["env", f"ROOMCAST={place.roomcast}", folder / "node_modules/.bin" / tests[0], *tests[1:]]
    async with program(command, log) as running:
        ended = await running.wait()
    said = log.read_text()
    # Without a node they are skipped: none may have been.
    assert ended == 0 and " passed" in said and "skipped" not in said, said
