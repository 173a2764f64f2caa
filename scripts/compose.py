"""docker-compose.yml as processes of one machine need it: addresses, commands and files of its services.
scripts/up.py starts them."""

import os
import re
import shutil
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
RUN = Path(os.environ.get("ROOMCAST_UP", TARGET / "up"))
# A container's program, where the image has one of its own.
PROGRAMS = {
    "roomcast": os.environ.get("ROOMCAST", str(TARGET / "quick" / "roomcast")),
    "prom/prometheus": "prometheus",
}
LEFT_OUT = {"grafana"}
# Where a program listens whose command and files name no port.
DEFAULT_PORTS = {"redis": 6379}
# Debian's nginx loads what the image's has built in.
NGINX_STREAM = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
# Where a container finds its secrets.
SECRETS = "/run/secrets"
# Added to every published port.
SHIFT = int(os.environ.get("ROOMCAST_SHIFT", "0"))
# Its thousands also choose the network, so that two of these do not meet.
NETWORK = f"127.0.{77 + SHIFT // 1000 % 100}"
BALANCERS = {"nginx": "balancer", "haproxy": "haproxy"}


def fail(text):
    sys.exit(f"up: {text}")


def shifted(published):
    """Where a published port is listened on."""
    address, port = published.split(":")
    return f"{address}:{int(port) + SHIFT}"


def merged(base, over):
    """One compose file laid over another: maps key by key, volumes by their place in the container,
    ports after each other."""
    result = dict(base)
    for key, value in over.items():
        if isinstance(value, dict):
            result[key] = merged(base.get(key) or {}, value)
        elif key == "volumes":
            places = {volume.split(":")[1]: volume for volume in base.get(key, []) + value}
            result[key] = list(places.values())
        elif key == "ports":
            result[key] = base.get(key, []) + value
        else:
            result[key] = value
    return result


def services():
    """What the compose files describe, by name. A secret is a file like others, in a place of its own."""
    described = {"services": {}, "secrets": {}}
    for name in os.environ.get("COMPOSE_FILE", "docker-compose.yml").split(":"):
        text = re.sub(r"\$\{(\w+):-([^}]*)\}", lambda word: os.environ.get(word[1]) or word[2], (ROOT / name).read_text())
        described = merged(described, {key: value for key, value in yaml.safe_load(text).items() if key in described})
    for service in described["services"].values():
        for name in service.pop("secrets", []):
            file = described["secrets"][name]["file"]
            service["volumes"] = service.get("volumes", []) + [f"{file}:{SECRETS}/{name}:ro"]
    return described["services"]


class Compose:
    """The compose file, as processes need it."""

    def __init__(self):
        self.services = services()
        self.addresses = {name: f"{NETWORK}.{at + 1}" for at, name in enumerate(self.services)}

    def folder(self, service):
        """Where everything of a service lies."""
        return RUN / service

    def published(self, service):
        """Where each port of a service that is published is reached from outside."""
        pairs = (port.rsplit(":", 1) for port in self.services[service].get("ports", []))
        return {inside: shifted(outside) for outside, inside in pairs}

    def reached(self, service):
        """Where a service with one published port is."""
        (address,) = self.published(service).values()
        return address

    def listens(self, service):
        """Every address that a service of this machine will listen on."""
        texts = [str(word) for word in self.services[service]["command"]]
        for _, source, _ in self.mounts(service):
            texts += [source.read_text()] if source.is_file() else []
        inside = set(re.findall(r"0\.0\.0\.0:(\d+)", "\n".join(texts)))
        inside |= {str(port) for image, port in DEFAULT_PORTS.items() if self.image(service) == image}
        published = self.published(service)
        return sorted(published.get(port, f"{self.addresses[service]}:{port}") for port in inside)

    def image(self, service):
        """The name of its image, without the version."""
        return self.services[service]["image"].rsplit(":", 1)[0]

    def nodes(self):
        """The services that are nodes of Roomcast; each node has its service's name."""
        return [name for name in self.services if self.image(name) == "roomcast"]

    def render(self, service, text):
        """A command's word or a file's text, with what a container would give it."""
        published = self.published(service)
        address = self.addresses[service]
        text = re.sub(r"0\.0\.0\.0:(\d+)", lambda port: published.get(port[1], f"{address}:{port[1]}"), text)
        text = text.replace("0.0.0.0", address)
        for name, other in self.addresses.items():
            text = re.sub(rf"(?<![\w.-]){name}(?=:\d)", other, text)
        places = {"/tmp": self.folder(service) / "tmp"}
        places |= {inside: here for inside, _, here in self.mounts(service)}
        inside = "|".join(re.escape(place) for place in places)
        return re.sub(rf"(?<![\w./-])({inside})(?![\w.-])", lambda place: str(places[place[1]]), text)

    def mounts(self, service):
        """Of each file: its path in the container, where it comes from, and where it lies here."""
        for volume in self.services[service].get("volumes", []):
            source, inside = volume.split(":")[:2]
            yield inside, ROOT / source, self.folder(service) / "files" / inside.lstrip("/")

    def lay_out(self, service):
        """Makes the service's folder with its rendered files."""
        folder = self.folder(service)
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "tmp").mkdir(parents=True)
        for inside, source, here in self.mounts(service):
            if inside.startswith(f"{SECRETS}/"):
                here.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, here)
                continue
            if not source.exists():
                here.mkdir(parents=True)
            for path in [source] if source.is_file() else source.rglob("*"):
                if path.is_file():
                    target = here / path.relative_to(source)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_text(self.render(service, path.read_text()))

    def command(self, service):
        words = [self.render(service, str(word)) for word in self.services[service]["command"]]
        image = self.image(service)
        if image in PROGRAMS:
            return [PROGRAMS[image], *words]
        if image == "nginx" and NGINX_STREAM.exists():
            words[-1] += f" load_module {NGINX_STREAM};"
        return words

    def health(self, service):
        """The command that tells whether it is well, if it has one."""
        test = self.services[service].get("healthcheck", {}).get("test", [])[1:]
        words = [self.render(service, str(word)) for word in test]
        if words and Path(words[0]).name == "roomcast":
            words[0] = PROGRAMS["roomcast"]
        return words

    def order(self, wanted):
        """The services wanted, each after those it depends on."""
        ordered = []

        def add(name):
            for needed in self.services[name].get("depends_on", []):
                add(needed)
            if name not in ordered:
                ordered.append(name)

        for name in wanted:
            add(name)
        return ordered
