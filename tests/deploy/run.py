"""Checks everything under deploy/, then runs what docker-compose.yml describes, without Docker, and
looks at it as an operator would. scripts/deploy.sh says with which programs."""

import pathlib
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))

import checks
import commands
import files
import plots
import mistakes
import production
import stack
import up


def main():
    began = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("interrupted"))
    up.RUN.mkdir(parents=True, exist_ok=True)
    files.look()
    plots.look()
    commands.look()
    mistakes.look()
    print(f"       after {time.monotonic() - began:.0f} s")
    production.look()
    print(f"       after {time.monotonic() - began:.0f} s")
    try:
        stack.look()
    finally:
        up.down()
    left = [service for service in up.Compose().services if up.running(service)]
    checks.check(not left, "nothing is left running", left)
    print(f"deployment: {len(checks.failures)} failed, {time.monotonic() - began:.0f} s")
    return bool(checks.failures)


if __name__ == "__main__":
    sys.exit(main())
