//! What users confirmed of rooms, in memory and over Redis under one contract, and what becomes of
//! it when a room's epoch changes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use roomcast_bus::{
    Bus, MemoryOptions, Publication, ReceiptError, ReceiptKind, ReceiptMarks, ReceiptMove,
    ReceiptRules, RedisOptions, Retention, RoomOutline,
};
use roomcast_protocol::{ConnectionId, Epoch, Position, RoomName, Seq, UserName};
use roomcast_testkit::{RedisCluster, RedisServer};
use support::*;

const LONG: Duration = Duration::from_secs(600);

fn user(name: &str) -> UserName {
    UserName::parse(name).unwrap()
}

fn step(name: &str, epoch: Epoch, seq: Seq, kind: ReceiptKind) -> ReceiptMove {
    let by = vec![ConnectionId(7), ConnectionId(8)];
    ReceiptMove { user: user(name), at: Position { epoch, seq }, kind, by }
}

/// Moves one user; the seqs that it received and read.
async fn advance(
    bus: &Bus,
    room: &RoomName,
    users: u32,
    step: ReceiptMove,
) -> Result<(Seq, Seq), ReceiptError> {
    let rules = ReceiptRules { users, age: LONG };
    let results = bus.advance_receipts(room, &[step], rules).await.unwrap();
    results[0].map(|marks| (marks.received, marks.read))
}

/// A time finds the message before it, also where messages have one time, and none is left before.
async fn find_times(bus: &Bus, room: &RoomName) {
    assert_eq!(bus.position_at(&self::room("never"), 7).await.unwrap(), Position::START);
    let history = bus.history(room, request(roomcast_bus::HistoryRange::After(0))).await.unwrap();
    let epoch = history.lineage.epoch;
    let at = async |time| bus.position_at(room, time).await.unwrap();
    for message in &history.messages {
        let first = history.messages.iter().find(|other| other.time >= message.time).unwrap();
        assert_eq!(at(message.time).await, Position { epoch, seq: first.seq - 1 });
    }
    let newest = history.messages.last().unwrap();
    assert_eq!(at(newest.time + 1).await, Position { epoch, seq: newest.seq });
    assert_eq!(at(u64::MAX).await, Position { epoch, seq: newest.seq });
    assert_eq!(at(0).await, Position { epoch, seq: 0 });
}

async fn outline(bus: &Bus, room: &RoomName, name: &str, kept: Retention) -> RoomOutline {
    bus.outline(room, Some(&user(name)), (kept, LONG)).await.unwrap()
}

async fn publish(bus: &Bus, room: &RoomName, count: usize) -> Position {
    let mut last = None;
    for _ in 0..count {
        last = Some(bus.publish(room.clone(), json("1")).await.unwrap().position);
    }
    last.unwrap()
}

async fn keep_the_contract(bus: Bus, mut listener: Listener) {
    use ReceiptKind::{Read, Received};
    let (room, away) = (room("chat:1"), room("chat:2"));
    // Nothing is created by asking.
    let nowhere =
        RoomOutline { epoch: Epoch::NONE, last: 0, time: 0, received: 0, read: 0, unread: 0 };
    assert_eq!(outline(&bus, &away, "ann", RETENTION).await, nowhere);
    let stranger = step("ann", Epoch(7), 3, Read);
    assert_eq!(advance(&bus, &away, 9, stranger).await, Err(ReceiptError::Stranger));
    assert_eq!(outline(&bus, &away, "ann", RETENTION).await, nowhere);

    listener.open(&room).await;
    let Position { epoch, seq: last } = publish(&bus, &room, 5).await;
    assert_eq!(last, 5);
    let go = async |name, seq, kind| advance(&bus, &room, 2, step(name, epoch, seq, kind)).await;
    assert_eq!(go("ann", 2, Received).await, Ok((2, 0)));
    assert_eq!(go("ann", 3, Read).await, Ok((3, 3)));
    // Only forward, and no further than the room.
    assert_eq!(go("ann", 1, Read).await, Ok((3, 3)));
    assert_eq!(go("ann", 99, Received).await, Ok((5, 3)));
    assert_eq!(go("bob", 4, Received).await, Ok((4, 0)));
    assert_eq!(go("eve", 4, Received).await, Err(ReceiptError::TooManyUsers));
    assert_eq!(go("bob", 5, Read).await, Ok((5, 5)));
    let start = step("eve", Epoch::NONE, 0, Read);
    assert_eq!(advance(&bus, &room, 2, start).await, Ok((0, 0)));
    let stranger = step("ann", Epoch(epoch.0 ^ 1), 5, Read);
    assert_eq!(advance(&bus, &room, 2, stranger).await, Err(ReceiptError::Stranger));

    let counts = bus.count_receipts(&room, &[1, 3, 4, 5, 6]).await.unwrap();
    assert_eq!((counts.epoch, counts.last), (epoch, 5));
    assert_eq!(counts.counts, [(2, 2), (2, 2), (2, 1), (2, 1), (0, 0)]);
    let ann = outline(&bus, &room, "ann", RETENTION).await;
    assert_eq!((ann.epoch, ann.last, ann.received, ann.read, ann.unread), (epoch, 5, 5, 3, 2));
    assert!(ann.time > 0);
    let short = Retention { history_size: 1, ..RETENTION };
    assert_eq!(outline(&bus, &room, "ann", short).await.unread, 1);
    assert_eq!(outline(&bus, &room, "eve", RETENTION).await.unread, 5);
    let none = bus.outline(&room, None, (RETENTION, LONG)).await.unwrap();
    assert_eq!((none.last, none.unread), (5, 0));

    find_times(&bus, &room).await;

    // Readers learn of each move; several of one call come together.
    let steps = [step("ann", epoch, 4, Read), step("ann", epoch, 5, Read)];
    let rules = ReceiptRules { users: 2, age: LONG };
    let marks = |read| Ok(ReceiptMarks { epoch, received: 5, read });
    let results = bus.advance_receipts(&room, &steps, rules).await.unwrap();
    assert_eq!(results, [marks(4), marks(5)]);
    let heard = listener.until(&room, |heard| heard.receipts.len() == 7).await;
    let told: Vec<_> = heard.receipts.iter().map(|news| (news.user.as_str(), news.marks)).collect();
    let at = |received, read| ReceiptMarks { epoch, received, read };
    assert_eq!(heard.receipts[0].by, [ConnectionId(7), ConnectionId(8)]);
    assert_eq!(told[0], ("ann", at(2, 0)));
    assert_eq!(told[3], ("bob", at(4, 0)));
    assert_eq!(told[told.len() - 1], ("ann", at(5, 5)));
}

#[tokio::test]
async fn memory_keeps_the_contract() {
    let (bus, feeds) = Bus::memory(MemoryOptions::default());
    keep_the_contract(bus, Listener::new(feeds)).await;
}

#[tokio::test]
async fn redis_keeps_the_contract() {
    let server = RedisServer::start();
    let (bus, listener) = redis_bus(RedisOptions::new(server.url())).await;
    keep_the_contract(bus, listener).await;
}

#[tokio::test]
async fn a_redis_cluster_keeps_the_contract() {
    let cluster = RedisCluster::start(3, 0);
    let (bus, listener) = redis_bus(RedisOptions::new(cluster.url())).await;
    keep_the_contract(bus, listener).await;
}

/// Aged messages are found without being read: a look costs little in a room with a long history.
#[tokio::test]
async fn unread_messages_are_counted_without_reading_the_old_ones() {
    const OLD: u64 = 4_000;
    const NEW: u64 = 1_000;
    let server = RedisServer::start();
    let (bus, mut listener) = redis_bus(RedisOptions::new(server.url())).await;
    let room = room("chat:1");
    listener.open(&room).await;
    publish(&bus, &room, 1).await;
    let keys = keys_of("chat:1");
    // Messages of a day long ago, and of now; the first ones of both are gone.
    let fill = "local now = redis.call('TIME')[1] * 1000
        for seq = 2, tonumber(ARGV[2]) do
          local time = seq <= tonumber(ARGV[1]) and '1000' or string.format('%d', now)
          redis.call('XADD', KEYS[2], seq .. '-0', 't', time, 'd', 'x')
        end
        for seq = 1, 100 do
          redis.call('XDEL', KEYS[2], seq .. '-0', (seq + ARGV[1]) .. '-0')
        end
        return redis.call('HSET', KEYS[1], 'seq', ARGV[2], 'time', string.format('%d', now))";
    let (old, last) = (OLD.to_string(), (OLD + NEW).to_string());
    let _: u64 = server.ask(&["EVAL", fill, "2", &keys.meta, &keys.stream, &old, &last]).unwrap();
    let kept = Retention { history_size: 10_000, ..RETENTION };
    let before = calls(&server);
    assert_eq!(outline(&bus, &room, "ann", kept).await.unread, NEW - 100);
    let short = Retention { history_size: 50, ..kept };
    assert_eq!(outline(&bus, &room, "ann", short).await.unread, 50);
    let read = |calls: &std::collections::BTreeMap<String, u64>| calls.get("xrange").copied();
    let made = read(&calls(&server)).unwrap_or(0) - read(&before).unwrap_or(0);
    assert!(made <= 30, "{made} reads of the stream");
    // All of it has aged.
    let _: u64 = server.ask(&["HSET", &keys.meta, "time", "1000"]).unwrap();
    let before = read(&calls(&server));
    assert_eq!(outline(&bus, &room, "ann", kept).await.unread, 0);
    assert_eq!(read(&calls(&server)), before);
}

/// A room of a version that knew no state, whose slot is on the move.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn positions_move_while_the_slot_of_an_old_room_does() {
    let mut cluster = RedisCluster::start(3, 0);
    let (bus, _listener) = redis_bus(RedisOptions::new(cluster.url())).await;
    // No feed has it open: that would make its keys.
    let room = room("chat:1");
    let Position { epoch, .. } = publish(&bus, &room, 3).await;
    let keys = keys_of("chat:1");
    let slot = cluster.slot_of(&keys.meta);
    let owner = cluster.owner_of(slot);
    let _: u64 = cluster.servers()[owner].ask(&["DEL", &keys.state]).unwrap();
    let on_its_way = cluster.begin_move(slot, (owner + 1) % 3);
    tokio::task::block_in_place(|| cluster.move_keys(&on_its_way));
    // Neither its receipts nor its state are anywhere.
    let moved = advance(&bus, &room, 9, step("ann", epoch, 3, ReceiptKind::Read)).await;
    assert_eq!(moved, Ok((3, 3)));
    tokio::task::block_in_place(|| cluster.finish_move(on_its_way));
}

/// R: positions are cut to the parting of their epoch from the present one, and only then forward.
#[tokio::test]
async fn positions_are_cut_where_their_epoch_parted() {
    use ReceiptKind::{Read, Received};
    let server = RedisServer::start();
    let (bus, mut listener) = redis_bus(RedisOptions::new(server.url())).await;
    let room = room("chat:1");
    listener.open(&room).await;
    let old = publish(&bus, &room, 6).await.epoch;
    advance(&bus, &room, 9, step("ann", old, 6, Received)).await.unwrap();
    advance(&bus, &room, 9, step("ann", old, 5, Read)).await.unwrap();
    advance(&bus, &room, 9, step("bob", old, 2, Read)).await.unwrap();
    // A promoted copy that lacks the last two messages, and has the receipts.
    let meta = keys_of("chat:1").meta;
    let _: usize = server.ask(&["HSET", &meta, "seq", "4", "life", "another:1"]).unwrap();
    let _: usize = server.ask(&["DEL", &keys_of("chat:1").stream]).unwrap();
    let look = async |name| {
        let outline = outline(&bus, &room, name, RETENTION).await;
        (outline.received, outline.read)
    };
    // Also before anything is written.
    assert_eq!((look("ann").await, look("bob").await), ((4, 4), (2, 2)));
    let new = publish(&bus, &room, 4).await;
    assert_eq!((new.seq, new.epoch == old), (8, false));
    assert_eq!((look("ann").await, look("bob").await), ((4, 4), (2, 2)));
    let counts = bus.count_receipts(&room, &[2, 4, 5, 6]).await.unwrap().counts;
    assert_eq!(counts, [(2, 2), (1, 1), (0, 0), (0, 0)]);
    let go =
        async |name, epoch, seq, kind| advance(&bus, &room, 9, step(name, epoch, seq, kind)).await;
    assert_eq!(go("bob", new.epoch, 7, Received).await, Ok((7, 2)));
    // What was confirmed of the old epoch is worth what both share.
    assert_eq!(go("ann", old, 6, Read).await, Ok((4, 4)));
    assert_eq!(go("eve", old, 6, Received).await, Ok((4, 0)));
    assert_eq!(go("ann", new.epoch, 5, Received).await, Ok((5, 4)));
    let counts = bus.count_receipts(&room, &[2, 4, 5, 7, 8]).await.unwrap().counts;
    assert_eq!(counts, [(3, 2), (3, 1), (2, 0), (1, 0), (0, 0)]);

    // The room begins again: nothing is left.
    let _: usize = server.ask(&["DEL", &meta]).unwrap();
    let begun = publish(&bus, &room, 9).await;
    assert_eq!(look("ann").await, (0, 0));
    assert_eq!(bus.count_receipts(&room, &[1]).await.unwrap().counts, [(0, 0)]);
    assert_eq!(go("ann", old, 1, Read).await, Err(ReceiptError::Stranger));
    assert_eq!(go("ann", begun.epoch, 3, Read).await, Ok((3, 3)));
    assert_eq!(bus.count_receipts(&room, &[1]).await.unwrap().counts, [(1, 1)]);
}

/// A room that may have been elsewhere begins again: nothing that was confirmed there holds.
#[tokio::test]
async fn a_room_that_was_elsewhere_begins_without_receipts() {
    let server = RedisServer::start();
    let (bus, mut listener) = redis_bus(RedisOptions::new(server.url())).await;
    let room = room("chat:1");
    listener.open(&room).await;
    let old = publish(&bus, &room, 3).await.epoch;
    advance(&bus, &room, 9, step("ann", old, 3, ReceiptKind::Read)).await.unwrap();
    let keys = keys_of("chat:1");
    let _: usize = server.ask(&["HSET", &keys.meta, "life", "another:9"]).unwrap();
    let moved = advance(&bus, &room, 9, step("ann", old, 2, ReceiptKind::Read)).await;
    assert_eq!(moved, Err(ReceiptError::Stranger));
    let told = outline(&bus, &room, "ann", RETENTION).await;
    assert_eq!((told.last, told.received, told.read, told.epoch == old), (0, 0, 0, false));
    let kind: String = server.ask(&["TYPE", &keys.receipts]).unwrap();
    assert_eq!(kind, "zset");
}

/// What users confirmed lives as long after each publish as the room's own keys, also where users
/// confirm nothing more.
#[tokio::test]
async fn publishes_and_readers_prolong_receipts() {
    let server = RedisServer::start();
    let (bus, mut listener) = redis_bus(RedisOptions::new(server.url())).await;
    let (room, age) = (room("chat:1"), Duration::from_secs(3 * 24 * 60 * 60));
    listener.open(&room).await;
    let publish = async || {
        bus.publish(room.clone(), Publication { keys_age: age, ..json("1") }).await.unwrap()
    };
    let epoch = publish().await.position.epoch;
    let steps = [step("ann", epoch, 1, ReceiptKind::Read)];
    bus.advance_receipts(&room, &steps, ReceiptRules { users: 9, age }).await.unwrap();
    let keys = keys_of("chat:1");
    let left = || -> u64 { server.ask(&["PTTL", &keys.receipts]).unwrap() };
    let age = age.as_millis() as u64;
    assert!(left() > age);
    // Days without a confirmation, and then a publish, or a node that still has the room open.
    let soon = || {
        let _: usize = server.ask(&["PEXPIRE", &keys.receipts, "60000"]).unwrap();
        let _: usize = server.ask(&["HSET", &keys.meta, "fresh", "1"]).unwrap();
    };
    soon();
    publish().await;
    assert!(left() > age);
    soon();
    let (other, mut second) = redis_bus(RedisOptions::new(server.url())).await;
    second.open(&room).await;
    assert!(left() > age);
    drop(other);
    assert_eq!(outline(&bus, &room, "ann", RETENTION).await.read, 1);
}

/// All users above the parting are cut in one step.
#[tokio::test]
async fn a_crowd_is_cut_in_one_step() {
    let server = RedisServer::start();
    let (bus, mut listener) = redis_bus(RedisOptions::new(server.url())).await;
    let room = room("chat:1");
    listener.open(&room).await;
    let old = publish(&bus, &room, 6).await.epoch;
    let rules = ReceiptRules { users: 2_500, age: LONG };
    for first in (0..2_500).step_by(250) {
        let steps: Vec<_> = (first..first + 250)
            .map(|number| step(&format!("u{number}"), old, 6, ReceiptKind::Read))
            .collect();
        let results = bus.advance_receipts(&room, &steps, rules).await.unwrap();
        assert!(results.iter().all(Result::is_ok));
    }
    let meta = keys_of("chat:1").meta;
    let _: usize = server.ask(&["HSET", &meta, "seq", "4", "life", "another:1"]).unwrap();
    let _: usize = server.ask(&["DEL", &keys_of("chat:1").stream]).unwrap();
    let epoch = publish(&bus, &room, 2).await.epoch;
    let moved = advance(&bus, &room, 2_500, step("u7", epoch, 5, ReceiptKind::Received)).await;
    assert_eq!(moved, Ok((5, 4)));
    let counts = bus.count_receipts(&room, &[4, 5, 6]).await.unwrap().counts;
    assert_eq!(counts, [(2_500, 2_500), (1, 0), (0, 0)]);
}

/// Redis refuses writes: positions are read all the same, and moves are refused.
#[tokio::test]
async fn a_redis_that_refuses_writes_answers_reads() {
    let server = RedisServer::start();
    let (bus, mut listener) = redis_bus(RedisOptions::new(server.url())).await;
    let room = room("chat:1");
    listener.open(&room).await;
    let Position { epoch, .. } = publish(&bus, &room, 3).await;
    advance(&bus, &room, 9, step("ann", epoch, 2, ReceiptKind::Read)).await.unwrap();
    let _: String = server.ask(&["CONFIG", "SET", "maxmemory", "1"]).unwrap();
    assert_eq!(outline(&bus, &room, "ann", RETENTION).await.read, 2);
    let rules = ReceiptRules { users: 9, age: LONG };
    let steps = [step("ann", epoch, 3, ReceiptKind::Read)];
    assert!(bus.advance_receipts(&room, &steps, rules).await.is_err());
    let _: String = server.ask(&["CONFIG", "SET", "maxmemory", "0"]).unwrap();
    assert_eq!(outline(&bus, &room, "ann", RETENTION).await.read, 2);
}
