"""Draws the dashboards from a Prometheus as it stands, roughly as Grafana would; for where there is
none, as with `make up`.

    python3 deploy/grafana/plot.py http://127.0.0.1:9090 FOLDER [MINUTES]

writes a page for each dashboard into the folder, and a picture of it with Chromium.
"""

import html
import json
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

DASHBOARDS = Path(__file__).resolve().parent / "dashboards"
COLOURS = ["#73bf69", "#f2cc0c", "#5794f2", "#ff780a", "#f2495c", "#b877d9", "#37872d", "#fade2a", "#1f60c4", "#c4162a"]
# A panel's size in pixels for one step of Grafana's grid.
STEP_X, STEP_Y = 66, 34


def series(prometheus, expression, begin, end):
    """What a panel's query draws: pairs of labels and points."""
    text = expression.replace("$__rate_interval", "20s").replace("$node", ".*")
    asked = urllib.parse.urlencode({"query": text, "start": begin, "end": end, "step": max(2, (end - begin) / 150)})
    with urllib.request.urlopen(f"{prometheus}/api/v1/query_range?{asked}") as answer:
        found = json.load(answer)["data"]["result"]
    return [(one["metric"], [(at, float(value)) for at, value in one["values"] if value != "NaN"]) for one in found]


def named(legend, labels):
    for name, value in labels.items():
        legend = legend.replace("{{" + name + "}}", value)
    return legend


def worded(value, unit):
    """A value as Grafana would write it."""
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    if unit == "s":
        for size, name in ((1, "s"), (1e-3, "ms"), (1e-6, "µs")):
            if value >= size:
                return f"{value / size:.3g} {name}"
        return f"{value * 1e9:.3g} ns"
    steps = [(2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")] if unit == "bytes" else [(1e9, "G"), (1e6, "M"), (1e3, "k")]
    after = {"cps": " c/s", "Bps": " B/s", "bytes": " B"}.get(unit, "")
    for size, name in steps:
        if value >= size:
            return f"{value / size:.3g} {name}{after if unit != 'bytes' else ''}"
    return f"{value:.3g}{after}"


def lines(drawn, unit, width, height, begin, end):
    """The lines of a panel, and their legend."""
    top = max([value for _, points in drawn for _, value in points] + [0]) * 1.1 or 1
    place = lambda at, value: f"{(at - begin) / (end - begin) * width:.1f},{height - value / top * height:.1f}"
    parts = [f'<svg width="{width}" height="{height}">']
    for share in (0.25, 0.5, 0.75, 1):
        y = height - height * share
        parts.append(f'<line x1="0" x2="{width}" y1="{y}" y2="{y}" stroke="#333"/><text x="2" y="{y + 11}">{worded(top * share, unit)}</text>')
    for number, (_, points) in enumerate(drawn):
        colour = COLOURS[number % len(COLOURS)]
        parts.append(f'<polyline fill="none" stroke="{colour}" points="{" ".join(place(*point) for point in points)}"/>')
    parts.append("</svg><div class=legend>")
    for number, (name, points) in enumerate(drawn):
        last = worded(points[-1][1], unit) if points else "–"
        parts.append(f'<span style="color:{COLOURS[number % len(COLOURS)]}">▬ {html.escape(name)} {last}</span> ')
    return "".join(parts) + "</div>"


def panel(described, prometheus, begin, end):
    grid, unit = described["gridPos"], described.get("fieldConfig", {}).get("defaults", {}).get("unit", "")
    box = f'left:{grid["x"] * STEP_X}px;top:{grid["y"] * STEP_Y}px;width:{grid["w"] * STEP_X - 8}px;height:{grid["h"] * STEP_Y - 8}px'
    if described["type"] == "row":
        return f'<h2 style="{box}">{html.escape(described["title"])}</h2>'
    drawn = [(named(target["legendFormat"], labels), points) for target in described["targets"]
             for labels, points in series(prometheus, target["expr"], begin, end)]
    if not drawn:
        body = "<b>NO DATA</b>"
    elif described["type"] == "stat":
        body = "".join(f"<b>{worded(points[-1][1], unit)}</b> {html.escape(name)}" for name, points in drawn if points)
    else:
        body = lines(drawn, unit, grid["w"] * STEP_X - 20, grid["h"] * STEP_Y - 90, begin, end)
    return f'<div class=panel style="{box}"><h3>{html.escape(described["title"])}</h3>{body}</div>'


STYLE = """body{background:#111;color:#ccc;font:12px sans-serif;margin:0}.panel,h2{position:absolute;box-sizing:border-box}
.panel{background:#1c1d21;padding:6px;overflow:hidden}h3{margin:0 0 4px;font-size:13px}h2{margin:0;font-size:16px}
text{fill:#888;font-size:10px}b{font-size:26px;color:#73bf69}.legend{font-size:11px}"""


def main(prometheus, folder, minutes="5"):
    end = time.time()
    Path(folder).mkdir(parents=True, exist_ok=True)
    for path in sorted(DASHBOARDS.glob("*.json")):
        described = json.loads(path.read_text())
        panels = [panel(one, prometheus, end - float(minutes) * 60, end) for one in described["panels"]]
        page = Path(folder, f"{path.stem}.html").resolve()
        page.write_text(f"<!doctype html><meta charset=utf-8><style>{STYLE}</style>{''.join(panels)}")
        last = described["panels"][-1]["gridPos"]
        size = f"--window-size={24 * STEP_X},{(last['y'] + last['h']) * STEP_Y}"
        subprocess.run(["chromium", "--headless", "--no-sandbox", "--disable-gpu", size, f"--screenshot={page.with_suffix('.png')}",
                        page.as_uri()], check=True, capture_output=True)
        print(page.with_suffix(".png"))


if __name__ == "__main__":
    main(*sys.argv[1:])
