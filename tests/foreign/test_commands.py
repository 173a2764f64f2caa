"""Every command that the documents show: run where it can be run here, with the output that they
show; of the others, that what they name exists."""

import asyncio
import contextlib
import json
import re
import shlex
import tempfile

from documents import ROOT, blocks
from programs import START, Node, free_port, program, redis
from test_documents import Output, succeeds

# Commands of machines that are not here, and of programs that have no tests of their own here.
NOT_HERE = [
    r"git clone REPOSITORY roomcast && cd roomcast",
    r"docker compose (-f \S+ -f deploy/compose/\w+\.yml )?up --build( -d)?",
    r"systemctl reload roomcast",
    r"cargo build .*",
    r"sudo apt-get install .*",
    r"(cd sdk/typescript && )?npm (ci|install|run)\b.*",
    r"node scripts/size\.mjs \S+",
]


async def test_commands_that_documents_show(place):
    """Each command is one of those that are run below, or is looked up."""
    unknown, shown, of_the_api = [], set(), api_commands()
    for block in blocks("console", "sh"):
        for command in commands(block):
            shown.add(command)
            if command not in {*RUN, *of_the_api} and not any(re.fullmatch(known, command) for known in NOT_HERE):
                if problem := await looked_up(place, command):
                    unknown.append(f"{block}: {command}: {problem}")
    assert not unknown, "\n".join(unknown)
    assert not RUN - shown, f"no document shows this any more: {RUN - shown}"


def commands(block):
    """What is typed, without comments."""
    for line in block.text.replace(" \\\n", " ").splitlines():
        if block.kind == "sh" or line.startswith("$ "):
            if command := re.sub(r"(^|\s+)#\s.*", "", line.removeprefix("$ ")).strip():
                yield re.sub(r" {2,}", " ", command)


async def looked_up(place, command):
    """What is wrong with a command that is not run here, if anything: does what it names exist?"""
    for part in re.split(r" && |; |\$\(|\)\"? ?|\"", command):
        words = shlex.split(part, posix=True) if part.strip() else []
        match words:
            case [] | ["sleep", _] | ["kill", *_]:
                continue
            case ["make", target, *_]:
                if not re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE):
                    return f"the Makefile has no {target}"
            case ["scripts/up.sh", *arguments]:
                verb, service = arguments
                compose = (ROOT / "docker-compose.yml").read_text()
                if verb not in ("run", "end", "pid") or f"\n  {service}:\n" not in compose:
                    return f"up.sh has no {verb} {service}"
            case ["deploy/compose/secrets.sh", _folder, _name]:
                continue  # tests/deploy/production.py runs it.
            case [("loadtest" | "target/release/loadtest"), *arguments]:
                if problem := await flags(place.roomcast.with_name("loadtest"), arguments):
                    return problem
            case _:
                return "run it in test_commands.py, or name it there"
    return None


async def flags(binary, arguments):
    """Whether the program knows the subcommand and each of its flags."""
    subcommand, *rest = arguments
    help = await succeeds(None, binary, subcommand, "--help")
    unknown = [word for word in rest if word.startswith("--") and not re.search(rf"{word}\b", help)]
    files = [word for word in rest if word.startswith("loadtest/") and not (ROOT / word).exists()]
    return f"unknown: {unknown + files}" if unknown + files else None


# What is run below, to the letter.
TAIL = "target/quick/roomcast tail chat"
PUBLISH = "target/quick/roomcast publish chat '{\"text\":\"hi\"}'"
COUNT = "seq 1 1000 | target/quick/roomcast publish chat --user counter | tail -1"
ORDER = "target/quick/roomcast publish orders '{\"id\":7}' --event created --key order-7-created"
WSCAT = "npx wscat -c 'ws://127.0.0.1:8080/ws?user=alice'"
CHECK = "roomcast config check /etc/roomcast/roomcast.toml"
REDIS = 'redis-server --save "" --appendonly no &'
FIRST = "target/quick/roomcast serve --redis-url redis://127.0.0.1:6379 --listen 127.0.0.1:8081"
SECOND = "target/quick/roomcast serve --redis-url redis://127.0.0.1:6379 --listen 127.0.0.1:8082"
BOTH = "target/quick/roomcast tail chat --url ws://127.0.0.1:8081/ws --url ws://127.0.0.1:8082/ws"
SECRET = "(umask 077; head -c 32 /dev/urandom | base64 > secret)"
KEY = '(umask 077; target/quick/roomcast api-key shop --scopes "publish admin" > key)'
AUTH = "printf '[auth]\\nhs_secret_file = \"secret\"\\n' > node.toml"
TABLE = "tail -n +2 key >> node.toml"
GUARDED = "target/quick/roomcast serve --config node.toml --listen 127.0.0.1:8090 &"
SETTINGS = 'export ROOMCAST_URL=http://127.0.0.1:8090 ROOMCAST_SECRET_FILE=secret ROOMCAST_KEY="$(head -n 1 key)"'
BACKEND = "node examples/backend-node/backend.mjs &"
LOGIN = "curl -X POST -u alice:wonderland http://127.0.0.1:3000/token"
BY_BACKEND = """curl -u bob:builder http://127.0.0.1:3000/rooms/chat:1 -d '{"text":"from a backend"}'"""
BAN = "curl -X POST -u root:secret http://127.0.0.1:3000/ban/bob"
MAKE = "target/quick/roomcast token make --secret-file secret --sub alice --for 1h --room 'chat*=join,publish' > token"
TOKENED = "target/quick/roomcast publish chat '{\"text\":\"hi\"}' --url ws://127.0.0.1:8090/ws --token-file token"
RUN = {TAIL, PUBLISH, COUNT, ORDER, WSCAT, CHECK, REDIS, FIRST, SECOND, BOTH, SECRET, KEY, AUTH, TABLE, GUARDED, MAKE, TOKENED}
RUN |= {SETTINGS, BACKEND, LOGIN, BY_BACKEND, BAN}
API = "docs/api.md"


def api_commands():
    """Those that test_commands_of_the_api runs."""
    return [command for block in blocks("console", page=API) for command in commands(block)]


def shell(place, command, replaced):
    """The command as bash takes it, with this test's program and ports; the node is `--url`'s default."""
    command = command.replace("target/quick/roomcast", str(place.roomcast))
    for shown, here in replaced.items():
        command = command.replace(shown, here)
    return ["bash", "-c", command]


def shown_output(command):
    """The lines that documents show below a command."""
    for block in blocks("console"):
        yield from (shown for typed, shown in dialogues(block) if typed == command and shown)


def alike(shown, real):
    """Two frames of one kind: the same fields, in the same order."""
    return list(json.loads(shown)) == list(json.loads(real))


async def test_commands_tail_and_publish(place):
    async with Node(place, "a") as node:
        url = f" --url {node.url()}"
        tail = shell(place, TAIL + url, {})
        async with program(tail, place.logs / "tail.log", stdout=asyncio.subprocess.PIPE) as tailing:
            tailed = Output(tailing.stdout)
            await until_joined(place.logs / "tail.log")
            published = await succeeds(place, *shell(place, PUBLISH + url, {}))
            await tailed.has('"text":"hi"')
        for command, real in ((TAIL, tailed.lines[-1]), (PUBLISH, published)):
            outputs = list(shown_output(command))
            assert outputs and all(alike(shown, real) for (shown,) in outputs), (command, outputs, real)
        counted = await succeeds(place, *shell(place, COUNT, {" | tail -1": url + " | tail -1"}))
        assert json.loads(counted)["seq"] == 1001, counted
        await succeeds(place, *shell(place, ORDER + url, {}))
        await succeeds(place, *shell(place, CHECK, {"roomcast ": f"{place.roomcast} ", "/etc/roomcast": str(ROOT / "deploy")}))


async def until_joined(log):
    """`tail` says on stderr that it has joined."""
    async with asyncio.timeout(START):
        while "joined" not in log.read_text():
            await asyncio.sleep(0.05)


async def test_commands_wscat(place):
    """What is typed into wscat, and what it prints, frame by frame."""
    for dialogue in shown_output(WSCAT):
        typed = [row[2:] for row in dialogue if row.startswith("> ")]
        wanted = [row[2:] for row in dialogue if row.startswith("< ")]
        async with Node(place, "a") as node:
            command = ["node", place.work / "npm/node_modules/wscat/bin/wscat", "--no-color", "--wait", -1]
            command += ["--connect", node.url() + "?user=alice", *(word for row in typed for word in ("--execute", row))]
            pipe = asyncio.subprocess.PIPE
            async with program(command, place.logs / "wscat.log", pipe, pipe) as wscat:
                printed = Output(wscat.stdout)
                await printed.has('"type":"connected"', '"type":"joined"', '"type":"ack"', '"type":"message"')
        real = {json.loads(frame)["type"]: frame for row in printed.lines if (frame := row[row.find("{"):]).startswith("{")}
        for row in wanted:
            if not row.endswith("…}"):
                assert alike(row, real[json.loads(row)["type"]]), (row, real)


async def test_commands_with_a_token(place):
    """The quickstart's way from a secret to a backend, in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        here = {"8090": str(free_port()), "examples/": f"{ROOT}/examples/", "3000": (port := str(free_port()))}

        def inside(command):
            typed = shell(place, command, here)[2]
            return ["bash", "-c", f"cd {folder}; {typed}"]

        for command in (SECRET, KEY, AUTH, TABLE, MAKE):
            await succeeds(place, *inside(command))
        async with program(inside("exec " + GUARDED.removesuffix(" &")), place.logs / "guarded.log"):
            published = await succeeds(place, *inside(f"for n in {{1..50}}; do {TOKENED} && exit; sleep 0.1; done; exit 1"))
            assert '"type":"ack"' in published, published
            backend = inside(f"export PORT={port}; {SETTINGS}; exec " + BACKEND.removesuffix(" &"))
            async with program(backend, place.logs / "backend.log", stdout=asyncio.subprocess.PIPE) as running:
                await Output(running.stdout).has("backend: ")
                for command in (LOGIN, BY_BACKEND, BAN):
                    real = await succeeds(place, *inside(command.replace("curl", "curl -sS")))
                    outputs = list(shown_output(command))
                    assert outputs and all(alike(line, real) for (line,) in outputs), (command, outputs, real)


async def test_commands_of_the_api(place):
    """Every command of docs/api.md, in its order, with the fields of the answers that it shows."""
    secret = place.logs / "secret"
    secret.write_text("a secret of some thirty-two bytes or more\n")
    configuration = place.logs / "node.toml"
    make, *curls = (line for block in blocks("console", page=API) for line in dialogues(block))
    command, shown = make
    assert command.startswith("roomcast api-key "), command
    made = await succeeds(place, *shell(place, command.replace("roomcast", str(place.roomcast)), {}))
    key, table = made.split("\n", 1)
    assert [line.split("=")[0] for line in shown[1:]] == [line.split("=")[0] for line in table.splitlines()], (shown, made)
    configuration.write_text(f'[auth]\nhs_secret_file = "{secret}"\n{table}')
    known = {"KEY": key}
    token = [place.roomcast, "token", "make", "--secret-file", secret, "--sub", "alice", "--for", "1h"]
    known["TOKEN"] = (await succeeds(place, *token)).strip()
    async with Node(place, "a", "--config", configuration) as node:
        for command, shown in curls:
            assert command.startswith("curl "), command
            variables = "".join(f"{name}={value}; " for name, value in known.items())
            typed = command.replace("curl ", "curl -sS --fail-with-body ", 1).replace("127.0.0.1:8080", f"127.0.0.1:{node.port}")
            real = await succeeds(place, "bash", "-c", variables + typed)
            assert len(shown) == len(real.splitlines()), (command, real)
            for wanted, line in zip(shown, real.splitlines()):
                assert same_shape(json.loads(wanted), json.loads(line)), (command, wanted, line)
                known["ID"] = json.loads(line).get("id", known.get("ID"))


def dialogues(block):
    """Pairs of a command and the lines that are shown below it."""
    typed = list(commands(block))
    parts = re.split(r"^\$ ", block.text.replace(" \\\n", " "), flags=re.MULTILINE)[1:]
    return [(command, part.rstrip("\n").split("\n")[1:]) for command, part in zip(typed, parts, strict=True)]


def same_shape(shown, real):
    """Two values with the same fields at every depth."""
    if isinstance(shown, dict) and isinstance(real, dict):
        return list(shown) == list(real) and all(same_shape(shown[name], real[name]) for name in shown)
    if isinstance(shown, list) and isinstance(real, list):
        return len(shown) == len(real) and all(map(same_shape, shown, real))
    return type(shown) is type(real)


async def test_commands_two_nodes_on_a_redis(place):
    ports = {"8081": str(free_port()), "8082": str(free_port())}
    async with contextlib.AsyncExitStack() as running:
        ports["redis://127.0.0.1:6379"] = await running.enter_async_context(redis(place))
        for name, command in (("first", FIRST), ("second", SECOND)):
            quick = " --set drain.total=1s --set drain.pause=0s"
            node = ["bash", "-c", "exec " + shell(place, command, ports)[2] + quick]
            await running.enter_async_context(program(node, place.logs / f"{name}.log"))
        both = ["bash", "-c", "exec " + shell(place, BOTH, ports)[2]]
        tailing = await running.enter_async_context(program(both, place.logs / "both.log", stdout=asyncio.subprocess.PIPE))
        await until_joined(place.logs / "both.log")
        await succeeds(place, place.roomcast, "publish", "chat", "1", "--url", f"ws://127.0.0.1:{ports['8082']}/ws")
        await Output(tailing.stdout).has('"data":1')
