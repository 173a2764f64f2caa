//! The one contract of every bus, run in memory and on a real Redis. Each case has rooms of its
//! own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::future::LocalBoxFuture;
use roomcast_bus::{
    Bus, HistoryRange, MemoryOptions, OrderRecord, OrderRevision, PublishError, RedisOptions,
    Retention, TicketUse,
};
use roomcast_protocol::{ConnectionId, Data, Epoch, EventName, Lineage, Position, UserName};
use roomcast_testkit::{RedisCluster, RedisServer, Sentinels};
use support::*;

type Case = fn(Bus, Listener) -> LocalBoxFuture<'static, ()>;

const CASES: &[(&str, Case)] = &[
    ("messages arrive whole and in order", |b, l| Box::pin(whole_and_in_order(b, l))),
    ("submissions keep their order", |b, l| Box::pin(submissions_keep_their_order(b, l))),
    ("a burst is few events", |b, l| Box::pin(a_burst_is_few_events(b, l))),
    ("a key is stored once", |b, l| Box::pin(a_key_is_stored_once(b, l))),
    ("keys within one burst", |b, l| Box::pin(keys_within_one_burst(b, l))),
    ("each author has its keys", |b, l| Box::pin(each_author_has_its_keys(b, l))),
    ("keys are bounded", |b, l| Box::pin(keys_are_bounded(b, l))),
    ("an api key has the rooms bound", |b, l| Box::pin(an_api_key_has_the_rooms_bound(b, l))),
    ("a room has a rate", |b, l| Box::pin(a_room_has_a_rate(b, l))),
    ("orders are kept", |b, l| Box::pin(orders_are_kept(b, l))),
    ("tickets are taken once", |b, l| Box::pin(tickets_are_taken_once(b, l))),
    ("reading keeps nothing", |b, l| Box::pin(reading_keeps_nothing(b, l))),
    ("if_seq holds or tells", |b, l| Box::pin(if_seq_holds_or_tells(b, l))),
    ("if_seq within one burst", |b, l| Box::pin(if_seq_within_one_burst(b, l))),
    ("history ranges", |b, l| Box::pin(history_ranges(b, l))),
    ("history bounds", |b, l| Box::pin(history_bounds(b, l))),
    ("history ages", |b, l| Box::pin(history_ages(b, l))),
    ("an empty room stands at its begin", |b, l| Box::pin(an_empty_room(b, l))),
    ("a closed room is silent", |b, l| Box::pin(a_closed_room_is_silent(b, l))),
    ("hostile names keep apart", |b, l| Box::pin(hostile_names_keep_apart(b, l))),
    ("large payloads", |b, l| Box::pin(large_payloads(b, l))),
    ("time does not go back", |b, l| Box::pin(time_does_not_go_back(b, l))),
    ("many rooms at once", |b, l| Box::pin(many_rooms_at_once(b, l))),
];

#[tokio::test]
async fn memory_keeps_the_contract() {
    for (name, case) in CASES {
        eprintln!("{name}");
        let (bus, feeds) = Bus::memory(MemoryOptions::default());
        assert!(bus.health().ready());
        case(bus, Listener::new(feeds)).await;
    }
}

#[tokio::test]
async fn redis_keeps_the_contract() {
    let server = RedisServer::start();
    for (number, (name, case)) in CASES.iter().enumerate() {
        eprintln!("{name}");
        let prefix = format!("contract-{number}");
        let (bus, listener) =
            redis_bus(RedisOptions { prefix, ..RedisOptions::new(server.url()) }).await;
        case(bus, listener).await;
    }
}

#[tokio::test]
async fn redis_keeps_the_contract_over_several_connections() {
    let server = RedisServer::start();
    let options = RedisOptions {
        publish_connections: 3,
        subscribe_connections: 3,
        ..RedisOptions::new(server.url())
    };
    keep_the_contract(options).await;
}

#[tokio::test]
async fn redis_under_sentinels_keeps_the_contract() {
    let sentinels = Sentinels::start();
    keep_the_contract(RedisOptions::new(sentinels.url())).await;
}

#[tokio::test]
async fn a_redis_cluster_keeps_the_contract() {
    let cluster = RedisCluster::start(3, 0);
    keep_the_contract(RedisOptions::new(cluster.url())).await;
}

#[tokio::test]
async fn several_redis_servers_keep_the_contract() {
    let servers = [RedisServer::start(), RedisServer::start(), RedisServer::start()];
    let urls = servers.each_ref().map(RedisServer::url).join(" ");
    keep_the_contract(RedisOptions { version: 7, ..RedisOptions::new(urls) }).await;
}

async fn keep_the_contract(options: RedisOptions) {
    for (name, case) in CASES {
        let options = RedisOptions { prefix: name.replace(' ', "-"), ..options.clone() };
        let (bus, listener) = redis_bus(options).await;
        case(bus, listener).await;
    }
}

async fn whole_and_in_order(bus: Bus, mut listener: Listener) {
    let room = room("chat:1");
    let (lineage, last) = listener.open(&room).await;
    assert_eq!(last, 0);
    let full = roomcast_bus::Publication {
        user: Some(UserName::parse("alice@example.org").unwrap()),
        connection: Some(ConnectionId(u64::MAX)),
        event: Some(EventName::parse("note").unwrap()),
        echo: false,
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
        data: Data::MsgPack(vec![0xc4, 0x02, 0x00, 0xff].into()),
        ..keyed("", None, "key-1")
    };
    let first = bus.publish(room.clone(), full.clone()).await.unwrap();
    let second = bus.publish(room.clone(), json(r#"{"a": 1}"#)).await.unwrap();
    assert_eq!(first.position, Position { epoch: lineage.epoch, seq: 1 });
    assert_eq!(second.position, Position { epoch: lineage.epoch, seq: 2 });

    let heard = listener.up_to(&room, 2).await;
    let message = &heard.messages[0];
    assert_eq!((message.seq, message.time), (1, first.time));
    assert_eq!(message.user, full.user);
    assert_eq!(message.connection, full.connection);
    assert_eq!(message.event, full.event);
    assert_eq!(message.key, full.key);
    assert_eq!(message.echo, full.echo);
    assert_eq!(message.traceparent, full.traceparent);
    assert_eq!(message.data, full.data);
    assert_eq!(heard.messages[1].data, json(r#"{"a": 1}"#).data);
    let history = bus.history(&room, request(HistoryRange::Latest)).await.unwrap();
    assert_eq!(history.messages, heard.messages, "history tells the same");
    assert_eq!((history.lineage, history.last, history.more), (lineage, 2, false));
}

async fn submissions_keep_their_order(bus: Bus, mut listener: Listener) {
    const COUNT: u64 = 1000;
    let room = room("order");
    listener.open(&room).await;
    let replies = Arc::new(Mutex::new(Vec::new()));
    for number in 0..COUNT {
        let replies = replies.clone();
        let reply = Box::new(move |result: Result<roomcast_bus::PublishAck, PublishError>| {
            replies.lock().unwrap().push((number, result.unwrap().position.seq));
        });
        bus.submit(room.clone(), json(&number.to_string()), reply);
    }
    let heard = listener.up_to(&room, COUNT).await;
    let expected: Vec<_> = (0..COUNT).map(|number| number.to_string()).collect();
    assert_eq!(texts(&heard.messages), expected);
    eventually("every reply", async || replies.lock().unwrap().len() as u64 == COUNT).await;
    let expected: Vec<_> = (0..COUNT).map(|number| (number, number + 1)).collect();
    assert_eq!(*replies.lock().unwrap(), expected, "each reply once, with its seq");
}

async fn a_burst_is_few_events(bus: Bus, mut listener: Listener) {
    let room = room("burst");
    listener.open(&room).await;
    for _ in 0..500 {
        bus.submit(room.clone(), json("1"), Box::new(|_| {}));
    }
    let heard = listener.up_to(&room, 500).await;
    assert!(heard.events <= 12, "500 messages came in {} events", heard.events);
}

async fn a_key_is_stored_once(bus: Bus, mut listener: Listener) {
    let room = room("keys");
    listener.open(&room).await;
    let publish = |publication| bus.publish(room.clone(), publication);
    let ack = publish(keyed("1", Some("alice"), "k")).await.unwrap();
    assert_eq!(publish(keyed("1", Some("alice"), "k")).await, Ok(ack), "a retry");
    assert_eq!(
        publish(keyed("2", Some("alice"), "k")).await,
        Err(PublishError::KeyConflict),
        "another payload"
    );
    let others = [
        publish(keyed("1", Some("bob"), "k")).await.unwrap(),
        publish(keyed("1", None, "k")).await.unwrap(),
        publish(keyed("1", Some("alice"), "k2")).await.unwrap(),
        publish(keyed("1", Some("-"), "k")).await.unwrap(),
    ];
    assert_eq!(others.map(|ack| ack.position.seq), [2, 3, 4, 5], "other users and keys");
    assert_eq!(publish(keyed("1", Some("alice"), "k")).await, Ok(ack));
    assert_eq!(bus.standing(&room).await.unwrap().1, 5);
    assert_eq!(listener.up_to(&room, 5).await.seqs(), [1, 2, 3, 4, 5]);
}

async fn keys_within_one_burst(bus: Bus, mut listener: Listener) {
    let room = room("keys-burst");
    listener.open(&room).await;
    let publish = |publication| bus.publish(room.clone(), publication);
    let (first, retry, other, plain) = tokio::join!(
        publish(keyed("1", None, "k")),
        publish(keyed("1", None, "k")),
        publish(keyed("2", None, "k")),
        publish(json("3")),
    );
    assert_eq!(first.unwrap().position.seq, 1);
    assert_eq!(retry, first);
    assert_eq!(other, Err(PublishError::KeyConflict));
    assert_eq!(plain.unwrap().position.seq, 2);
    assert_eq!(texts(&listener.up_to(&room, 2).await.messages), ["1", "3"]);
}

/// Published as by a connection without a user, whose client has a name.
fn by_client(client: &str, text: &str, key: &str) -> roomcast_bus::Publication {
    roomcast_bus::Publication { client: Some(client.into()), ..keyed(text, None, key) }
}

async fn each_author_has_its_keys(bus: Bus, _: Listener) {
    let room = room("authors");
    let seq = async |publication| {
        let ack = bus.publish(room.clone(), publication).await;
        ack.map(|ack| ack.position.seq)
    };
    let both = || roomcast_bus::Publication {
        client: Some("tab".into()),
        ..keyed("1", Some("alice"), "k")
    };
    assert_eq!(seq(keyed("1", Some("alice"), "k")).await, Ok(1));
    assert_eq!(seq(by_client("alice", "1", "k")).await, Ok(2), "a client of a user's name");
    assert_eq!(seq(by_client("-", "1", "k")).await, Ok(3));
    assert_eq!(seq(by_client("+alice", "1", "k")).await, Ok(4));
    assert_eq!(seq(keyed("1", None, "k")).await, Ok(5), "those who have neither");
    assert_eq!(seq(both()).await, Ok(1), "a user, whatever the client");
    assert_eq!(seq(by_client("alice", "1", "k")).await, Ok(2));
    assert_eq!(seq(by_client("alice", "2", "k")).await, Err(PublishError::KeyConflict));
    assert_eq!(seq(keyed("2", None, "k")).await, Err(PublishError::KeyConflict));
    assert_eq!(seq(keyed("1", None, "k")).await, Ok(5));
}

async fn keys_are_bounded(bus: Bus, mut listener: Listener) {
    let room = room("bounded");
    listener.open(&room).await;
    let retention = Retention { keys_per_user: 3, keys_per_room: 5, ..RETENTION };
    let submit = |user: Option<&str>, key: u32| {
        let publication = keyed("1", user, &format!("k{key}"));
        let publication = roomcast_bus::Publication { retention, ..publication };
        let publishing = bus.publish(room.clone(), publication);
        async move { publishing.await.map(|ack| ack.position.seq) }
    };
    let refused = Err(PublishError::TooManyKeys);
    // In one group, and each by itself.
    let alice = tokio::join!(
        submit(Some("alice"), 1),
        submit(Some("alice"), 2),
        submit(Some("alice"), 3),
        submit(Some("alice"), 4),
        submit(Some("alice"), 1),
        submit(None, 4)
    );
    assert_eq!(alice, (Ok(1), Ok(2), Ok(3), refused, Ok(1), Ok(4)));
    assert_eq!(submit(Some("alice"), 5).await, refused);
    assert_eq!(submit(Some("alice"), 3).await, Ok(3), "a retry is no other key");
    assert_eq!(submit(None, 5).await, Ok(5));
    assert_eq!(submit(Some("bob"), 1).await, refused, "the room's bound");
    assert_eq!(bus.publish(room.clone(), json("2")).await.unwrap().position.seq, 6);
    assert_eq!(listener.up_to(&room, 6).await.seqs(), [1, 2, 3, 4, 5, 6]);
}

async fn an_api_key_has_the_rooms_bound(bus: Bus, _: Listener) {
    let room = room("chat:1");
    let retention = Retention { keys_per_user: 1, keys_per_room: 4, ..RETENTION };
    let publish = async |api_key: &str, user: Option<&str>, key: &str| {
        let api_key = Some(api_key).filter(|name| !name.is_empty()).map(Into::into);
        let publication = roomcast_bus::Publication { api_key, retention, ..keyed("1", user, key) };
        bus.publish(room.clone(), publication).await.map(|ack| ack.position.seq)
    };
    assert_eq!(publish("shop", Some("ann"), "k1").await, Ok(1));
    assert_eq!(publish("shop", Some("bob"), "k1").await, Ok(1), "the key is the backend's");
    assert_eq!(publish("shop", None, "k2").await, Ok(2));
    assert_eq!(publish("desk", None, "k1").await, Ok(3), "another backend");
    assert_eq!(publish("", Some("ann"), "k1").await, Ok(4), "a user of its own");
    assert_eq!(publish("shop", None, "k3").await, Err(PublishError::TooManyKeys));
}

async fn a_room_has_a_rate(bus: Bus, mut listener: Listener) {
    const RATE: u32 = 5;
    let room = room("rated");
    listener.open(&room).await;
    let limited = |key: u32| roomcast_bus::Publication {
        room_rate: RATE,
        ..keyed("1", Some("ann"), &format!("k{key}"))
    };
    let begun = std::time::Instant::now();
    // Groups of several items, and of one.
    let publish = |key| bus.publish(room.clone(), limited(key));
    let outcomes = futures_util::future::join_all((1..=20).map(publish)).await;
    let (stored, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    let most = |passed: Duration| RATE as usize * (2 + passed.as_secs() as usize);
    assert!(stored.len() >= RATE as usize && stored.len() <= most(begun.elapsed()), "{stored:?}");
    let wait = |refused: &Result<_, _>| match refused {
        Err(PublishError::RoomRate(wait)) => *wait,
        other => panic!("{other:?}"),
    };
    let waits: Vec<Duration> = refused.iter().map(wait).collect();
    assert!(waits.iter().all(|wait| (1..=200).contains(&wait.as_millis())), "{waits:?}");
    // What is known is answered as before, and authors for which the rate does not hold go on.
    assert_eq!(publish(1).await, stored[0]);
    for _ in 0..RATE {
        assert!(bus.publish(room.clone(), json("2")).await.is_ok());
    }
    let conflict = roomcast_bus::Publication { if_seq: Some(Position::START), ..limited(40) };
    let conflict = bus.publish(room.clone(), conflict).await;
    assert!(matches!(conflict, Err(PublishError::SeqConflict(_))), "it counts nothing");
    // A refused one took no key, and can be sent again.
    let last = 20;
    eventually("the rate allows it", async || match publish(last).await {
        Ok(ack) => ack.position.seq > 5,
        Err(error) => {
            assert!(matches!(error, PublishError::RoomRate(_)), "{error:?}");
            false
        }
    })
    .await;
    let again = publish(last).await.unwrap();
    let all = listener.up_to(&room, again.position.seq).await.seqs();
    assert!(all.iter().copied().eq(1..=again.position.seq), "no number was taken in vain: {all:?}");
}

async fn orders_are_kept(bus: Bus, _: Listener) {
    let empty = bus.exchange_orders(&OrderRevision::default(), &[]).await.unwrap();
    assert!(empty.is_whole && empty.texts.is_empty());
    let end = empty.time + 60_000;
    let record = |id: &str, end, is_lifted, text: &str| OrderRecord {
        id: id.to_owned(),
        end,
        is_lifted,
        text: text.to_owned(),
    };
    let two = [record("a", end, false, "a 1"), record("b", empty.time, false, "ended")];
    let page = bus.exchange_orders(&empty.revision, &two).await.unwrap();
    assert_eq!(page.texts, ["a 1"]);
    let quiet = bus.exchange_orders(&page.revision, &[]).await.unwrap();
    assert_eq!((quiet.texts.len(), &quiet.revision), (0, &page.revision));
    let again = bus.exchange_orders(&page.revision, &two).await.unwrap();
    assert_eq!(again.revision, page.revision, "what is known changes nothing");
    // Only what changed is read, and a lift is never taken back.
    let third = [record("c", end, false, "c 1")];
    let changed = bus.exchange_orders(&page.revision, &third).await.unwrap();
    assert_eq!((changed.is_whole, changed.texts), (false, vec!["c 1".to_owned()]));
    let lift = [record("a", end, true, "a lifted"), record("a", end, false, "a 1")];
    let lifted = bus.exchange_orders(&changed.revision, &lift).await.unwrap();
    assert_eq!(lifted.texts, ["a lifted"]);
    let mut whole = bus.exchange_orders(&OrderRevision::default(), &[]).await.unwrap();
    whole.texts.sort();
    assert_eq!((whole.is_whole, whole.texts), (true, vec!["a lifted".into(), "c 1".into()]));
}

async fn tickets_are_taken_once(bus: Bus, _: Listener) {
    let long = Duration::from_secs(60);
    let find = async |ticket: &str, usage| bus.find_ticket(ticket, usage).await.unwrap();
    assert_eq!(find("t-1", TicketUse::Take).await, None);
    bus.keep_ticket("t-1", "{}{one}", long).await.unwrap();
    bus.keep_ticket("t-1", "another", long).await.unwrap();
    bus.keep_ticket("t-2", "two", long).await.unwrap();
    let one = || Some("{}{one}".to_owned());
    assert_eq!(find("t-1", TicketUse::Look).await, one());
    assert_eq!(find("t-1", TicketUse::Look).await, one());
    let twice = tokio::join!(find("t-1", TicketUse::Take), find("t-1", TicketUse::Take));
    assert!([(one(), None), (None, one())].contains(&twice), "{twice:?}");
    assert_eq!(find("t-1", TicketUse::Look).await, None);
    assert_eq!(find("t-2", TicketUse::Take).await, Some("two".to_owned()));
    // One that ends at once is gone before it is looked for.
    bus.keep_ticket("t-3", "three", Duration::from_millis(1)).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while find("t-3", TicketUse::Look).await.is_some() {
        assert!(Instant::now() < deadline, "it does not end");
    }
}

async fn reading_keeps_nothing(bus: Bus, mut listener: Listener) {
    let room = room("unread");
    for range in [
        HistoryRange::Latest,
        HistoryRange::After(0),
        HistoryRange::After(7),
        HistoryRange::Before(7),
    ] {
        let history = bus.history(&room, request(range)).await.unwrap();
        assert_eq!(history.lineage, Lineage::new(Epoch::NONE));
        assert_eq!((history.last, history.messages.len(), history.more), (0, 0, false));
    }
    // What was read is a condition that holds, and a position in the life that begins later.
    let first = roomcast_bus::Publication { if_seq: Some(Position::START), ..json("1") };
    let ack = bus.publish(room.clone(), first.clone()).await.unwrap();
    assert_eq!(ack.position.seq, 1);
    let conflict = bus.publish(room.clone(), first).await;
    assert_eq!(conflict, Err(PublishError::SeqConflict(ack.position)));
    let (lineage, last) = listener.open(&room).await;
    assert_ne!(lineage.epoch, Epoch::NONE);
    assert!(lineage.admits(Position::START, last));
}

async fn if_seq_holds_or_tells(bus: Bus, mut listener: Listener) {
    let room = room("if-seq");
    let (lineage, _) = listener.open(&room).await;
    let at = |seq| Position { epoch: lineage.epoch, seq };
    let publish =
        |at| bus.publish(room.clone(), roomcast_bus::Publication { if_seq: Some(at), ..json("1") });
    assert_eq!(publish(at(1)).await, Err(PublishError::SeqConflict(at(0))));
    assert_eq!(publish(at(0)).await.unwrap().position, at(1));
    assert_eq!(publish(at(0)).await, Err(PublishError::SeqConflict(at(1))));
    let stranger = Position { epoch: roomcast_protocol::Epoch(!lineage.epoch.0), seq: 1 };
    assert_eq!(publish(stranger).await, Err(PublishError::SeqConflict(at(1))));
    assert_eq!(publish(at(1)).await.unwrap().position, at(2));
    assert_eq!(listener.up_to(&room, 2).await.seqs(), [1, 2]);
}

async fn if_seq_within_one_burst(bus: Bus, mut listener: Listener) {
    let room = room("if-seq-burst");
    let (lineage, _) = listener.open(&room).await;
    let at = |seq| Position { epoch: lineage.epoch, seq };
    let publish =
        |at| bus.publish(room.clone(), roomcast_bus::Publication { if_seq: Some(at), ..json("1") });
    let (first, twice, next) = tokio::join!(publish(at(0)), publish(at(0)), publish(at(1)));
    assert_eq!(first.unwrap().position, at(1));
    assert_eq!(twice, Err(PublishError::SeqConflict(at(1))), "it sees the one before");
    assert_eq!(next.unwrap().position, at(2));
}

async fn fill(bus: &Bus, room: &roomcast_protocol::RoomName, count: u32, retention: Retention) {
    for number in 1..=count {
        let publication = roomcast_bus::Publication { retention, ..json(&format!("{number:04}")) };
        bus.publish(room.clone(), publication).await.unwrap();
    }
}

async fn history_ranges(bus: Bus, _: Listener) {
    let room = room("ranges");
    fill(&bus, &room, 40, RETENTION).await;
    let read = async |range, limit| {
        let request = roomcast_bus::HistoryRequest { limit, ..request(range) };
        let history = bus.history(&room, request).await.unwrap();
        assert_eq!(history.last, 40);
        let seqs: Vec<_> = history.messages.iter().map(|message| message.seq).collect();
        (seqs, history.more)
    };
    let run = |from: u64, to: u64| (from..=to).collect::<Vec<_>>();
    assert_eq!(read(HistoryRange::After(0), 100).await, (run(1, 40), false));
    assert_eq!(read(HistoryRange::After(0), 40).await, (run(1, 40), false));
    assert_eq!(read(HistoryRange::After(10), 5).await, (run(11, 15), true));
    assert_eq!(read(HistoryRange::After(10), 30).await, (run(11, 40), false));
    assert_eq!(read(HistoryRange::After(40), 5).await, (vec![], false));
    assert_eq!(read(HistoryRange::After(99), 5).await, (vec![], false));
    assert_eq!(read(HistoryRange::After(u64::MAX), 5).await, (vec![], false));
    assert_eq!(read(HistoryRange::Before(u64::MAX), 2).await, (run(39, 40), true));
    assert_eq!(read(HistoryRange::Latest, 5).await, (run(36, 40), true));
    assert_eq!(read(HistoryRange::Latest, 40).await, (run(1, 40), false));
    assert_eq!(read(HistoryRange::Before(36), 35).await, (run(1, 35), false));
    assert_eq!(read(HistoryRange::Before(36), 34).await, (run(2, 35), true));
    assert_eq!(read(HistoryRange::Before(1), 5).await, (vec![], false));
    assert_eq!(read(HistoryRange::Before(0), 5).await, (vec![], false));
    assert_eq!(read(HistoryRange::Before(99), 2).await, (run(39, 40), true));
    assert_eq!(read(HistoryRange::Latest, 0).await, (vec![], true));
}

async fn history_bounds(bus: Bus, _: Listener) {
    let room = room("bounds");
    let retention = Retention { history_size: 10, ..RETENTION };
    fill(&bus, &room, 30, retention).await;
    let read = async |range, max_bytes| {
        let request = roomcast_bus::HistoryRequest { max_bytes, retention, ..request(range) };
        let history = bus.history(&room, request).await.unwrap();
        let seqs: Vec<_> = history.messages.iter().map(|message| message.seq).collect();
        (seqs, history.more)
    };
    let run = |from: u64, to: u64| (from..=to).collect::<Vec<_>>();
    assert_eq!(read(HistoryRange::After(0), 1 << 20).await, (run(21, 30), false), "history_size");
    assert_eq!(read(HistoryRange::Before(25), 1 << 20).await, (run(21, 24), false));
    assert_eq!(read(HistoryRange::After(0), 0).await, (vec![21], true), "always one");
    assert_eq!(read(HistoryRange::Latest, 0).await, (vec![30], true));
    let (some, more) = read(HistoryRange::After(0), 36).await;
    assert!(more && (1..10).contains(&some.len()) && some[0] == 21, "{some:?}");

    let none = Retention { history_size: 0, ..RETENTION };
    let request = roomcast_bus::HistoryRequest { retention: none, ..request(HistoryRange::Latest) };
    let history = bus.history(&room, request).await.unwrap();
    assert_eq!((history.messages.len(), history.more, history.last), (0, false, 30));
}

async fn history_ages(bus: Bus, _: Listener) {
    let room = room("ages");
    let retention = Retention { history_age: Duration::from_millis(300), ..RETENTION };
    fill(&bus, &room, 3, retention).await;
    let count = async || {
        let request = roomcast_bus::HistoryRequest { retention, ..request(HistoryRange::Latest) };
        bus.history(&room, request).await.unwrap().messages.len()
    };
    assert_eq!(count().await, 3);
    eventually("the messages are too old", async || count().await == 0).await;
    assert_eq!(bus.standing(&room).await.unwrap().1, 3);
    fill(&bus, &room, 1, retention).await;
    assert_eq!(count().await, 1);
}

async fn an_empty_room(bus: Bus, mut listener: Listener) {
    let room = room("empty");
    let (lineage, last) = bus.standing(&room).await.unwrap();
    assert_eq!(last, 0);
    assert_eq!(listener.open(&room).await, (lineage.clone(), 0));
    let history = bus.history(&room, request(HistoryRange::Latest)).await.unwrap();
    assert_eq!((history.lineage.clone(), history.last), (lineage.clone(), 0));
    let ack = bus.publish(room.clone(), json("1")).await.unwrap();
    assert_eq!(ack.position, Position { epoch: lineage.epoch, seq: 1 });
}

async fn a_closed_room_is_silent(bus: Bus, mut listener: Listener) {
    let (silent, other) = (room("silent"), room("other"));
    listener.open(&silent).await;
    listener.open(&other).await;
    bus.publish(silent.clone(), json("1")).await.unwrap();
    listener.up_to(&silent, 1).await;
    bus.submit(silent.clone(), json("2"), Box::new(|_| {}));
    listener.feeds.close(&silent);
    bus.publish(silent.clone(), json("3")).await.unwrap();
    bus.publish(other.clone(), json("1")).await.unwrap();
    listener.up_to(&other, 1).await;
    assert_eq!(listener.heard(&silent).unwrap().at, 1);
    assert_eq!(listener.open(&silent).await.1, 3, "opened again");
    bus.publish(silent.clone(), json("4")).await.unwrap();
    assert_eq!(listener.up_to(&silent, 4).await.seqs(), [4]);
    listener.feeds.close(&silent);
    assert_eq!(listener.open(&silent).await.1, 4, "closed and opened in one breath");
    bus.publish(silent.clone(), json("5")).await.unwrap();
    assert_eq!(listener.up_to(&silent, 5).await.seqs(), [5]);
    listener.feeds.open(silent.clone());
    bus.publish(silent.clone(), json("6")).await.unwrap();
    assert_eq!(listener.up_to(&silent, 6).await.seqs(), [5, 6], "opening twice changes nothing");
}

async fn hostile_names_keep_apart(bus: Bus, mut listener: Listener) {
    let names = ["}", "{", "{}", "%7D", "%", "}{a}", "{a}:m", "a:m", "*", "[a-z]", "ä{ö}"];
    for name in names {
        assert_eq!(listener.open(&room(name)).await.1, 0, "{name}");
    }
    for name in names {
        bus.publish(room(name), json(&format!("{name:?}"))).await.unwrap();
    }
    for name in names {
        let heard = listener.up_to(&room(name), 1).await;
        assert_eq!(texts(&heard.messages), [format!("{name:?}")]);
        let history = bus.history(&room(name), request(HistoryRange::Latest)).await.unwrap();
        assert_eq!(texts(&history.messages), [format!("{name:?}")]);
    }
}

async fn large_payloads(bus: Bus, mut listener: Listener) {
    let room = room("large");
    listener.open(&room).await;
    let text = format!("\"{}\"", "x".repeat(1 << 20));
    let (one, two, three) = tokio::join!(
        bus.publish(room.clone(), json(&text)),
        bus.publish(room.clone(), json("2")),
        bus.publish(room.clone(), json(&text)),
    );
    assert_eq!([one, two, three].map(|ack| ack.unwrap().position.seq), [1, 2, 3]);
    assert_eq!(listener.up_to(&room, 3).await.messages[2].data, json(&text).data);
}

#[expect(clippy::disallowed_methods, reason = "compared with the times of messages")]
async fn time_does_not_go_back(bus: Bus, mut listener: Listener) {
    let room = room("time");
    listener.open(&room).await;
    fill(&bus, &room, 50, RETENTION).await;
    let heard = listener.up_to(&room, 50).await;
    assert!(heard.messages.is_sorted_by_key(|message| message.time));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    assert!(now.abs_diff(heard.messages[49].time) < 60_000);
}

async fn many_rooms_at_once(bus: Bus, mut listener: Listener) {
    const ROOMS: usize = 700;
    let rooms: Vec<_> = (0..ROOMS).map(|number| room(&format!("many:{number}"))).collect();
    rooms.iter().for_each(|room| listener.feeds.open(room.clone()));
    let mut epochs = HashSet::new();
    for room in &rooms {
        let heard = listener.until(room, |heard| heard.opened.is_some()).await;
        epochs.insert(heard.lineage.clone().unwrap().epoch);
    }
    assert_eq!(epochs.len(), ROOMS);
    for _ in 0..3 {
        for room in &rooms {
            bus.submit(room.clone(), json("1"), Box::new(|_| {}));
        }
    }
    for room in &rooms {
        assert_eq!(listener.up_to(room, 3).await.seqs(), [1, 2, 3]);
    }
}
