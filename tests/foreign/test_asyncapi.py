"""docs/asyncapi.yaml describes the frames of the golden vectors: all of them, and nothing looser."""

import copy
import json
import re

import jsonschema
import yaml
from documents import ROOT

# The payloads of the application: of any type, so nothing in them can be wrong.
FREE = {"data", "info"}


def description():
    return yaml.safe_load((ROOT / "docs/asyncapi.yaml").read_text())


def vectors():
    """Name of the message that describes it → the frames of the golden vectors."""
    found = {}
    for path in sorted((ROOT / "crates/protocol/golden").glob("*.json")):
        vector = json.loads(path.read_text())
        frame = json.loads(vector["json"])
        found.setdefault(f"{vector['direction']}_{frame['type']}", []).append((path.stem, frame))
    return found


def checks(document):
    """Name of each message → what checks its payload, with references into the whole document."""
    made = {}
    for name, message in document["components"]["messages"].items():
        schema = {"allOf": [{"$ref": f"#/components/messages/{name}/payload"}], "components": document["components"]}
        assert message["payload"], name
        made[name] = jsonschema.Draft7Validator(schema)
    return made


async def test_asyncapi_is_what_its_specification_takes(place):
    schema = json.loads((place.work / "npm/node_modules/@asyncapi/specs/schemas/3.0.0.json").read_text())
    document = description()
    takes = jsonschema.Draft7Validator(schema)
    takes.validate(document)
    document["operations"]["nobody"] = {"action": "shout"}
    assert not takes.is_valid(document)


async def test_asyncapi_has_every_frame_and_no_other(place):
    document, frames = description(), vectors()
    messages = document["components"]["messages"]
    assert set(messages) == set(frames), set(messages) ^ set(frames)
    assert set(document["channels"]["ws"]["messages"]) == set(messages)
    for name, message in messages.items():
        assert message["name"] == name.split("_", 1)[1], name
        assert message["title"] and message["summary"].endswith(".") and message["examples"], name


async def test_asyncapi_takes_every_golden_vector(place):
    document = description()
    check = checks(document)
    for name, known in vectors().items():
        for vector, frame in known:
            problem = jsonschema.exceptions.best_match(check[name].iter_errors(frame))
            assert problem is None, f"{vector}: {problem}"
        for example in document["components"]["messages"][name]["examples"]:
            check[name].validate(example["payload"])


async def test_asyncapi_takes_unknown_fields(place):
    """Newer nodes and clients add fields: to frames, and to the maps in them."""
    check = checks(description())
    for name, known in vectors().items():
        for vector, frame in known:
            for path in maps(frame):
                longer = copy.deepcopy(frame)
                at(longer, path)["x_of_a_newer_version"] = 1
                assert check[name].is_valid(longer), f"{vector}: {path}"


async def test_asyncapi_refuses_every_field_of_a_wrong_type(place):
    """So each field of each vector is described, at every depth."""
    check, tried = checks(description()), 0
    for name, known in vectors().items():
        for vector, frame in known:
            for path in fields(frame):
                wrong = copy.deepcopy(frame)
                value = at(wrong, path)
                at(wrong, path[:-1])[path[-1]] = "wrong" if isinstance(value, (dict, list)) else {"wrong": True}
                assert not check[name].is_valid(wrong), f"{vector}: {path} may be of any type"
                tried += 1
    assert tried > 300, tried


# What the node refuses, or never sends: a field without which the frame means nothing, a bound.
REFUSED = [
    ("client_join", {"type": "join", "id": 1}),
    ("client_join", {"type": "join", "room": "a", "rooms": [{"room": "b"}]}),
    ("client_join", {"type": "join", "rooms": []}),
    ("client_join", {"type": "join", "room": "a", "history": 1001}),
    ("client_join", {"type": "join", "room": "a", "since": {"seq": 1}}),
    ("client_join", {"type": "join", "room": "a b"}),
    ("client_join", {"type": "join", "room": "@you"}),
    ("client_join", {"type": "join", "room": "$control"}),
    ("client_join", {"type": "join", "id": 0, "room": "a"}),
    ("client_join", {"type": "join", "id": 1.5, "room": "a"}),
    ("client_leave", {"type": "leave"}),
    ("client_publish", {"type": "publish", "room": "a"}),
    ("client_publish", {"type": "publish", "room": "a", "data": 1, "if_seq": 1}),
    ("client_publish", {"type": "publish", "room": "a", "data": 1, "if_key_seq": 1}),
    ("client_publish", {"type": "publish", "room": "a", "data": 1, "ttl_ms": 99}),
    ("client_publish", {"type": "publish", "room": "a", "data": 1, "key": "k" * 65}),
    ("client_signal", {"type": "signal", "room": "a", "data": 1}),
    ("client_history", {"type": "history", "room": "a", "before": 2, "after": 1}),
    ("client_history", {"type": "history", "room": "a", "limit": 0}),
    ("client_presence", {"type": "presence", "room": "a"}),
    ("client_presence", {"type": "presence", "room": "a", "status": "gone"}),
    ("client_room", {"type": "room"}),
    ("client_room", {"type": "room", "rooms": ["a"] * 101}),
    ("client_received", {"type": "received", "room": "a", "seq": 1}),
    ("client_refresh", {"type": "refresh"}),
    ("server_ack", {"type": "ack", "room": "a", "epoch": "0" * 16, "seq": 1, "time": 1}),
    ("server_joined", {"type": "joined", "room": "a", "epoch": "0" * 15, "seq": 1}),
    ("server_joined", {"type": "joined", "room": "a", "epoch": "F" * 16, "seq": 1}),
    ("server_gap", {"type": "gap", "room": "a", "from": 1}),
    ("server_error", {"type": "error", "message": "no code"}),
]


async def test_asyncapi_refuses_what_is_no_frame(place):
    check = checks(description())
    taken = [f"{name}: {json.dumps(frame)[:80]}" for name, frame in REFUSED if check[name].is_valid(frame)]
    assert not taken, taken
    for name, known in vectors().items():
        for other in check.keys() - {name}:
            if known[0][1]["type"] != other.split("_", 1)[1]:
                assert not check[other].is_valid(known[0][1]), f"{known[0][0]} is taken for {other}"


async def test_asyncapi_operations_cover_every_message(place):
    """Clients send each client's message in an operation; each of the node's is an answer or comes by itself."""
    document = description()
    sent, answered, pushed = set(), set(), set()
    for operation in document["operations"].values():
        names = {reference["$ref"].rsplit("/", 1)[1] for reference in operation["messages"]}
        (sent if operation["action"] == "receive" else pushed).update(names)
        answered |= {reference["$ref"].rsplit("/", 1)[1] for reference in operation.get("reply", {}).get("messages", [])}
    messages = set(document["components"]["messages"])
    assert sent == {name for name in messages if name.startswith("client_")}
    assert answered | pushed == {name for name in messages if name.startswith("server_")}


async def test_asyncapi_has_the_codes_of_the_protocol(place):
    document, page = description(), (ROOT / "docs/protocol.md").read_text()
    errors = re.findall(r"^\| `(\w+)` \|", section(page, "Error codes"), re.MULTILINE)
    assert list(document["components"]["schemas"]["ErrorCode"]["x-error-codes"]) == errors
    rows = re.findall(r"^\| (\d{4}) \| `(\w+)` \| (\w+) \|", section(page, "Close codes"), re.MULTILINE)
    codes = [(str(row["code"]), row["reason"], row["comeBack"]) for row in document["channels"]["ws"]["x-close-codes"]]
    assert codes == rows and len(rows) > 15, (codes, rows)


def section(page, name):
    return page.split(f"\n## {name}\n")[1].split("\n## ")[0]


def fields(value, path=()):
    """The path of each field of a frame, in maps and lists, but not inside of payloads."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        if key not in FREE:
            yield (*path, key)
            yield from fields(inner, (*path, key))


def maps(frame):
    """The path of the frame and of each map in it."""
    yield ()
    yield from (path for path in fields(frame) if isinstance(at(frame, path), dict))


def at(value, path):
    for key in path:
        value = value[key]
    return value
