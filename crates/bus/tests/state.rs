//! The contract of a room's state, run in memory, on a Redis server and on a Redis Cluster: values by
//! key, conditions, bounds, expiry, points, and reads at one position.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::{LocalBoxFuture, join_all};
use roomcast_bus::{
    Bus, MemoryOptions, Publication, PublishError, RedisOptions, RoomStateRead, StateAction,
    StateBounds, StateChange,
};
use roomcast_protocol::{Epoch, Position, RoomName, StateKey};
use roomcast_testkit::{RedisCluster, RedisServer};
use support::*;

type Case = fn(Bus, Listener) -> LocalBoxFuture<'static, ()>;

const CASES: &[(&str, Case)] = &[
    ("newest values and removals", |b, l| Box::pin(newest_values(b, l))),
    ("conditions on a key", |b, l| Box::pin(conditions(b, l))),
    ("keys and bytes are bounded", |b, l| Box::pin(bounds(b, l))),
    ("expired values count for nothing", |b, l| Box::pin(expiry(b, l))),
    ("expired values make room at once", |b, l| Box::pin(room_at_once(b, l))),
    ("expired values are removed a few at a time", |b, l| Box::pin(a_few_at_a_time(b, l))),
    ("expired values are removed once", |b, l| Box::pin(removed_once(b, l))),
    ("points are kept", |b, l| Box::pin(points(b, l))),
    ("retries change nothing", |b, l| Box::pin(retries(b, l))),
    ("reads while it changes", |b, l| Box::pin(reads_while_it_changes(b, l))),
    ("other rooms have none", |b, l| Box::pin(other_rooms(b, l))),
];

#[tokio::test]
async fn memory_keeps_state() {
    for (name, case) in CASES {
        eprintln!("{name}");
        let (bus, feeds) = Bus::memory(MemoryOptions::default());
        case(bus, Listener::new(feeds)).await;
    }
}

#[tokio::test]
async fn redis_keeps_state() {
    let server = RedisServer::start();
    for (number, (name, case)) in CASES.iter().enumerate() {
        eprintln!("{name}");
        let prefix = format!("state-{number}");
        let (bus, listener) =
            redis_bus(RedisOptions { prefix, ..RedisOptions::new(server.url()) }).await;
        case(bus, listener).await;
    }
}

#[tokio::test]
async fn a_redis_cluster_keeps_state() {
    let cluster = RedisCluster::start(3, 0);
    for (number, (name, case)) in CASES.iter().enumerate() {
        eprintln!("{name}");
        let prefix = format!("state-{number}");
        let (bus, listener) =
            redis_bus(RedisOptions { prefix, ..RedisOptions::new(cluster.url()) }).await;
        case(bus, listener).await;
    }
}

const BOUNDS: StateBounds =
    StateBounds { keys: 1000, bytes: 1 << 20, points: 0, age: Duration::from_secs(3600) };

fn set(key: &str, text: &str) -> Publication {
    change(key, text, StateAction::Set)
}

/// A change of a key's value; the empty key is the room's own.
fn change(key: &str, text: &str, action: StateAction) -> Publication {
    let key = StateKey::parse(key).ok();
    let state = StateChange { key, ttl_ms: None, action, if_key_seq: None, bounds: BOUNDS };
    Publication { state: Some(state), ..json(text) }
}

fn with(publication: Publication, edit: impl FnOnce(&mut StateChange)) -> Publication {
    let mut publication = publication;
    edit(publication.state.as_mut().unwrap());
    publication
}

fn remove(key: &str) -> Publication {
    change(key, "null", StateAction::Remove)
}

/// The values of a read that have not expired: by key, with their seqs.
fn values(read: &RoomStateRead) -> BTreeMap<String, (u64, String)> {
    let entry = |entry: &roomcast_bus::StateValue| {
        let key = entry.message.state_key.as_ref().map_or("", |key| key.as_str()).to_owned();
        (key, (entry.message.seq, texts(std::slice::from_ref(&entry.message)).remove(0)))
    };
    let live = read.entries.iter().filter(|entry| entry.left != Some(Duration::ZERO));
    live.map(entry).collect()
}

async fn state(bus: &Bus, room: &RoomName) -> BTreeMap<String, (u64, String)> {
    values(&bus.state(room, 0).await.unwrap())
}

fn shown(values: &BTreeMap<String, (u64, String)>) -> String {
    let shown = values.iter().map(|(key, (seq, text))| format!("{key}={text}@{seq}"));
    shown.collect::<Vec<_>>().join(" ")
}

async fn newest_values(bus: Bus, mut listener: Listener) {
    let room = room("board");
    let nothing = bus.state(&room, 0).await.unwrap();
    assert_eq!((nothing.lineage.epoch, nothing.last, nothing.entries.len()), (Epoch::NONE, 0, 0));
    let (lineage, _) = listener.open(&room).await;
    let publish = async |publication| bus.publish(room.clone(), publication).await;
    publish(set("a", "1")).await.unwrap();
    // One group.
    let (b, own, again) = tokio::join!(
        publish(set("b", "2")),
        publish(set("", "3")),
        publish(with(set("a", "4"), |state| state.ttl_ms = Some(3_600_000))),
    );
    assert_eq!([b, own, again].map(|ack| ack.unwrap().position.seq), [2, 3, 4]);
    let read = bus.state(&room, 0).await.unwrap();
    assert_eq!((read.lineage, read.last, read.forgotten), (lineage, 4, 0));
    assert_eq!(shown(&state(&bus, &room).await), "=3@3 a=4@4 b=2@2");
    publish(remove("b")).await.unwrap();
    publish(remove("unknown")).await.unwrap();
    let read = bus.state(&room, 0).await.unwrap();
    assert_eq!((read.last, read.forgotten), (6, 5));
    assert_eq!(shown(&values(&read)), "=3@3 a=4@4");
    let left = read.entries.iter().find(|entry| entry.message.seq == 4).unwrap().left.unwrap();
    assert!(left > Duration::from_secs(3_000) && left <= Duration::from_secs(3_600), "{left:?}");
    publish(remove("")).await.unwrap();
    publish(remove("a")).await.unwrap();
    assert_eq!(shown(&state(&bus, &room).await), "");
    publish(set("é{}:*", "9")).await.unwrap();
    assert_eq!(shown(&state(&bus, &room).await), "é{}:*=9@9");
    let heard = listener.up_to(&room, 9).await;
    let told = |message: &roomcast_protocol::Message| {
        let key = message.state_key.as_ref().map_or("", |key| key.as_str()).to_owned();
        (key, message.ttl_ms, message.remove)
    };
    let told: Vec<_> = heard.messages.iter().map(|message| told(message)).collect();
    assert_eq!(told[3], ("a".to_owned(), Some(3_600_000), false));
    assert_eq!(told[4], ("b".to_owned(), None, true));
    assert_eq!(told[2], (String::new(), None, false));
    assert_eq!(told[6], (String::new(), None, true));
}

async fn conditions(bus: Bus, mut listener: Listener) {
    let room = room("locks");
    let at = |epoch, seq| Some(Position { epoch, seq });
    let new = |key_seq| with(set("lock", "1"), |state| state.if_key_seq = key_seq);
    // A room that was never published to holds for the epoch of no room.
    let first = bus.publish(room.clone(), new(Some(Position::START))).await.unwrap();
    let epoch = first.position.epoch;
    let refused = |seq| Err(PublishError::KeySeqConflict(seq));
    assert_eq!(bus.publish(room.clone(), new(Some(Position::START))).await, refused(1));
    assert_eq!(bus.publish(room.clone(), new(at(epoch, 0))).await, refused(1));
    assert_eq!(bus.publish(room.clone(), new(at(Epoch(9), 1))).await, refused(1));
    bus.publish(room.clone(), set("other", "2")).await.unwrap();
    let (second, late) = tokio::join!(
        bus.publish(room.clone(), new(at(epoch, 1))),
        bus.publish(room.clone(), new(at(epoch, 1))),
    );
    assert_eq!(second.unwrap().position.seq, 3);
    assert_eq!(late, refused(3), "within one group");
    bus.publish(room.clone(), remove("lock")).await.unwrap();
    assert_eq!(bus.publish(room.clone(), new(at(epoch, 3))).await, refused(0));
    assert_eq!(bus.publish(room.clone(), new(at(epoch, 0))).await.unwrap().position.seq, 5);
    // A room that is joined has an epoch before its first message.
    let joined = support::room("joined");
    let (lineage, _) = listener.open(&joined).await;
    let zero = at(lineage.epoch, 0);
    assert_eq!(bus.publish(joined.clone(), new(zero)).await.unwrap().position.seq, 1);
    let none = support::room("none");
    listener.open(&none).await;
    let ack = bus.publish(none.clone(), new(Some(Position::START))).await.unwrap();
    assert_eq!(ack.position.seq, 1);
}

async fn bounds(bus: Bus, _: Listener) {
    let room = room("bounded");
    let few = |publication| {
        with(publication, |state| state.bounds = StateBounds { keys: 3, bytes: 40, ..BOUNDS })
    };
    let publish = async |publication| {
        bus.publish(room.clone(), few(publication)).await.map(|ack| ack.position.seq)
    };
    for (number, key) in (1..).zip(["a", "b", "c"]) {
        assert_eq!(publish(set(key, "1")).await, Ok(number));
    }
    assert_eq!(publish(set("d", "1")).await, Err(PublishError::StateFull));
    assert_eq!(publish(set("", "1")).await, Err(PublishError::StateFull), "the room's own counts");
    assert_eq!(publish(set("a", "2")).await, Ok(4));
    let long = format!("\"{}\"", "x".repeat(34));
    assert_eq!(publish(set("a", &long)).await, Err(PublishError::StateFull), "41 bytes");
    assert_eq!(publish(set("a", &long[1..])).await, Ok(5), "40 bytes");
    assert_eq!(publish(set("b", "12")).await, Err(PublishError::StateFull));
    assert_eq!(publish(remove("a")).await, Ok(6));
    assert_eq!(publish(set("d", "12")).await, Ok(7));
    assert_eq!(shown(&state(&bus, &room).await), "b=1@2 c=1@3 d=12@7");
    // Bounds that were lowered refuse what grows only.
    let lower = |publication| {
        with(publication, |state| state.bounds = StateBounds { keys: 1, bytes: 1, ..BOUNDS })
    };
    assert!(bus.publish(room.clone(), lower(set("d", "34"))).await.is_ok());
    let refused = bus.publish(room.clone(), lower(set("e", "1"))).await;
    assert_eq!(refused, Err(PublishError::StateFull));
}

async fn expiry(bus: Bus, mut listener: Listener) {
    let room = room("presence");
    listener.open(&room).await;
    let short = |publication| {
        with(publication, |state| {
            state.ttl_ms = Some(100);
            state.bounds = StateBounds { keys: 2, ..BOUNDS };
        })
    };
    let publish = async |publication| bus.publish(room.clone(), publication).await;
    publish(short(set("a", "1"))).await.unwrap();
    let epoch = publish(short(set("b", "2"))).await.unwrap().position.epoch;
    eventually("both expire", async || state(&bus, &room).await.is_empty()).await;
    let zero = Some(Position { epoch, seq: 0 });
    let taken = with(short(set("a", "3")), |state| {
        state.if_key_seq = zero;
        state.ttl_ms = None;
    });
    assert_eq!(publish(taken).await.unwrap().position.seq, 3, "an expired value has no seq");
    // The room is full of what has expired: that is removed first, by a message of its own.
    let ack = publish(short(with(set("c", "4"), |_| {}))).await.unwrap();
    assert_eq!(ack.position.seq, 5);
    let heard = listener.up_to(&room, 5).await;
    let removal = &heard.messages[3];
    assert_eq!(removal.state_key.as_ref().unwrap().as_str(), "b");
    assert!(removal.remove && removal.user.is_none() && removal.echo);
    assert_eq!(texts(&heard.messages[3..]), ["null", "4"]);
    assert_eq!(bus.state(&room, 0).await.unwrap().forgotten, 4);
    // Within one group the seqs of acks are those of the messages.
    let expires = |key: &str| short(set(key, "5"));
    publish(remove("a")).await.unwrap();
    publish(expires("c")).await.unwrap();
    publish(expires("d")).await.unwrap();
    eventually("all expire", async || state(&bus, &room).await.is_empty()).await;
    let at = bus.standing(&room).await.unwrap().1;
    let names = ["p", "q", "r"];
    let acks = join_all(names.map(|key| {
        let bounded = |state: &mut StateChange| state.bounds = StateBounds { keys: 2, ..BOUNDS };
        bus.publish(room.clone(), with(set(key, "6"), bounded))
    }))
    .await;
    assert_eq!(acks[2], Err(PublishError::StateFull));
    let seqs: Vec<u64> = acks.iter().flatten().map(|ack| ack.position.seq).collect();
    assert_eq!(seqs, [at + 3, at + 4]);
    assert_eq!(shown(&state(&bus, &room).await), format!("p=6@{} q=6@{}", at + 3, at + 4));
}

/// What expired just after a scan counts for nothing either.
async fn room_at_once(bus: Bus, _: Listener) {
    const KEYS: u32 = 1_500;
    let room = room("crowded");
    let bounded = |publication| {
        with(publication, |state| state.bounds = StateBounds { keys: KEYS, ..BOUNDS })
    };
    let short = |key: &str| with(bounded(set(key, "1")), |state| state.ttl_ms = Some(1));
    let keys: Vec<String> = (1..KEYS).map(|number| format!("k{number}")).collect();
    for some in keys.chunks(100) {
        let all = some.iter().map(|key| bus.publish(room.clone(), bounded(set(key, "1"))));
        assert!(join_all(all).await.iter().all(Result::is_ok));
    }
    for number in 0..20 {
        let key = format!("short{number}");
        let ack = bus.publish(room.clone(), short(&key)).await;
        assert!(ack.is_ok(), "{number}: {ack:?}");
        let is_gone = async || !state(&bus, &room).await.contains_key(&key);
        eventually("it expires", is_gone).await;
    }
    // Nothing has expired: the room is full.
    bus.publish(room.clone(), bounded(set("last", "1"))).await.unwrap();
    let refused = bus.publish(room.clone(), bounded(set("more", "1"))).await;
    assert_eq!(refused, Err(PublishError::StateFull));
}

/// One publish removes no more than it needs, by so many messages.
async fn a_few_at_a_time(bus: Bus, mut listener: Listener) {
    const KEYS: u64 = 600;
    let room = room("tokens");
    listener.open(&room).await;
    let bounded = |publication, ttl_ms| {
        let edit = |state: &mut StateChange| {
            state.bounds = StateBounds { keys: KEYS as u32, ..BOUNDS };
            state.ttl_ms = ttl_ms;
        };
        with(publication, edit)
    };
    let keys: Vec<String> = (0..KEYS).map(|number| format!("k{number}")).collect();
    for some in keys.chunks(100) {
        let all =
            some.iter().map(|key| bus.publish(room.clone(), bounded(set(key, "1"), Some(2_000))));
        assert!(join_all(all).await.iter().all(Result::is_ok));
    }
    eventually("all expire", async || state(&bus, &room).await.is_empty()).await;
    let publish = async |key: &str| {
        bus.publish(room.clone(), bounded(set(key, "2"), None)).await.map(|ack| ack.position.seq)
    };
    assert_eq!(publish("one").await, Ok(KEYS + 128 + 1));
    // There is room for these.
    for number in 1..128 {
        assert_eq!(publish(&format!("more{number}")).await, Ok(KEYS + 128 + 1 + number));
    }
    assert_eq!(publish("next").await, Ok(KEYS + 128 + 128 + 128 + 1));
    let heard = listener.up_to(&room, KEYS + 128 + 128 + 128 + 1).await;
    let removed: std::collections::BTreeSet<_> = heard
        .messages
        .iter()
        .filter(|message| message.remove)
        .map(|message| message.state_key.as_ref().unwrap().as_str().to_owned())
        .collect();
    assert_eq!(removed.len(), 256, "each once");
}

async fn removed_once(bus: Bus, mut listener: Listener) {
    let room = room("leases");
    listener.open(&room).await;
    let publish = async |publication| bus.publish(room.clone(), publication).await;
    let short = |key: &str| with(set(key, "1"), |state| state.ttl_ms = Some(100));
    let expire = |key: &str, seq| change(key, "null", StateAction::Expire(seq));
    let first = publish(short("a")).await.unwrap().position.seq;
    assert_eq!(publish(expire("a", first + 9)).await, Err(PublishError::KeySeqConflict(first)));
    eventually("it expires", async || state(&bus, &room).await.is_empty()).await;
    let (one, two) = tokio::join!(publish(expire("a", first)), publish(expire("a", first)));
    assert_eq!(one.unwrap().position.seq, 2);
    assert_eq!(two, Err(PublishError::KeySeqConflict(0)), "one node of all removes it");
    publish(short("a")).await.unwrap();
    let renewed = publish(set("a", "2")).await.unwrap().position.seq;
    assert_eq!(publish(expire("a", 3)).await, Err(PublishError::KeySeqConflict(renewed)));
    assert_eq!(publish(expire("a", renewed)).await, Err(PublishError::KeySeqConflict(renewed)));
    let heard = listener.up_to(&room, renewed).await;
    assert_eq!(heard.messages.iter().filter(|message| message.remove).count(), 1);
}

async fn points(bus: Bus, _: Listener) {
    let room = room("chart");
    let dotted = |text: &str| {
        with(set("temp", text), |state| state.bounds = StateBounds { points: 3, ..BOUNDS })
    };
    for text in ["1", "22", "333", "4444"] {
        bus.publish(room.clone(), dotted(text)).await.unwrap();
    }
    let read = bus.state(&room, 3).await.unwrap();
    assert_eq!(texts(&read.entries[0].points), ["22", "333", "4444"]);
    assert_eq!(shown(&values(&read)), "temp=4444@4");
    assert_eq!(bus.state(&room, 2).await.unwrap().entries[0].points.len(), 2);
    // All points count.
    let bounded = |text: &str| {
        with(set("temp", text), |state| {
            state.bounds = StateBounds { points: 3, bytes: 4 + 3 + 4 + 3, ..BOUNDS };
        })
    };
    let full = bus.publish(room.clone(), bounded("4444")).await;
    assert_eq!(full, Err(PublishError::StateFull));
    assert!(bus.publish(room.clone(), bounded("333")).await.is_ok());
}

async fn retries(bus: Bus, _: Listener) {
    let room = room("retried");
    let keyed = |key: &str, text: &str| Publication {
        key: Some(roomcast_protocol::PublishKey::parse("k").unwrap()),
        ..set(key, text)
    };
    let first = bus.publish(room.clone(), keyed("a", "1")).await.unwrap();
    bus.publish(room.clone(), set("a", "2")).await.unwrap();
    assert_eq!(bus.publish(room.clone(), keyed("a", "1")).await, Ok(first));
    assert_eq!(shown(&state(&bus, &room).await), "a=2@2");
    let other = bus.publish(room.clone(), keyed("b", "1")).await;
    assert_eq!(other, Err(PublishError::KeyConflict), "another key of the state");
}

async fn reads_while_it_changes(bus: Bus, _: Listener) {
    const KEYS: u64 = 400;
    let room = room("busy");
    let change = |number: u64| match number % 7 {
        3 => remove(&format!("k{}", (number * 13) % KEYS)),
        _ => set(&format!("k{}", (number * 17) % KEYS), &number.to_string()),
    };
    let publishes = async |numbers: std::ops::Range<u64>| {
        for numbers in numbers.collect::<Vec<_>>().chunks(100) {
            let all = numbers.iter().map(|&number| bus.publish(room.clone(), change(number)));
            assert!(join_all(all).await.iter().all(Result::is_ok));
        }
    };
    publishes(1..KEYS + 1).await;
    let read_often = async {
        let mut reads = Vec::new();
        for _ in 0..20 {
            reads.push(bus.state(&room, 0).await.unwrap());
        }
        reads
    };
    let (reads, ()) = tokio::join!(read_often, publishes(KEYS + 1..6 * KEYS));
    for read in &reads {
        let mut truth = BTreeMap::new();
        let mut forgotten = 0;
        for number in 1..=read.last {
            match change(number).state.unwrap() {
                StateChange { key, action: StateAction::Remove, .. } => {
                    if truth.remove(key.unwrap().as_str()).is_some() {
                        forgotten = number;
                    }
                }
                StateChange { key, .. } => {
                    let value = (number, number.to_string());
                    truth.insert(key.unwrap().as_str().to_owned(), value);
                }
            }
        }
        assert_eq!(values(read), truth, "at {}", read.last);
        assert!(read.forgotten >= forgotten && read.forgotten <= read.last);
    }
    assert!(reads.windows(2).all(|two| two[0].last <= two[1].last));
}

async fn other_rooms(bus: Bus, _: Listener) {
    let room = room("plain");
    bus.publish(room.clone(), json("1")).await.unwrap();
    let read = bus.state(&room, 0).await.unwrap();
    assert_eq!((read.last, read.entries.len()), (1, 0));
    // State that is turned on later begins empty.
    bus.publish(room.clone(), set("a", "2")).await.unwrap();
    assert_eq!(shown(&state(&bus, &room).await), "a=2@2");
}

#[tokio::test]
async fn a_publish_without_state_calls_what_it_did() {
    const COUNT: u64 = 50;
    let server = RedisServer::start();
    let (bus, _listener) = redis_bus(RedisOptions::new(server.url())).await;
    let room = room("plain");
    bus.publish(room.clone(), json("0")).await.unwrap();
    let before = calls(&server);
    for number in 0..COUNT {
        bus.publish(room.clone(), json(&number.to_string())).await.unwrap();
    }
    let after = calls(&server);
    let made =
        |name: &str| after.get(name).copied().unwrap_or(0) - before.get(name).copied().unwrap_or(0);
    assert_eq!((made("xadd"), made("evalsha")), (COUNT, made("evalsha")));
    assert_eq!((made("hget"), made("hgetall"), made("unlink")), (0, 0, 0));
    // Meta is written once by a publish; now and then old entries are dropped, and leases advance.
    assert!(made("hset") < COUNT + 20, "{}", made("hset"));
}
