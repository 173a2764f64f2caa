"""What can be said of the files under deploy/ without running anything."""

import os
import re
import subprocess
import tomllib

import up
import yaml
from checks import ROOT, TOOLS, check, passes, seconds

DEPLOY = ROOT / "deploy"
BASE = DEPLOY / "kubernetes/base"


def look():
    balancers()
    prometheus()
    compose()
    kubernetes()
    units()
    configurations()
    graces()
    runbooks()
    passes("the dashboards are those of build.py", TOOLS / "python", DEPLOY / "grafana/build.py", "--check")
    dockerfile()


def balancers():
    """Both, by HTTP and by TCP, and the other ways to stick that their comments offer."""
    described = up.Compose()
    nginx, haproxy = (up.BALANCERS[name] for name in ("nginx", "haproxy"))
    for name in ("roomcast.conf", "l4.conf"):
        path = rendered(described, nginx, f"nginx/{name}")
        *_, directives = described.command(nginx)
        passes(f"nginx -t: {name}", "nginx", "-t", "-e", "stderr", "-g", directives, "-c", path)
    path = rendered(described, nginx, "nginx/roomcast.conf")
    path.write_text(path.read_text().replace("$arg_user", "$arg_room"))
    passes("nginx -t: by room", "nginx", "-t", "-e", "stderr", "-g", directives, "-c", path)
    for name in ("haproxy.cfg", "l4.cfg"):
        path = rendered(described, haproxy, f"haproxy/{name}")
        passes(f"haproxy -c: {name}", "haproxy", "-c", "-f", path)
    text = (DEPLOY / "haproxy/haproxy.cfg").read_text()
    others = re.findall(r"^    #   (balance .+?)  ", text, re.MULTILINE)
    check(len(others) == 3, "haproxy.cfg offers three other ways to stick")
    for other in others:
        path = rendered(described, haproxy, "haproxy/haproxy.cfg")
        path.write_text(re.sub(r"balance leastconn\n.*", f"{other}\n    hash-type consistent", path.read_text()))
        passes(f"haproxy -c: {other}", "haproxy", "-c", "-f", path)


def rendered(described, service, name):
    """A balancer's configuration as `make up` would run it."""
    described.lay_out(service)
    path = described.folder(service) / "tmp" / name.replace("/", "-")
    path.write_text(described.render(service, (DEPLOY / name).read_text()))
    return path


def prometheus():
    passes("promtool check config", "promtool", "check", "config", DEPLOY / "prometheus/prometheus.yml")
    passes("promtool check rules", "promtool", "check", "rules", DEPLOY / "prometheus/alerts.yml")
    passes("promtool test rules", "promtool", "test", "rules", ROOT / "tests/deploy/alerts_test.yml")


def compose():
    schema = [TOOLS / "check-jsonschema", "--builtin-schema", "vendor.compose-spec"]
    for path in [ROOT / "docker-compose.yml", *(DEPLOY / "compose").glob("*.yml")]:
        passes(f"compose schema: {path.name}", *schema, path)
    published = [port for service in up.services().values() for port in service.get("ports", [])]
    check(all(port.startswith("127.0.0.1:") for port in published), "Compose publishes on this machine only", published)
    limited = {name: service["ulimits"]["nofile"] for name, service in up.services().items() if "ulimits" in service}
    check(len(limited) == 5, "nodes and balancers say how many descriptors they need", limited)
    for name, limit in limited.items():
        descriptors(limit, f"{name}: ulimits.nofile")
    described, chosen = up.Compose(), (ROOT / ".env").read_text()
    balancers = {described.reached(name) for name in up.BALANCERS.values()}
    check(balancers == {up.shifted("127.0.0.1:8080")}, "both balancers have the page's port", balancers)
    profiles = [described.services[name]["profiles"] for name in up.BALANCERS.values()]
    check(profiles == [[name] for name in up.BALANCERS], "each balancer has a profile of its name", profiles)
    check("\nCOMPOSE_PROFILES=nginx\n" in chosen, ".env chooses nginx", chosen)


def kubernetes():
    for name in ("base", "monitoring", "production"):
        manifests = passes(f"kustomize build {name}", TOOLS / "kubectl", "kustomize", DEPLOY / "kubernetes" / name)
        # Kubernetes's own kinds have a schema; the Prometheus operator's do not.
        known = [item for item in yaml.safe_load_all(manifests) if not item["apiVersion"].startswith("monitoring.")]
        passes(f"Kubernetes schemas: {name}, {len(known)} objects", TOOLS / "kubernetes-validate", "--strict", "/dev/stdin",
               input=yaml.safe_dump_all(known))


def dockerfile():
    passes("hadolint", TOOLS / "hadolint", DEPLOY / "Dockerfile")
    channel = tomllib.loads((ROOT / "rust-toolchain.toml").read_text())["toolchain"]["channel"]
    text = (DEPLOY / "Dockerfile").read_text()
    check(f"FROM rust:{channel}-" in text, "the image's compiler is the project's")
    built = re.search(r"(CARGO_PROFILE_RELEASE_\w+=\w+ )+\\\n    cargo build --release", text)
    stripped = built and "DEBUG=false" in built[0] and "STRIP=debuginfo" in built[0]
    check(stripped, "the image's program holds no debug information", text)


def units():
    text = (DEPLOY / "systemd/roomcast.service").read_text()
    path = up.RUN / "roomcast.service"
    path.write_text(text.replace("/usr/local/bin/roomcast", up.PROGRAMS["roomcast"]))
    if up.shutil.which("systemd-analyze"):
        passes("systemd-analyze verify", "systemd-analyze", "verify", path)
    else:
        print("       systemd-analyze is not installed: the unit was not verified")
    descriptors(int(re.search(r"LimitNOFILE=(\d+)", text)[1]), "systemd: LimitNOFILE")


def descriptors(limit, what):
    """Enough for the default of connections, and no more than an engine without root gives: it starts
    nothing that asks for more."""
    check(65_536 < limit <= 524_288, f"{what}: {limit}")


def configurations():
    for path in sorted(DEPLOY.rglob("*.toml")):
        passes(f"roomcast config check {path.relative_to(ROOT)}", up.PROGRAMS["roomcast"], "config", "check", path)


def drain_total(path):
    """How long a node with this configuration may take to end."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith("ROOMCAST__")}
    printed = subprocess.check_output([up.PROGRAMS["roomcast"], "config", "print", "--config", path], text=True, env=bare)
    return seconds(re.search(r"^drain\.total += (\S+)", printed, re.MULTILINE)[1])


def graces():
    """Whatever ends a node gives it longer than its drain takes."""
    total = max(map(drain_total, (DEPLOY / "compose").glob("*.toml")))
    for name, service in up.services().items():
        if service["image"] == "roomcast":
            check(seconds(service["stop_grace_period"]) > total, f"{name}: stop_grace_period above drain.total")
    unit = (DEPLOY / "systemd/roomcast.service").read_text()
    grace = seconds(re.search(r"TimeoutStopSec=(\w+)", unit)[1])
    check(grace > drain_total(DEPLOY / "roomcast.toml"), "systemd: TimeoutStopSec above drain.total")
    pod = yaml.safe_load((BASE / "deployment.yaml").read_text())["spec"]["template"]["spec"]
    hook = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    for path in (DEPLOY / "kubernetes").glob("*/roomcast.toml"):
        above = pod["terminationGracePeriodSeconds"] > drain_total(path) + hook
        check(above, f"Kubernetes, {path.parent.name}: grace above preStop and drain.total")


def runbooks():
    """Each alert points to its chapter, and each chapter is an alert's."""
    rules = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())["groups"][0]["rules"]
    chapters = re.findall(r"^### (Roomcast\w+)$", (ROOT / "docs/operations.md").read_text(), re.MULTILINE)
    alerts = [rule["alert"] for rule in rules]
    check(alerts == chapters, "a runbook for every alert, in their order", set(alerts) ^ set(chapters))
    tested = (ROOT / "tests/deploy/alerts_test.yml").read_text()
    check(not [name for name in alerts if f'"{name}"' not in tested], "a test for every alert")
    for rule in rules:
        target = f"docs/operations.md#{rule['alert'].lower()}"
        check(rule["annotations"]["runbook"] == target, f"{rule['alert']} names its runbook")
