"""What every part of these tests needs: a list of what failed, and ways to ask."""

import json
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Programs that scripts/setup.sh installed beside this Python.
TOOLS = Path(sys.executable).parent
PATIENCE = 20

failures = []


def check(holds, text, more=""):
    print(f"{'ok' if holds else 'FAILED':6} {text}")
    if not holds:
        failures.append(text)
        if more:
            print(more)


def passes(text, *command, **more):
    """A command that must end with 0; what it printed is shown if it does not."""
    done = subprocess.run([str(word) for word in command], text=True, capture_output=True, **more)
    check(done.returncode == 0, text, done.stdout + done.stderr)
    return done.stdout


def eventually(holds, text):
    """Asks until the answer is a yes, and gives it back."""
    deadline = time.monotonic() + PATIENCE
    while not (found := holds()) and time.monotonic() < deadline:
        time.sleep(0.2)
    check(found, text)
    return found


def get(url, **headers):
    """Status, headers and body; a refused connection is status 0."""
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()
    except OSError as error:
        return 0, {}, str(error)


def seconds(text):
    """A time as configurations write it."""
    number, unit = re.fullmatch(r"(\d+)(ms|s|m)", text).groups()
    return int(number) * {"ms": 0.001, "s": 1, "m": 60}[unit]


def dashboards():
    """Every query of every dashboard: where it stands, and as Prometheus takes it."""
    for path in sorted((ROOT / "deploy/grafana/dashboards").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel.get("targets", []):
                yield f"{path.stem}: {panel['title']}", target["expr"].replace("$__rate_interval", "20s").replace("$node", ".*")
