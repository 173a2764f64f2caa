"""What the commands of the Makefile do and say: `make run` with every kind of LISTEN, and the summary
of `make test`."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import tomllib
from pathlib import Path

import up
from checks import ROOT, check, get

WITHIN = 30  # seconds


def look():
    profile()
    runs("a port", lambda free: str(free), "127.0.0.1")
    runs("an address", lambda free: f"127.0.0.1:{free}", "127.0.0.1")
    runs("localhost", lambda free: f"localhost:{free}", "127.0.0.1")
    runs("port 0", lambda _: "0", "127.0.0.1")
    runs("every address", lambda free: f"0.0.0.0:{free}", "127.0.0.1", "ARGS=--insecure")
    secret = up.RUN / "secret"
    secret.write_text("a secret of some thirty-two bytes or more\n")
    guarded = f"ARGS=--set auth.hs_secret_file={secret}"
    runs("every address, with tokens", lambda free: f"0.0.0.0:{free}", "127.0.0.1", guarded)
    if has_ipv6():
        runs("IPv6", lambda free: f"[::1]:{free}", "[::1]")
    refusals()
    summaries()


def profile():
    """`make run` builds sooner and smaller than the release build, which stays as it is."""
    profiles = tomllib.loads((ROOT / "Cargo.toml").read_text())["profile"]
    quick = profiles["quick"]
    wanted = {"inherits": "release", "lto": "off", "debug": False, "strip": True}
    check(all(quick.get(key) == value for key, value in wanted.items()), "the profile of make run", quick)
    check(quick["codegen-units"] >= 16 > profiles["release"]["codegen-units"], "its units build side by side", profiles)
    script = (ROOT / "scripts/run.sh").read_text()
    check("--profile quick" in script and "/quick/roomcast" in script, "make run builds and runs it")
    makefile, runner = ((ROOT / name).read_text() for name in ("Makefile", "scripts/compose.py"))
    check("--profile quick" in makefile and '"quick" / "roomcast"' in runner, "make up runs what make run built")


def has_ipv6():
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        return True
    return False


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def make(*arguments):
    """`make run` with a program that is built already."""
    command = ["make", "--no-print-directory", "-C", ROOT, "run", *arguments]
    environment = {**os.environ, "ROOMCAST": up.PROGRAMS["roomcast"]}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, start_new_session=True)


@contextlib.contextmanager
def bounded(process):
    """The process; with all that it started it is ended after a while, and at the end."""
    def end(number=signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)

    timer = threading.Timer(WITHIN, end)
    timer.start()
    try:
        yield process
    finally:
        timer.cancel()
        end()
        process.wait()


def runs(what, listen, host, *more):
    """A node is there when its page's address is printed."""
    with bounded(make(f"LISTEN={listen(free_port())}", *more)) as process:
        text, found = "", None
        for line in process.stdout:
            text += line
            if found := re.search(r"(open )?http://(\S+):(\d+)/ ", line):
                break
        check(found and found[2] == host, f"make run, {what}: says where the node is", text)
        if found:
            # Without more words the demo is on where only this machine comes, without tokens.
            check(bool(found[1]) != bool(more), f"make run, {what}: says whether the page is on", text)
            status, _, body = get(f"http://{host}:{found[3]}/")
            right = status == 404 if more else status == 200 and "Roomcast" in body
            check(right, f"make run, {what}: the page answers then, or is off", body)
            # As Ctrl-C does: every process of the terminal gets it.
            os.killpg(process.pid, signal.SIGINT)
            rest = process.communicate(timeout=WITHIN)[0]
            check("panicked" not in rest, f"make run, {what}: ends by Ctrl-C", rest)


def refused(what, words, *arguments):
    with bounded(make(*arguments)) as process:
        text = process.communicate()[0]
        check(process.returncode == 2 and all(word in text for word in words), f"make run, {what}: says what to write", text)
        check("run: open" not in text, f"make run, {what}: names no page", text)


def refusals():
    refused("every address", ["authentication", "LISTEN=0.0.0.0:8080 ARGS=--insecure"], "LISTEN=0.0.0.0:8080")
    refused("another address", ["LISTEN=192.0.2.1:81 ARGS=--insecure", "make run LISTEN=81"], "LISTEN=192.0.2.1:81")
    for text in ("here", ":8080", "127.0.0.1", "http://127.0.0.1:8080/", "1:2:3"):
        refused(f"{text!r}", [f"LISTEN={text} is no address with a port", "make run LISTEN=8090"], f"LISTEN={text}")
    refused("port 65536", ["at most 65535"], "LISTEN=65536")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        refused("a port that is taken", [f"127.0.0.1:{port} already", "make run LISTEN="], f"LISTEN={port}")


def summaries():
    """What was not checked is in the last lines of `make test`, whether the rest failed or passed."""
    for with_deny in (True, False):
        for lint in ("true", "false"):
            text, code = tested(with_deny, lint)
            last = text[text.rindex("== torture: ok"):]
            check(("NOT CHECKED: dependencies" in last) != with_deny, f"make test names what it left out ({with_deny}, {lint})", text)
            check(code == (lint == "false"), "and ends as the rest did", text)
            check(("== dependencies: ok" in text) == with_deny, "dependencies are checked where that can be", text)


def tested(with_deny, lint):
    """scripts/test.sh over steps that do nothing."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "scripts")
        place.mkdir()
        shutil.copy(ROOT / "scripts/test.sh", place)
        steps = dict.fromkeys(["setup", "web", "foreign", "deploy", "torture"], "true")
        steps |= {"lint": lint, "deny": "true" if with_deny else "false", "cargo": "true"}
        for name, step in steps.items():
            path = place / (name if name == "cargo" else f"{name}.sh")
            path.write_text(f"#!/bin/sh\n{step}\n")
            path.chmod(0o755)
        environment = {**os.environ, "PATH": f"{place}:{os.environ['PATH']}"}
        done = subprocess.run([place / "test.sh"], text=True, capture_output=True, env=environment)
        return done.stdout + done.stderr, done.returncode
