"""The stack of docker-compose.yml, alive: dashboards and alerts on real data, a node drained under
load, both balancers, and what they say when every node is away."""

import contextlib
import json
import os
import signal
import subprocess
import time
import urllib.parse

import balancers
import up
from checks import ROOT, check, dashboards, eventually, get, passes

WARM, LOAD = 25, 50  # seconds
CLIENTS = 600
NODES = ["node-1", "node-2", "node-3"]


def look():
    # Shorter than for people: the schedule's proportions stay.
    os.environ |= {"ROOMCAST__DRAIN__TOTAL": "8s", "ROOMCAST__DRAIN__PAUSE": "3s"}
    described = up.Compose()
    up.up("nginx")
    nginx, haproxy = published(described, "balancer"), published(described, "haproxy")
    up.start(described, "haproxy")
    prometheus = Prometheus(published(described, "prometheus"))
    eventually(lambda: prometheus.query("sum(roomcast_ready) == 3"), "Prometheus sees three ready nodes")
    with running_load(nginx) as load:
        warm = time.monotonic() + WARM
        balancers.http(nginx, haproxy)
        time.sleep(max(0, warm - time.monotonic()))
        observed(described, prometheus)
        drained(described, prometheus, [nginx, haproxy])
        load.wait(timeout=LOAD)
    check(load.returncode == 0, "the load lost nothing", (up.RUN / "load").read_text())
    unready(nginx, haproxy)
    up.end(NODES)
    balancers.away(described, nginx, haproxy)
    up.end(up.BALANCERS.values())
    below_http(nginx, haproxy)


@contextlib.contextmanager
def running_load(address):
    """Clients in rooms through a balancer; ends with 0 if each of them got what it should."""
    scenario = str(ROOT / "loadtest/scenarios/chat.toml")
    command = [os.environ["LOADTEST"], "run", scenario, "--at", f"ws://{address}"]
    with open(up.RUN / "load", "w") as log:
        load = subprocess.Popen([*command, "--seconds", str(LOAD), "--clients", str(CLIENTS)], stdout=log, stderr=log)
    try:
        yield load
    finally:
        load.kill()


def published(described, service):
    """Where a service is reached from outside: address and port."""
    return up.shifted(described.services[service]["ports"][0].rsplit(":", 1)[0])


class Prometheus:
    """The one of the stack."""

    def __init__(self, address):
        self.address = address

    def query(self, expression):
        """The series that answer; an error is a text."""
        asked = urllib.parse.urlencode({"query": expression})
        status, _, body = get(f"http://{self.address}/api/v1/query?{asked}")
        answer = json.loads(body) if status else {"status": "error", "error": body}
        return answer["data"]["result"] if answer["status"] == "success" else answer["error"]


def observed(described, prometheus):
    """What operators see while everything is well."""
    answers = {(where, text): prometheus.query(text) for where, text in dashboards()}
    wrong = {asked: answer for asked, answer in answers.items() if isinstance(answer, str)}
    check(not wrong, f"the dashboards' {len(answers)} queries are answered", wrong)
    empty = [asked for asked, answer in answers.items() if not answer]
    check(not empty, "each of them with data", "\n".join(f"{where}: {text}" for where, text in empty))
    # Delays are those of a machine that compiles beside.
    alerts = prometheus.query('ALERTS{alertname!="RoomcastDeliverySlow"}')
    check(alerts == [], "no alert fires or is about to", alerts)
    rules = json.loads(get(f"http://{prometheus.address}/api/v1/rules")[2])["data"]["groups"]
    ill = [rule for group in rules for rule in group["rules"] if rule["health"] != "ok"]
    check(rules and not ill, "Prometheus judges every rule", ill)
    _, _, metrics = get(f"http://{described.addresses['node-1']}:9100/metrics")
    passes("promtool check metrics", "promtool", "check", "metrics", input=metrics)


def drained(described, prometheus, addresses):
    """A node ends under load and comes back; nobody is turned away meanwhile."""
    node = up.started["node-2"]
    drain = subprocess.Popen([up.PROGRAMS["roomcast"], "drain", "--pid", str(node.pid)], stdout=subprocess.DEVNULL)
    answered = []
    while node.poll() is None:
        answered += [get(f"http://{address}/")[0] for address in addresses]
        time.sleep(0.1)
    check(node.returncode == 0, "node-2 ends with 0 when told to drain")
    check(drain.wait(timeout=5) == 0, "roomcast drain says so")
    check(set(answered) == {200}, f"the balancers answered {len(answered)} times meanwhile", answered)
    up.start(described, "node-2")
    eventually(lambda: prometheus.query("sum(roomcast_ready) == 3"), "node-2 is back")


def unready(nginx, haproxy):
    """Redis stands still: every node lives, and says that it should not get clients."""
    redis = up.running("redis")
    os.kill(redis, signal.SIGSTOP)
    try:
        eventually(lambda: get(f"http://{haproxy}/")[0] == 503, "HAProxy: 503 when every node is unready")
        check(get(f"http://{nginx}/")[0] == 200, "nginx, which does not ask, leads to them")
    finally:
        os.kill(redis, signal.SIGCONT)
    eventually(lambda: get(f"http://{haproxy}/")[0] == 200, "HAProxy: sees them ready again")


def below_http(nginx, haproxy):
    """The same nodes behind both balancers' TCP configurations."""
    os.environ["COMPOSE_FILE"] = "docker-compose.yml:deploy/compose/l4.yml"
    described = up.Compose()
    for service in [*NODES, *up.BALANCERS.values()]:
        up.start(described, service)
    balancers.tcp(described, nginx, haproxy)
