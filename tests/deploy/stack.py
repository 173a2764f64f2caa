"""The stack of docker-compose.yml, alive: dashboards and alerts on real data, a rolling restart under
load, both balancers, and what they say when every node is away."""

import contextlib
import json
import os
import signal
import threading
import time
import urllib.parse

import balancers
import mistakes
import rolling
import up
from checks import check, dashboards, eventually, get, passes

WARM, LOAD = 25, 70  # seconds
CLIENTS = 400  # at each balancer
TOTAL, PAUSE = 8, 3  # seconds of a drain
NODES = rolling.NODES
# What only nodes with an identity provider or with TLS have.
NOT_HERE = ("roomcast_jwks_fetched_timestamp_seconds", "roomcast_certificate_end_timestamp_seconds")


def look():
    # Shorter than for people: the schedule's proportions stay.
    os.environ |= {"ROOMCAST__DRAIN__TOTAL": f"{TOTAL}s", "ROOMCAST__DRAIN__PAUSE": f"{PAUSE}s"}
    # A load publishes faster than people do.
    os.environ["ROOMCAST__NAMESPACES__DEFAULT__PUBLISH_RATE"] = "0"
    # The other balancer has the same port unless it is given one.
    os.environ["HAPROXY_PORT"] = "8081"
    described = up.Compose()
    up.up("nginx")
    nginx, haproxy = described.reached("balancer"), described.reached("haproxy")
    up.start(described, "haproxy")
    prometheus = Prometheus(described.reached("prometheus"))
    eventually(lambda: prometheus.query("sum(roomcast_ready) == 3"), "Prometheus sees three ready nodes")
    flags = ["--seconds", LOAD, "--clients", CLIENTS]
    with contextlib.ExitStack() as running:
        accepts = running.enter_context(rolling.Accepts(described))
        loads = {name: running.enter_context(rolling.load(address, *flags, name=f"load-{name}")) for name, address in (("nginx", nginx), ("HAProxy", haproxy))}
        warm = time.monotonic() + WARM
        balancers.http(nginx, haproxy)
        time.sleep(max(0, warm - time.monotonic()))
        observed(described, prometheus)
        rolled(described, accepts, prometheus, [nginx, haproxy])
        for name, load in loads.items():
            check(load.wait(timeout=LOAD) == 0, f"{name}: the load lost nothing", (up.RUN / f"load-{name}").read_text())
    unready(nginx, haproxy)
    mistakes.silent(described, nginx)
    up.end(NODES)
    balancers.away(described, nginx, haproxy)
    up.end(up.BALANCERS.values())
    below_http(nginx, haproxy)


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
    empty = [asked for asked, answer in answers.items() if not answer and not any(name in asked[1] for name in NOT_HERE)]
    check(not empty, "each of them with data", "\n".join(f"{where}: {text}" for where, text in empty))
    # Delays are those of a machine that compiles beside.
    alerts = prometheus.query('ALERTS{alertname!="RoomcastDeliverySlow"}')
    check(alerts == [], "no alert fires or is about to", alerts)
    rules = json.loads(get(f"http://{prometheus.address}/api/v1/rules")[2])["data"]["groups"]
    ill = [rule for group in rules for rule in group["rules"] if rule["health"] != "ok"]
    check(rules and not ill, "Prometheus judges every rule", ill)
    _, _, metrics = get(f"http://{described.addresses['node-1']}:9100/metrics")
    passes("promtool check metrics", "promtool", "check", "metrics", input=metrics)


def rolled(described, accepts, prometheus, addresses):
    """Every node ends under load and comes back, one after the other; nobody is turned away."""
    answered, over = [], threading.Event()

    def ask():
        while not over.wait(0.1):
            answered.extend(get(f"http://{address}/")[0] for address in addresses)

    asking = threading.Thread(target=ask)
    asking.start()
    drains = rolling.roll(described, accepts, rolling.window(TOTAL, PAUSE))
    over.set()
    asking.join()
    check(set(answered) == {200}, f"the balancers answered {len(answered)} times meanwhile", answered)
    rolling.judge(drains, accepts, CLIENTS * len(addresses))
    eventually(lambda: prometheus.query("sum(roomcast_ready) == 3"), "Prometheus sees all of them back")


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
