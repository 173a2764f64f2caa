"""Draws the dashboards from a Prometheus as it stands, roughly as Grafana would; for where there is
none, as with `make up`.

    python3 deploy/grafana/plot.py http://127.0.0.1:9090 FOLDER [MINUTES]

writes a page for each dashboard into the folder, and a picture of it with Chromium. The time shown is
that for which nodes were seen in the last MINUTES (60).
"""

import html
import json
import math
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

DASHBOARDS = Path(__file__).resolve().parent / "dashboards"
COLOURS = ["#73bf69", "#f2cc0c", "#5794f2", "#ff780a", "#f2495c", "#b877d9", "#37872d", "#fade2a", "#1f60c4", "#c4162a"]
# A panel's size in pixels for one step of Grafana's grid; the page's title is above all of them.
STEP_X, STEP_Y, HEAD = 66, 34, 64
# Around the lines of a panel: the numbers of the y axis, the times of the x axis.
LEFT, BELOW = 62, 18
# Entries of a legend.
NAMED = 8
# What nodes export whatever they do: where it begins and ends, data does.
ALIVE = "count(roomcast_ready)"
# Seconds: the shortest time shown, and steps of a time axis.
SHORTEST = 60
TIMES = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400]


def series(prometheus, expression, begin, end):
    """What a panel's query draws: pairs of labels and points."""
    text = expression.replace("$__rate_interval", "20s").replace("$node", ".*")
    asked = urllib.parse.urlencode({"query": text, "start": begin, "end": end, "step": max(1, (end - begin) / 200)})
    with urllib.request.urlopen(f"{prometheus}/api/v1/query_range?{asked}") as answer:
        found = json.load(answer)["data"]["result"]
    return [(one["metric"], [(at, float(value)) for at, value in one["values"] if value != "NaN"]) for one in found]


def window(prometheus, minutes, now):
    """From when to when there is data, within the last minutes."""
    begin = now - minutes * 60
    seen = [at for _, points in series(prometheus, ALIVE, begin, now) for at, _ in points]
    if not seen:
        return begin, now
    return min(min(seen), max(seen) - SHORTEST), max(seen)


def named(legend, labels):
    for name, value in labels.items():
        legend = legend.replace("{{" + name + "}}", value)
    return legend


def worded(value, unit):
    """A value with its unit."""
    if value == 0:
        return "0"
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    if unit == "s":
        for size, name in ((1, "s"), (1e-3, "ms"), (1e-6, "µs")):
            if value >= size:
                return f"{value / size:.3g} {name}"
        return f"{value * 1e9:.3g} ns"
    if unit in ("bytes", "Bps"):
        steps, plain, after = [(2**30, " GiB"), (2**20, " MiB"), (2**10, " KiB")], " B", "/s" if unit == "Bps" else ""
    else:
        steps, plain, after = [(1e9, " G"), (1e6, " M"), (1e3, " k")], "", "/s" if unit == "cps" else ""
    for size, name in steps:
        if value >= size:
            return f"{value / size:.4g}{name}{after}"
    return f"{value:.3g}{plain}{after}"


def y_lines(top, unit):
    """Where the y axis has its lines: round values, the last of them at or above the highest point."""
    base = 1024 ** max(0, math.floor(math.log(top, 1024))) if unit in ("bytes", "Bps") else 1
    rough = top / base / 4
    size = 10 ** math.floor(math.log10(rough))
    step = next(one * size for one in (1, 2, 5, 10) if one * size >= rough * 0.999) * base
    return [step * line for line in range(math.ceil(top / step * 0.999) + 1)]


def x_times(begin, end, width):
    """Where the x axis has its times, and how they are written."""
    step = next((one for one in TIMES if (end - begin) / one <= width / 80), TIMES[-1])
    form = "%H:%M" if step % 60 == 0 else "%H:%M:%S"
    first = math.ceil(begin / step) * step
    return [(at, time.strftime(form, time.gmtime(at))) for at in range(int(first), int(end) + 1, step)]


def lines(drawn, unit, width, height, begin, end):
    """The lines of a panel over time, and the legend of those that are not always 0."""
    seen = [(name, points) for name, points in drawn if any(value for _, value in points)]
    zeros = len(drawn) - len(seen)
    if not seen:
        return '<p class=none>0 all the time</p>'
    marks = y_lines(max(value for _, points in seen for _, value in points), unit)
    right, bottom = width - 6, height - BELOW
    x = lambda at: LEFT + (at - begin) / (end - begin) * (right - LEFT)
    y = lambda value: bottom - value / marks[-1] * (bottom - 6)
    parts = [f'<svg width="{width}" height="{height}">']
    for mark in marks:
        parts.append(f'<line x1="{LEFT}" x2="{right}" y1="{y(mark):.1f}" y2="{y(mark):.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y(mark) + 4:.1f}" text-anchor="end">{worded(mark, unit)}</text>')
    for at, words in x_times(begin, end, right - LEFT):
        parts.append(f'<line x1="{x(at):.1f}" x2="{x(at):.1f}" y1="6" y2="{bottom}"/>')
        parts.append(f'<text x="{x(at):.1f}" y="{height - 4}" text-anchor="middle">{words}</text>')
    for number, (_, points) in enumerate(seen):
        path = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in points)
        # Each line is thinner than those below it: where they lie upon each other all are seen.
        wide = min(1.5 + 2 * (len(seen) - 1 - number), 6)
        parts.append(f'<polyline stroke="{COLOURS[number % len(COLOURS)]}" stroke-width="{wide}" points="{path}"/>')
    parts.append("</svg><div class=legend>")
    for number, (name, points) in enumerate(seen[:NAMED]):
        parts.append(f'<span style="color:{COLOURS[number % len(COLOURS)]}">▬ {html.escape(name)} {worded(points[-1][1], unit)}</span>')
    if len(seen) > NAMED:
        parts.append(f"<span>and {len(seen) - NAMED} more</span>")
    if zeros:
        parts.append(f"<span>{zeros} at 0</span>")
    return " ".join(parts) + "</div>"


def panel(described, prometheus, begin, end):
    grid, unit = described["gridPos"], described.get("fieldConfig", {}).get("defaults", {}).get("unit", "")
    left, top = grid["x"] * STEP_X + 8, grid["y"] * STEP_Y + HEAD
    width, height = grid["w"] * STEP_X - 8, grid["h"] * STEP_Y - 8
    box = f"left:{left}px;top:{top}px;width:{width}px;height:{height}px"
    title = html.escape(described["title"])
    if described["type"] == "row":
        return f'<h2 style="{box}">{title}</h2>'
    drawn = [(named(target["legendFormat"], labels), points) for target in described["targets"]
             for labels, points in series(prometheus, target["expr"], begin, end) if points]
    if not drawn:
        body = "<p class=none>NO DATA</p>"
    elif described["type"] == "stat":
        body = " ".join(f"<b>{worded(points[-1][1], unit)}</b> {html.escape(name)}" for name, points in drawn)
    else:
        body = lines(drawn, unit, width - 12, height - 70, begin, end)
    return f'<div class=panel style="{box}"><h3>{title}</h3>{body}</div>'


def page(described, prometheus, begin, end):
    """A whole dashboard, and its size."""
    written = [time.strftime(form, time.gmtime(at)) for form, at in (("%Y-%m-%d %H:%M:%S", begin), ("%H:%M:%S", end))]
    title, seen = html.escape(described["title"]), f"{' to '.join(written)} UTC, {(end - begin) / 60:.3g} minutes, from {prometheus}"
    panels = "".join(panel(one, prometheus, begin, end) for one in described["panels"])
    text = f"<!doctype html><meta charset=utf-8><title>{title}</title><style>{STYLE}</style><h1>{title} <span>{html.escape(seen)}</span></h1>{panels}"
    below = max(one["gridPos"]["y"] + one["gridPos"]["h"] for one in described["panels"])
    return text, (24 * STEP_X + 8, below * STEP_Y + HEAD)


STYLE = """body{background:#111;color:#ccc;font:12px sans-serif;margin:0}.panel,h2{position:absolute;box-sizing:border-box}
.panel{background:#1c1d21;padding:6px;overflow:hidden}h1{margin:0;padding:16px 10px;font-size:22px}h1 span{font-size:13px;font-weight:normal;color:#888;padding-left:12px}
h3{margin:0 0 4px;font-size:13px}h2{margin:0;font-size:16px}text{fill:#999;font-size:10px}line{stroke:#333}polyline{fill:none;stroke-linejoin:round}
b{font-size:26px;color:#73bf69}.legend{font-size:11px;max-height:42px;overflow:hidden}.legend span{margin-right:8px;white-space:nowrap}.none{margin:4px 0;color:#777}"""


def main(prometheus, folder, minutes="60"):
    begin, end = window(prometheus, float(minutes), time.time())
    Path(folder).mkdir(parents=True, exist_ok=True)
    for path in sorted(DASHBOARDS.glob("*.json")):
        text, (width, height) = page(json.loads(path.read_text()), prometheus, begin, end)
        written = Path(folder, f"{path.stem}.html").resolve()
        written.write_text(text)
        picture = written.with_suffix(".png")
        subprocess.run(["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={width},{height}",
                        f"--screenshot={picture}", written.as_uri()], check=True, capture_output=True)
        print(picture)


if __name__ == "__main__":
    main(*sys.argv[1:])
