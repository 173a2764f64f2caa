"""Runs docker-compose.yml without Docker: its services as processes of this machine.

    scripts/up.sh up [nginx|haproxy]     starts what the file describes, with one of these balancers
    scripts/up.sh check [nginx|haproxy]  says whether the ports that `up` needs are free
    scripts/up.sh down                   ends it, each process by its own pid
    scripts/up.sh run SERVICE            starts one service of it again
    scripts/up.sh end SERVICE            ends one, as `docker compose stop` would
    scripts/up.sh pid SERVICE            prints its pid: kill -STOP "$(scripts/up.sh pid redis)"

Ports are those of the compose file; NGINX_PORT, HAPROXY_PORT and PROMETHEUS_PORT name others.

Commands and configuration files are those of the compose file (or of the files in COMPOSE_FILE,
separated by colons), with three things put in the place of what a container gives: each service has
a loopback address of its own instead of its name, files lie in a folder of its own under target/up
instead of at their mount points, and a published port is listened on directly. Grafana, which Debian
does not package, is left out.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import ports
# PROGRAMS, ROOT, services and shifted are for tests/deploy, which see this module only.
from compose import BALANCERS, LEFT_OUT, PROGRAMS, ROOT, RUN, SHIFT, Compose, fail, services, shifted
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

# Debian's own programs may lie outside a user's PATH.
PATH = os.environ["PATH"] + ":/usr/sbin:/sbin"


def born(pid):
    """When a process began, in ticks since boot; tells it from a later one with its number. None once
    it has ended."""
    try:
        state, *others = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return None if state == "Z" else others[18]


def running(service):
    """The pid of a service's process, if it runs."""
    try:
        known = json.loads((RUN / service / "process.json").read_text())
    except OSError:
        return None
    return known["pid"] if born(known["pid"]) == known["born"] else None


# What this process itself started, by service.
started = {}


def known(compose, service):
    """The service, if the compose file has it and it can be a process here."""
    choices = [name for name in compose.services if name not in LEFT_OUT]
    if service not in choices:
        fail(f"there is no service {service!r}: choose one of {', '.join(choices)}")
    return service


def check_ports(compose, wanted):
    """Fails before anything is started if one of the addresses needed is taken; names all that are."""
    taken = []
    for service in wanted:
        for address in filter(ports.taken, compose.listens(service)):
            by = ports.holder(address)
            taken.append(f"    {address}, which {service} needs{f', is taken by {by}' if by else ''}")
            variable = f"{program(service).upper()}_PORT"
            if address in compose.published(service).values():
                taken.append(f"        end that, or choose another port: {variable}={free_port(address)} make up")
    if taken:
        fail("these ports are in use, nothing was started:\n" + "\n".join(taken))


def program(service):
    """The service's own word, but a balancer's program for the balancer."""
    return next((name for name, balancer in BALANCERS.items() if balancer == service), service)


def free_port(address):
    """The next port above a taken one that is free, without the shift."""
    ip, port = address.rsplit(":", 1)
    return next(number for number in range(int(port) + 1, 65536) if not ports.taken(f"{ip}:{number}")) - SHIFT


def start(compose, service):
    if running(service):
        fail(f"{service} runs already")
    check_ports(compose, [service])
    compose.lay_out(service)
    folder = compose.folder(service)
    command = compose.command(service)
    if not shutil.which(command[0], path=PATH):
        fail(f"{service}: {command[0]} is not installed (`make setup` installs what is needed)")
    described = compose.services[service].get("environment", {})
    # ROOMCAST_UP and the like are this script's; settings of a node have two underscores.
    inherited = {key: value for key, value in os.environ.items() if not re.match("ROOMCAST_(?!_)", key)}
    environment = {**inherited, "PATH": PATH, **{key: str(value) for key, value in described.items()}}
    with open(folder / "log", "w") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    started[service] = process
    (folder / "process.json").write_text(json.dumps({"pid": process.pid, "born": born(process.pid)}))
    wait_healthy(compose, service, process)
    print(f"up: {service:<11} {' '.join(compose.listens(service)):<38} log: {folder / 'log'}")


def answers(test):
    """Whether a health check, if there is one, succeeds."""
    return not test or subprocess.run(test, capture_output=True, env={**os.environ, "PATH": PATH}).returncode == 0


def wait_healthy(compose, service, process, patience=30):
    """Waits until it is well and listens, and that it did not end at once."""
    test, deadline = compose.health(service), time.monotonic() + patience
    settled = time.monotonic() + 0.3
    while True:
        if process.poll() is not None:
            tail = (compose.folder(service) / "log").read_text()[-2000:]
            fail(f"{service} ended with {process.returncode}:\n{tail}")
        if time.monotonic() > settled and answers(test) and all(map(ports.taken, compose.listens(service))):
            return
        if time.monotonic() > deadline:
            fail(f"{service} is not healthy after {patience} s: see {compose.folder(service) / 'log'}")
        time.sleep(0.1)


def check(balancer):
    """What `up` would start, in order, if nothing is in its way."""
    if balancer not in BALANCERS:
        fail(f"there is no balancer {balancer!r}: choose one of {', '.join(BALANCERS)}")
    compose = Compose()
    if any(running(service) for service in compose.services):
        fail("it runs already; `make down` ends it")
    left_out = LEFT_OUT.union(BALANCERS.values()) - {BALANCERS[balancer]}
    wanted = compose.order(name for name in compose.services if name not in left_out)
    check_ports(compose, wanted)
    return compose, wanted


def up(balancer):
    compose, wanted = check(balancer)
    for service in wanted:
        start(compose, service)
    page = compose.reached(BALANCERS[balancer])
    silent = silent_nodes(compose, page)
    if silent:
        fail(f"through {balancer} at {page} no answer came from {', '.join(silent)}; `make down` ends what runs")
    print(f"up: all {len(compose.nodes())} nodes answer through {balancer}")
    print(f"up: the demo:   http://{page}/")
    print(f"up: Prometheus: http://{compose.reached('prometheus')}/")
    print("up: Grafana is left out: docker compose up has it. `make down` ends all of this.")


def silent_nodes(compose, address, patience=30):
    """The nodes that no WebSocket through the balancer leads to. Connections have different users and
    addresses and stay open meanwhile, so that a balancer by any rule spreads them."""
    silent, deadline, number = set(compose.nodes()), time.monotonic() + patience, 0
    with contextlib.ExitStack() as opened:
        while silent and time.monotonic() < deadline:
            number += 1
            source = (f"127.0.0.{number % 250 + 2}", 0)
            try:
                link = connect(f"ws://{address}/ws?user=up-{number}", source_address=source, proxy=None, open_timeout=2)
                opened.enter_context(link)
                silent.discard(json.loads(link.recv(timeout=2))["node"])
            except (OSError, WebSocketException):
                time.sleep(0.2)
    return sorted(silent)


def end(group):
    """Ends these services together, and waits until all of them have."""
    pids = {service: pid for service in group if (pid := running(service))}
    for pid in pids.values():
        os.kill(pid, signal.SIGTERM)
    for service, pid in pids.items():
        deadline = time.monotonic() + 40
        while running(service):
            if time.monotonic() > deadline:
                print(f"down: {service} does not end: killed")
                os.kill(pid, signal.SIGKILL)
                deadline = time.monotonic() + 40
            time.sleep(0.05)
        print(f"down: {service}")


def down():
    compose = Compose()
    # Balancers after the nodes: clients find their way while nodes drain. Redis after the nodes.
    order = compose.order(compose.services)
    end(compose.nodes())
    end([name for name in reversed(order) if name not in compose.nodes()])


def main():
    match sys.argv[1:]:
        case ["up", *balancer] if len(balancer) <= 1:
            up(*balancer or ["nginx"])
        case ["check", *balancer] if len(balancer) <= 1:
            check(*balancer or ["nginx"])
        case ["down"]:
            down()
        case ["run", service]:
            start(compose := Compose(), known(compose, service))
        case ["end", service]:
            end([running_one(service)])
        case ["pid", service]:
            print(running(running_one(service)))
        case _:
            fail(__doc__)


def running_one(service):
    """The service, if it is one and runs."""
    if not running(known(Compose(), service)):
        fail(f"{service} does not run; scripts/up.sh run {service} starts it")
    return service


if __name__ == "__main__":
    main()
