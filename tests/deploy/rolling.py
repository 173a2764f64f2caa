"""A rolling restart of every node behind a balancer, under load: nobody misses anything, clients move
evenly, and no node takes them faster than it may.

    scripts/rolling.sh [nginx|haproxy] [CLIENTS] [MESSAGES A SECOND]

runs it at full size with the release build, prints how clients moved and draws it."""

import contextlib
import html
import json
import math
import os
import re
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import up
from checks import ROOT, check, eventually, failures, get

NODES = ["node-1", "node-2", "node-3"]
OPENED = re.compile(r"^roomcast_connections_opened_total\{.*\} (\d+)", re.MULTILINE)
PHASE = re.compile(r"^roomcast_drain_phase (\d)", re.MULTILINE)
LOOK = 0.1  # seconds
PARTS = 10  # of a window, in the histogram


class Accepts:
    """How many connections each node has taken, ten times a second."""

    def __init__(self, described):
        self.urls = {node: f"http://{described.addresses[node]}:9100/metrics" for node in NODES}
        self.begun = time.monotonic()
        self.taken = {node: [] for node in NODES}  # pairs of time and how many since the last look
        self.phases = {node: [] for node in NODES}  # pairs of time and phase
        self.ended = threading.Event()
        self.threads = [threading.Thread(target=self.watch, args=[node]) for node in NODES]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join()

    def now(self):
        return time.monotonic() - self.begun

    def watch(self, node):
        known = None
        while not self.ended.wait(LOOK):
            _, _, text = get(self.urls[node])
            counts = [int(count) for count in OPENED.findall(text)]
            if not counts:
                known = None  # It is away, and counts from zero when it is back.
                continue
            self.taken[node].append((self.now(), sum(counts) - (known or 0)))
            self.phases[node].append((self.now(), int(PHASE.search(text)[1])))
            known = sum(counts)

    def between(self, begin, end):
        """When connections were taken, by any node: a time for each."""
        taken = [one for node in NODES for one in self.taken[node] if begin <= one[0] < end]
        return sorted(at for at, count in taken for _ in range(count))



@dataclass
class Drain:
    """One node's end: when its clients were to move, and when they came to others."""

    node: str
    begun: float
    window: tuple = (0, 0)
    moved: list = field(default_factory=list)

    def parts(self):
        """How many came in each part of the window."""
        begin, end = self.window
        counts = [0] * PARTS
        for at in self.moved:
            counts[min(PARTS - 1, int((at - begin) / (end - begin) * PARTS))] += 1
        return counts


def fastest(taken, since=0):
    """The most that any node took in any second, from a moment on."""
    most = 0
    for counts in taken.values():
        for begin, _ in counts:
            if begin >= since:
                most = max(most, sum(count for at, count in counts if begin <= at < begin + 1))
    return most


def window(total, pause):
    """How long clients move, by docs/guarantees.md."""
    rest = total - pause
    return rest - min(2, rest / 10) - min(5, rest / 5)


def roll(described, accepts, length):
    """Drains and starts one node after the other; what became of their clients."""
    drains = []
    for node in NODES:
        drain = Drain(node, accepts.now())
        process = up.started[node]
        command = [up.PROGRAMS["roomcast"], "drain", "--pid", str(process.pid)]
        done = subprocess.run(command, capture_output=True, text=True)
        check(done.returncode == 0 and process.wait() == 0, f"{node} drains and ends with 0", done.stderr)
        moving = [at for at, phase in accepts.phases[node] if phase == 2 and at > drain.begun]
        drain.window = (moving[0], moving[0] + length)
        drain.moved = accepts.between(moving[0], moving[0] + length)
        drains.append(drain)
        up.start(described, node)
        ready = f"http://{described.addresses[node]}:9100/health/ready"
        eventually(lambda: get(ready)[0] == 200, f"{node} is back")
    return drains


def judge(drains, accepts, clients, limit=2000):
    """Clients moved evenly, and no faster than nodes take them."""
    for drain in drains:
        counts = drain.parts()
        mean = sum(counts) / PARTS
        # By chance a part of so many differs by three times the root of the mean.
        slack = 4 * mean**0.5 + 0.35 * mean
        share = clients / len(drains)
        even = sum(counts) >= share / 2 and all(abs(count - mean) <= slack for count in counts)
        check(even, f"{drain.node}: clients moved evenly over its window: {counts}")
    moved = sum(len(drain.moved) for drain in drains)
    check(moved >= clients * 0.8, f"{moved} moves of {clients} clients in the windows")
    most = fastest(accepts.taken)
    check(most <= limit, f"no node took more than {limit} connections in a second: {most}")


@contextlib.contextmanager
def load(address, *arguments, name="load"):
    """Clients in rooms through a balancer; it ends with 0 if each of them got what it should."""
    scenario = str(ROOT / "loadtest/scenarios/rolling.toml")
    command = [os.environ["LOADTEST"], "run", scenario, "--at", f"ws://{address}"]
    with open(up.RUN / name, "w") as log:
        process = subprocess.Popen([*command, *map(str, arguments)], stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()


def picture(drains, taken, title):
    """Connections that nodes took while others ended, in a page of its own: from a second before the
    first drain to some seconds after the last client moved."""
    width, height = 1000, 220
    colours = dict(zip(NODES, ["#1f60c4", "#37872d", "#e0752d"]))
    begin, end = drains[0].begun, drains[-1].window[1] + 5
    first, last = math.floor(begin) - 1, math.ceil(end)
    seconds = {node: [0] * (last - first) for node in NODES}
    for node in NODES:
        for at, count in taken[node]:
            if begin <= at < end:
                seconds[node][math.floor(at) - first] += count
    most = max(sum(all_nodes) for all_nodes in zip(*seconds.values()))
    marks = y_marks(most)
    x = lambda at: (at - first) / (last - first) * width
    y = lambda count: height - count / marks[-1] * height
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-60 -48 {width + 80} {height + 100}" font-family="sans-serif" font-size="13">']
    parts.append(f'<rect x="-60" y="-48" width="{width + 80}" height="{height + 100}" fill="#fff"/>')
    parts.append(f'<text x="0" y="-26" font-size="15">{html.escape(title)}</text>')
    for drain in drains:
        left, right = x(drain.window[0]), x(drain.window[1])
        parts.append(f'<rect x="{left:.1f}" y="0" width="{right - left:.1f}" height="{height}" fill="{colours[drain.node]}" opacity="0.12"/>')
        parts.append(f'<text x="{left:.1f}" y="-6" fill="{colours[drain.node]}">{drain.node} moves its clients</text>')
    for mark in marks:
        parts.append(f'<line x1="0" x2="{width}" y1="{y(mark):.1f}" y2="{y(mark):.1f}" stroke="#ccc" stroke-width="0.5"/>')
        parts.append(f'<text x="-8" y="{y(mark) + 4:.1f}" text-anchor="end">{mark}</text>')
    for second in range(last - first):
        below = 0
        for node in NODES:
            count = seconds[node][second]
            if count:
                top, tall = y(below + count), y(below) - y(below + count)
                parts.append(f'<rect x="{x(first + second):.1f}" y="{top:.1f}" width="{width / (last - first) - 1:.1f}" height="{tall:.1f}" fill="{colours[node]}"/>')
            below += count
    for at in range(0, math.floor(end - begin) + 1, 10):
        parts.append(f'<text x="{x(begin + at):.1f}" y="{height + 18}" text-anchor="middle">{at} s</text>')
    key = " ".join(f'<tspan fill="{colours[node]}">■ {node}</tspan>' for node in NODES)
    parts.append(f'<text x="0" y="{height + 40}" fill="#555">connections taken in each second, by {key}: at most {most} by all of them</text>')
    return "\n".join([*parts, "</svg>\n"])


def y_marks(most):
    """Round numbers for the y axis, the last of them at or above the highest bar."""
    step = next(size * base for base in (1, 10, 100, 1000, 10_000) for size in (1, 2, 5) if size * base * 5 >= most)
    return [step * line for line in range(math.ceil(max(most, 1) / step) + 1)]


def main(balancer="nginx", clients="5000", rate="500"):
    # A load publishes faster than people do.
    os.environ["ROOMCAST__NAMESPACES__DEFAULT__PUBLISH_RATE"] = "0"
    described = up.Compose()
    up.up(balancer)
    try:
        address = described.reached(up.BALANCERS[balancer])
        report = up.RUN / "rolling.json"
        flags = ["--clients", clients, "--rate", rate, "--json", report]
        with Accepts(described) as accepts, load(address, *flags) as running:
            eventually(lambda: sum(count for node in NODES for _, count in accepts.taken[node]) >= int(clients), "all clients are there")
            time.sleep(8)  # The load's own warming up, and some seconds of quiet.
            drains = roll(described, accepts, window(25, 5))
            running.wait(timeout=240)
        check(running.returncode == 0, "no message lost or repeated", (up.RUN / "load").read_text())
        judge(drains, accepts, int(clients))
        print((up.RUN / "load").read_text())
        title = f"Rolling restart behind {balancer}: {clients} clients, {rate} messages a second"
        drawn = up.RUN.parent / f"rolling-{balancer}.svg"
        drawn.write_text(picture(drains, accepts.taken, title))
        print(f"rolling: {drawn}, {up.RUN.parent / f'rolling-{balancer}.json'}")
        figures = {drain.node: drain.parts() for drain in drains} | {"fastest": fastest(accepts.taken, drains[0].begun)}
        print(f"rolling: while nodes ended, no other took more than {figures['fastest']} connections in a second")
        figures["load"] = json.loads(report.read_text())
        (up.RUN.parent / f"rolling-{balancer}.json").write_text(json.dumps(figures))
    finally:
        up.down()
    sys.exit(bool(failures))


if __name__ == "__main__":
    main(*sys.argv[1:])
