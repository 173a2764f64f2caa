//! The keys of the sections `namespaces.<name>`, with their defaults and reasons.

use super::key::{Change, Key, Section, ValueKind};
use super::namespaces::RULES;
use super::value::Bounds;

pub(super) const SECTION: Section = Section {
    name: "namespaces.default",
    about: "Policies of rooms. A room's namespace is the part of its name before the first `:`; \
            rooms without one, or with one that is not configured, take `default`. Another \
            namespace is a table `[namespaces.NAME]` (a–z, 0–9, `_`, `-`); a key that it lacks \
            is taken from `namespaces.default`, one by one.",
    keys: &[
        Key {
            name: "history_size",
            default: "100",
            kind: ValueKind::Count(Bounds::new(0, 1_000_000)),
            change: Change::Reload,
            about: "Messages that users may read back; 0: none. A screen or two of a \
                    conversation.",
        },
        Key {
            name: "history_age",
            default: "10m",
            kind: ValueKind::Time(Bounds::new(1_000, 30 * 86_400_000)),
            change: Change::Reload,
            about: "How long a message may be read back. Bounds what Redis holds for rooms that \
                    fell silent.",
        },
        Key {
            name: "repair_window",
            default: "256",
            kind: ValueKind::Count(Bounds::new(16, 1_000_000)),
            change: Change::Reload,
            about: "Messages kept for nodes that missed them, whatever users may read. Seconds \
                    of a busy room: as long as a lost connection to Redis takes to come back.",
        },
        Key {
            name: "wait_replicas",
            default: "0",
            kind: ValueKind::Count(Bounds::new(0, 100)),
            change: Change::Reload,
            about: "Redis replicas that must have a message before its author gets the ack (Redis \
                    `WAIT`); if they do not have it in time, the answer is `publish_unknown`. None: \
                    a message that Redis acknowledged is lost only if its primary is, and that is \
                    told by `reset`.",
        },
        Key {
            name: "message_bytes",
            default: "64KiB",
            kind: ValueKind::Bytes(Bounds::new(1, 16 << 20)),
            change: Change::Reload,
            about: "Largest `data`; more is refused as `too_large`. What is larger belongs in a \
                    store, and its address in the message.",
        },
        Key {
            name: "publish_rate",
            default: "10",
            kind: ValueKind::Count(Bounds::new(1, 1_000_000).or_zero("no limit")),
            change: Change::Reload,
            about: "Publishes per second and connection. More are `rate_limited`. Faster than \
                    anybody types.",
        },
        Key {
            name: "publish_burst",
            default: "50",
            kind: ValueKind::Count(Bounds::new(1, 1_000_000)),
            change: Change::Reload,
            about: "Publishes that a connection which was quiet may send at once.",
        },
        Key {
            name: "signal_rate",
            default: "100",
            kind: ValueKind::Count(Bounds::new(1, 1_000_000).or_zero("no limit")),
            change: Change::Reload,
            about: "`signal`, `typing` and `presence` frames of a connection per second, as many at \
                    once; more are `rate_limited`. Room for a pointer that moves at 60 frames a \
                    second.",
        },
        Key {
            name: "user_publish_rate",
            default: "0",
            kind: ValueKind::Count(Bounds::new(1, 1_000_000).or_zero("no limit")),
            change: Change::Reload,
            about: "Publishes per second of all connections of a user on a node, as many at once; \
                    more are `rate_limited`. Holds for users that a token names, not for those of \
                    `?user=`.",
        },
        Key {
            name: "room_publish_rate",
            default: "0",
            kind: ValueKind::Count(Bounds::new(1, 1_000_000).or_zero("no limit")),
            change: Change::Reload,
            about: "Messages per second of one room, whoever publishes them on whichever node, as \
                    many at once; more are `rate_limited` and not stored. Holds for backends too. \
                    Bounds what every member of a room is sent.",
        },
        Key {
            name: "events",
            default: "",
            kind: ValueKind::Events,
            change: Change::Reload,
            about: "The events that may be published; another one, or none, is refused as \
                    `bad_data`. Empty: any, and none.",
        },
        Key {
            name: "schemas",
            default: "",
            kind: ValueKind::FileOrEmpty,
            change: Change::Reload,
            about: "A folder with a JSON Schema for each event, `EVENT.json`; `data` that does not \
                    fit is refused as `bad_data` with the path of what is wrong. An event without a \
                    file is not judged. The files are read at start and at SIGHUP; one that cannot \
                    be used, or has a `$ref` to elsewhere, fails the start, and a reload then changes \
                    nothing.",
        },
        Key {
            name: "max_text",
            default: "0",
            kind: ValueKind::Bytes(Bounds::new(1, 16 << 20).or_zero("no limit")),
            change: Change::Reload,
            about: "The longest string in `data`, keys of objects included, in bytes of UTF-8 after \
                    unescaping; a longer one is refused as `bad_data`.",
        },
        Key {
            name: "keys_per_user",
            default: "10000",
            kind: ValueKind::Count(Bounds::new(1, 10_000_000)),
            change: Change::Reload,
            about: "Publishes with a `key` that one user may make in one room within two minutes, \
                    the time for which a key is remembered; more are refused as `overloaded`. \
                    Without a user a connection's `client` has that many, and all connections with \
                    neither have them together. Raise it with `publish_rate`: 120 for each publish \
                    per second, and once more for each connection that the user has.",
        },
        Key {
            name: "keys_per_room",
            default: "250000",
            kind: ValueKind::Count(Bounds::new(1, 10_000_000)),
            change: Change::Reload,
            about: "The same for all users of a room together: a backend's 1,000 a second, \
                    twice over. Bounds the memory of a room's keys: 200 bytes each in Redis, which \
                    holds a key for two to four minutes.",
        },
        Key {
            name: "slow",
            default: "close",
            kind: ValueKind::Word(&["close", "conflate"]),
            change: Change::Reload,
            about: "What happens to a member more than `limits.lag_bytes` behind. `close`: its \
                    connection ends with 4000 and its client resumes, without loss. `conflate`: \
                    it is told of the gap and goes on with the newest message.",
        },
        Key {
            name: "presence",
            default: "off",
            kind: ValueKind::Word(&["off", "counts", "events"]),
            change: Change::Reload,
            about: "What is known of a room's members. `events`: members that ask for it are told \
                    when a user joins and leaves; `counts`: only how many there are. Both keep a \
                    list that can be read. Each join and leave then costs a part of a call to \
                    Redis; members that stay cost nothing.",
        },
        Key {
            name: "presence_grace",
            default: "5s",
            kind: ValueKind::Time(Bounds::new(0, 300_000)),
            change: Change::Reload,
            about: "How long after its last connection ended a user counts as there: a page that \
                    is loaded again, or a planned move, is no leave. A `leave` counts at once.",
        },
        Key {
            name: "presence_events_max",
            default: "1000",
            kind: ValueKind::Count(Bounds::new(1, 1_000_000)),
            change: Change::Reload,
            about: "Memberships of a room above which its members are told numbers in place of \
                    joins and leaves, at most once a second; events return below 80 % of it. All \
                    of them would be told of every change of any of them.",
        },
        Key {
            name: "author_info",
            default: "false",
            kind: ValueKind::Flag,
            change: Change::Reload,
            about: "Adds to each message the `info` that its author has in the room, or else in \
                    its token: a name and a picture, kept with the message.",
        },
        Key {
            name: "receipts",
            default: "false",
            kind: ValueKind::Flag,
            change: Change::Reload,
            about: "Keeps for each user how far it has received and read a room, and tells \
                    authors that ask for it how many have.",
        },
        Key {
            name: "receipts_users",
            default: "10000",
            kind: ValueKind::Count(Bounds::new(1, 10_000_000)),
            change: Change::Reload,
            about: "Users whose positions a room keeps; those of more are refused as \
                    `overloaded`. About 100 bytes each in Redis.",
        },
        Key {
            name: "state",
            default: "false",
            kind: ValueKind::Flag,
            change: Change::Reload,
            about: "Keeps the newest value of each `state_key` of a room. Members that join get all \
                    of them as a snapshot, and slow ones the newest value of each key. Turn it on \
                    when all nodes run a version that knows it.",
        },
        Key {
            name: "state_keys",
            default: "1000",
            kind: ValueKind::Count(Bounds::new(1, 1_000_000)),
            change: Change::Reload,
            about: "Keys with a value that a room has; a publish with another one is refused as \
                    `too_many_keys`. Each node that has the room open keeps them in memory.",
        },
        Key {
            name: "state_bytes",
            default: "1MiB",
            kind: ValueKind::Bytes(Bounds::new(1 << 10, 64 << 20)),
            change: Change::Reload,
            about: "Bytes of these keys and values, points included; a publish that would exceed \
                    them is refused as `too_many_keys`. Each member that joins is sent all of them.",
        },
        Key {
            name: "state_points",
            default: "0",
            kind: ValueKind::Count(Bounds::new(0, 1_000)),
            change: Change::Reload,
            about: "Values that a key keeps for charts: snapshots have the last so many of each key \
                    as `points`, the newest included; 0: none. Redis writes all of them at each \
                    publish.",
        },
        Key {
            name: "state_age",
            default: "7d",
            kind: ValueKind::Time(Bounds::new(1_000, 365 * 86_400_000)),
            change: Change::Reload,
            about: "How long Redis keeps a room with state or receipts after its last publish; while \
                    a node has it open, it is kept in any case.",
        },
        Key {
            name: "conflate_signals",
            default: "false",
            kind: ValueKind::Flag,
            change: Change::Reload,
            about: "Of the signals of one connection with one event in a room, sends at most one \
                    every 50 ms, the newest always: pointers that move at 60 frames a second are \
                    smooth at 20.",
        },
        Key {
            name: "allow_join",
            default: "",
            kind: ValueKind::WordOrEmpty(&RULES),
            change: Change::Reload,
            about: "Which connections may join without the capability `join` in their token: all \
                    (`public`), those with a user (`user`), none (`capability`); `server` refuses \
                    even those with the capability, and leaves the action to API keys. Empty: \
                    `capability` where authentication is configured, else `public`. (`member` \
                    admits none here.)",
        },
        Key {
            name: "allow_publish",
            default: "",
            kind: ValueKind::WordOrEmpty(&RULES),
            change: Change::Reload,
            about: "The same for publishing; `member`: connections that are in the room.",
        },
        Key {
            name: "allow_signal",
            default: "",
            kind: ValueKind::WordOrEmpty(&RULES),
            change: Change::Reload,
            about: "The same for signals and typing.",
        },
        Key {
            name: "allow_history",
            default: "",
            kind: ValueKind::WordOrEmpty(&RULES),
            change: Change::Reload,
            about: "The same for reading the past: `history`, and `history` in a `join`. Without \
                    it a `since` reaches back two minutes.",
        },
        Key {
            name: "allow_presence",
            default: "",
            kind: ValueKind::WordOrEmpty(&RULES),
            change: Change::Reload,
            about: "The same for seeing who is in the room.",
        },
    ],
};
