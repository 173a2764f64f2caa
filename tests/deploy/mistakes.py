"""What scripts/up.py says to a wrong name, a port that is taken, and a node that does not answer."""

import os
import socket
import subprocess
import sys

import up
from checks import ROOT, check


def look():
    """While nothing of the stack runs."""
    for command in (["end", "nod-1"], ["run", "nosuch"], ["pid", "grafana"]):
        code, said = call(*command)
        names = all(f" {name}" in said for name in ("node-1", "redis", "balancer", "haproxy", "prometheus"))
        check(code == 1 and command[1] in said and names, f"up.py {' '.join(command)}: an error names the choices", said)
    code, said = call("up", "apache")
    check(code == 1 and "nginx, haproxy" in said, "up.py up apache: an error names the balancers", said)
    code, said = call("end", "node-1")
    check(code == 1 and "node-1 does not run" in said, "up.py end: a service that does not run is an error", said)
    ports()


def ports():
    """Each port that is taken is named, with what to do, before anything is started."""
    described = up.Compose()
    for balancer in up.BALANCERS:
        page, inner = described.reached(up.BALANCERS[balancer]), f"{described.addresses['node-2']}:9100"
        with listener(page), listener(inner):
            for command in ("check", "up"):
                code, said = call(command, balancer)
                helps = f"{balancer.upper()}_PORT=" in said and f"pid {os.getpid()}" in said
                check(code == 1 and page in said and inner in said and helps, f"up.py {command} {balancer}: taken ports", said)
        started = [service for service in described.services if up.running(service)]
        check(not started, "nothing was started", started)
    code, said = call("check", "nginx")
    check(code == 0 and not said, "up.py check: free ports are free", said)
    chosen = up.shifted("127.0.0.1:8123")
    with listener(chosen):
        code, said = call("check", "nginx", NGINX_PORT="8123")
        check(code == 1 and chosen in said, "NGINX_PORT chooses the balancer's port", said)


def silent(described, address):
    """While nodes run behind the balancer: one that ends is missed."""
    check(up.silent_nodes(described, address) == [], "every node answers through the balancer")
    up.end(["node-2"])
    missing = up.silent_nodes(described, address, patience=2)
    check(missing == ["node-2"], "a node that does not answer through the balancer is named", missing)


def listener(address):
    ip, port = address.rsplit(":", 1)
    return socket.create_server((ip, int(port)))


def call(*words, **environment):
    """Exit code and output of the script."""
    command = [sys.executable, "-B", str(ROOT / "scripts/up.py"), *words]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})
    return done.returncode, done.stdout + done.stderr
