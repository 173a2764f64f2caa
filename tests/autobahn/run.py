"""Runs the Autobahn test suite against `roomcast echo`, and compares what it says with results.md.

Ends with 1 if a case failed, or behaves otherwise than the report in the tree says. With
REGENERATE=1 the report is written instead of compared.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
REPORT = HERE / "results.md"
AGENT = "roomcast"
WSTEST = "from autobahntestsuite import wstest; wstest.run()"
HOURS = 2  # until the suite is ended

# All cases, in parts that take about as long as each other.
PARTS = [["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*"]]
PARTS += [[f"12.{group}.*"] for group in range(1, 6)] + [[f"13.{group}.*"] for group in range(1, 8)]
# What a case may be, in both columns.
GOOD = {"OK", "NON-STRICT", "INFORMATIONAL"}
# Cases that offer a window of 9 bits only, which the node declines.
DECLINED = re.compile(r"13\.[35]\.")
SECTIONS = {
    "1": "framing", "2": "pings and pongs", "3": "reserved bits", "4": "opcodes",
    "5": "fragmentation", "6": "UTF-8", "7": "close", "9": "limits and performance",
    "10": "automatic fragmentation", "12": "compression, small and large messages",
    "13": "compression, parameters",
}
# Why a case is not plainly OK, by the begin of its number.
REASONS = {
    "6.4": "A frame's text is looked at when the frame is whole, not while its bytes come.",
    "7.1.6": "What follows a Close may be read or not: the suite only notes it.",
    "7.13": "Close codes that RFC 6455 neither allows nor forbids: the suite only notes the answer.",
    "13.3": "Only a window of 9 bits is offered for the node's direction; the node declines it.",
    "13.5": "Only a window of 9 bits is offered for the node's direction; the node declines it.",
}


def number(case):
    return [int(part) for part in case.split(".")]


def suite(arguments, address):
    """Runs the suite, its parts side by side; the results by case."""
    parts = [[case] for case in arguments.cases] or PARTS
    with concurrent.futures.ThreadPoolExecutor(len(parts)) as pool:
        running = [pool.submit(part, arguments, address, str(at), cases)
                   for at, cases in enumerate(parts)]
        return {case: result for one in running for case, result in one.result().items()}


def part(arguments, address, name, cases):
    place = arguments.work / name
    place.mkdir(parents=True, exist_ok=True)
    spec = {"servers": [{"agent": AGENT, "url": address}], "outdir": str(place / "reports"),
            "cases": cases, "exclude-cases": [], "exclude-agent-cases": {}}
    (place / "spec.json").write_text(json.dumps(spec))
    environment = os.environ | {"PYTHONPATH": str(arguments.site)}
    command = [arguments.python, "-c", WSTEST, "-m", "fuzzingclient", "-s", str(place / "spec.json")]
    with open(place / "wstest.log", "wb") as log:
        subprocess.run(command, env=environment, cwd=place, stdout=log, stderr=log, check=True,
                       timeout=HOURS * 3600)
    return json.loads((place / "reports" / "index.json").read_text())[AGENT]


def is_expected(case, result):
    columns = {result["behavior"], result["behaviorClose"]}
    declined = DECLINED.match(case) and result["behavior"] == "UNIMPLEMENTED"
    return columns <= GOOD or (declined and result["behaviorClose"] in GOOD)


def reason(case):
    found = [text for begin, text in REASONS.items() if f"{case}.".startswith(f"{begin}.")]
    return found[0] if found else "?"


def report(results):
    """The report as a page: counts by section, and every case that is not OK in both columns."""
    lines = ["# Autobahn's test suite on `roomcast echo`", "", INTRODUCTION, ""]
    kinds = ["OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED"]
    kinds += sorted({result["behavior"] for result in results.values()} - set(kinds))
    lines += [f"| section | | {' | '.join(kinds)} |", "| --- |" + " --- |" * (len(kinds) + 1)]
    counted = {}
    for case, result in results.items():
        row = counted.setdefault(case.split(".")[0], dict.fromkeys(kinds, 0))
        row[result["behavior"]] += 1
    for section in sorted(counted, key=int):
        counts = " | ".join(str(counted[section][kind]) for kind in kinds)
        lines.append(f"| {section} | {SECTIONS.get(section, '')} | {counts} |")
    sums = " | ".join(str(sum(row[kind] for row in counted.values())) for kind in kinds)
    lines += [f"| all | {len(results)} cases | {sums} |", "", "Cases that are not OK in both columns:", ""]
    lines += ["| case | behaviour | close | why |", "| --- | --- | --- | --- |"]
    for case in sorted(results, key=number):
        result = results[case]
        behaviour, close = result["behavior"], result["behaviorClose"]
        if (behaviour, close) != ("OK", "OK"):
            lines.append(f"| {case} | {behaviour} | {close} | {reason(case)} |")
    return "\n".join(lines) + "\n"


INTRODUCTION = """Made by `scripts/autobahn.sh` (PyPI's `autobahntestsuite` 0.8.2 as fuzzing client, which needs Python 2.7; sections 8 and 11 do not exist). `roomcast echo` serves with the same WebSocket code as a node, and sends every message back, with compression where a client offers it. `REGENERATE=1 scripts/autobahn.sh` writes this page anew; without it, what differs from it fails."""


def main(arguments):
    node = subprocess.Popen([arguments.roomcast, "echo", "--listen", "127.0.0.1:0"],
                            stdout=subprocess.PIPE, text=True)
    try:
        address = node.stdout.readline().strip()
        if not address:
            return "roomcast echo did not start"
        results = suite(arguments, address)
    finally:
        node.terminate()
        status = node.wait(30)
    bad = sorted((case for case in results if not is_expected(case, results[case])), key=number)
    for case in bad:
        print(case, results[case]["behavior"], results[case]["behaviorClose"])
    print(f"autobahn: {len(results) - len(bad)} passed, {len(bad)} failed")
    if status != 0:
        return f"roomcast echo ended with {status}"
    text = report(results)
    if arguments.cases:
        print(text)
    elif os.environ.get("REGENERATE") == "1":
        REPORT.write_text(text)
    elif REPORT.read_text() != text:
        (arguments.work / "results.md").write_text(text)
        return f"the results differ from {REPORT}: see {arguments.work / 'results.md'}"
    return 1 if bad else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--roomcast", required=True, help="the program")
    parser.add_argument("--python", required=True, help="a Python 2.7")
    parser.add_argument("--site", required=True, type=pathlib.Path, help="where the suite is installed")
    parser.add_argument("--work", required=True, type=pathlib.Path, help="where its reports go")
    parser.add_argument("cases", nargs="*", help="only these cases (6.4.*)")
    chosen = parser.parse_args()
    chosen.work, chosen.site = chosen.work.resolve(), chosen.site.resolve()
    sys.exit(main(chosen))
