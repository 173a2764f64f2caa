"""What the pictures show: the dashboards of deploy/grafana/plot.py, of a Prometheus that answers what
the tests want, and the rolling restart's, of connections that they made up."""

import contextlib
import importlib.util
import json
import re
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import rolling
from checks import ROOT, check

NOW = 1_767_225_600  # 2026-01-01 00:00:00 UTC
# Data begins 20 minutes ago and ends 30 s ago.
BEGIN, END = NOW - 1200, NOW - 30


def look():
    spec = importlib.util.spec_from_file_location("plot", ROOT / "deploy/grafana/plot.py")
    plot = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(plot)
    units(plot)
    axes(plot)
    with prometheus() as url:
        pages(plot, url)
    restart()


def units(plot):
    for value, unit, text in [
        (0, "s", "0"), (0.0025, "s", "2.5 ms"), (12, "s", "12 s"), (3e-7, "s", "300 ns"), (0.5, "percentunit", "50 %"),
        (1536, "bytes", "1.5 KiB"), (3 * 2**20, "Bps", "3 MiB/s"), (12, "bytes", "12 B"), (1500, "cps", "1.5 k/s"), (3, "short", "3"),
    ]:
        check(plot.worded(value, unit) == text, f"plot: {value} as {unit!r} is {text!r}", plot.worded(value, unit))


def axes(plot):
    for top, unit, wanted in [(87, "short", [0, 50, 100]), (4, "short", [0, 1, 2, 3, 4]), (0.0031, "s", [0, 0.001, 0.002, 0.003, 0.004]),
                              (3 * 2**20, "bytes", [0, 2**20, 2 * 2**20, 3 * 2**20])]:
        marks = plot.y_lines(top, unit)
        even = len(marks) == len(wanted) and all(abs(one - other) < 1e-9 * wanted[-1] for one, other in zip(marks, wanted))
        check(even, f"plot: the y axis up to {top} {unit}", marks)
    times = plot.x_times(NOW - 90, NOW, 400)
    check(times[-1] == (NOW, "00:00:00") and 3 <= len(times) <= 6, "plot: times of 90 s", times)
    times = plot.x_times(NOW - 3600, NOW, 300)
    check(times[-1] == (NOW, "00:00") and 3 <= len(times) <= 5, "plot: times of an hour", times)


def pages(plot, url):
    begin, end = plot.window(url, 60, NOW)
    check(abs(begin - BEGIN) <= 20 and abs(end - END) <= 20, "plot: shows the time of which there is data", (NOW - begin, NOW - end))
    begin, end = plot.window(url, 0.1, NOW - 60)
    check(end - begin == plot.SHORTEST, "plot: shows a minute at least", (begin, end))
    empty = plot.window(url.replace("/some", "/none"), 60, NOW)
    check(empty == (NOW - 3600, NOW), "plot: shows what was asked for where there is nothing", empty)
    for path in sorted((ROOT / "deploy/grafana/dashboards").glob("*.json")):
        described = json.loads(path.read_text())
        text, _ = plot.page(described, url, BEGIN, END)
        check(f"<h1>{described['title']} " in text and "UTC, 19.5 minutes" in text, f"plot: {path.stem} has a title and its time", text[:2000])
    panel = {"title": "a & b", "type": "timeseries", "gridPos": {"x": 0, "y": 0, "w": 8, "h": 8},
             "fieldConfig": {"defaults": {"unit": "s"}}, "targets": [{"legendFormat": "of {{node}}", "expr": ""}]}

    def drawn(expression, **changes):
        panel["targets"][0]["expr"] = expression
        return plot.panel(panel | changes, url, BEGIN, END)

    text = drawn("mixed")
    check("a &amp; b" in text and "▬ of high 9 ms" in text, "plot: a line has its name and its last value with the unit", text)
    check("of zero" not in text and "1 at 0" in text and text.count("<polyline") == 1, "plot: what is 0 all the time is only counted", text)
    times = re.findall(r">(\d\d:\d\d)<", text)
    check(len(times) >= 3 and "23:45" in times, "plot: the time axis", times)
    check(">10 ms<" in text and ">5 ms<" in text, "plot: the y axis has units", text)
    check("0 all the time" in drawn("zero") and "▬" not in drawn("zero"), "plot: zeros alone have no legend", drawn("zero"))
    check("<p class=none>NO DATA</p>" in drawn("nothing"), "plot: no data is said in small letters", drawn("nothing"))
    check("<p class=none>NO DATA</p>" in drawn("nan"), "plot: NaN is no data", drawn("nan"))
    widths = re.findall(r'stroke-width="([\d.]+)"', drawn("up"))
    check(widths == ["3.5", "1.5"], "plot: of lines upon each other the later is thinner", widths)
    text = drawn("many")
    check(text.count("▬") == plot.NAMED and "and 12 more" in text, "plot: a legend is bounded", text)
    check("<b>9 ms</b>" in drawn("mixed", type="stat"), "plot: a single value", drawn("mixed", type="stat"))


def restart():
    """A crowd that came before the first drain is no part of the picture, nor is the quiet after."""
    drains = [rolling.Drain(node, 20.0 + 30 * at, window=(25.0 + 30 * at, 39.0 + 30 * at)) for at, node in enumerate(rolling.NODES)]
    taken = {node: [(2.0, 900)] for node in rolling.NODES}
    taken["node-1"] += [(56.0 + at / 10, 12) for at in range(100)] + [(300.0, 0)]
    taken["node-2"] += [(26.2, 130)]
    taken["node-3"] += [(26.5, 70)]
    svg = rolling.picture(drains, taken, "a & b")
    check("a &amp; b" in svg and "at most 200 by all" in svg, "rolling: the picture has a title and the most of a second", svg)
    labels = re.findall(r">(\d+) s<", svg)
    check(labels == [str(at) for at in range(0, 85, 10)], "rolling: its time is that of the restart", labels)
    marks = [int(mark) for mark in re.findall(r'text-anchor="end">(\d+)<', svg)]
    check(marks == [0, 50, 100, 150, 200], "rolling: its axis ends with the highest bar", marks)
    bars = [float(tall) for tall in re.findall(r'<rect x="[\d.]+" y="[\d.]+" width="[\d.]+" height="([\d.]+)" fill', svg) if tall != "220"]
    check(len(bars) == 12 and abs(max(bars) - 143) < 0.2, "rolling: a bar for each node and second in which it took any", bars)
    check(rolling.fastest(taken) == 900 and rolling.fastest(taken, 20) == 130, "rolling: the fastest second of a node")
    drawn = (ROOT / "docs/rolling-nginx.svg").read_text()
    most = re.search(r"at most (\d+) by all", drawn)[1]
    text = (ROOT / "docs/operations.md").read_text()
    check(f"{most} connections in a second at most" in text, "rolling: operations.md says what its picture shows", most)
    check([rolling.y_marks(most)[-1] for most in (0, 1, 7, 594)] == [1, 1, 8, 600], "rolling: round marks")


def answer(query, begin, end, step):
    """The series of a query, over the time of which there is data."""
    times = [begin + step * number for number in range(int((end - begin) / step) + 1)]
    times = [at for at in times if BEGIN <= at <= END]
    values = {
        "mixed": {"zero": "0", "high": "0.009"}, "zero": {"zero": "0", "none": "0"}, "nan": {"never": "NaN"}, "nothing": {},
        "many": {f"n{number}": "0.004" for number in range(20)},
    }.get(query, {"one": "1", "two": "2"})
    return [{"metric": {"node": name}, "values": [[at, value] for at in times]} for name, value in values.items() if times]


class Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        url = urllib.parse.urlparse(self.path)
        asked = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        found = [] if url.path.startswith("/none/") else answer(asked["query"], *(float(asked[name]) for name in ("start", "end", "step")))
        body = json.dumps({"status": "success", "data": {"result": found}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def prometheus():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/some"
    finally:
        server.shutdown()
        server.server_close()
