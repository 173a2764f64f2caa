//! The contract of presence, in memory and on every topology of Redis.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "the case that fails is the last one named")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use roomcast_bus::{
    Bus, MemoryOptions, PresenceMember, PresenceMode, PresencePolicy, RedisOptions,
};
use roomcast_bus::{PresenceCounts, PresenceStatus};
use roomcast_metrics::{Metrics, PresenceChangeKind};
use roomcast_protocol::Data;
use roomcast_testkit::{RedisCluster, RedisServer, Sentinels};
use support::presence::*;
use support::*;

type Case = fn(PresenceNode) -> LocalBoxFuture<'static, ()>;

const CASES: &[(&str, Case)] = &[
    ("a user joins once and leaves once", |n| Box::pin(joins_once_and_leaves_once(n))),
    ("a return within the grace is silent", |n| Box::pin(a_return_is_silent(n))),
    ("info and status are the user's", |n| Box::pin(info_and_status(n))),
    ("a connection without a user counts", |n| Box::pin(without_a_user(n))),
    ("an exit supersedes an enter", |n| Box::pin(an_exit_supersedes(n))),
    ("a big room tells numbers", |n| Box::pin(a_big_room_tells_numbers(n))),
    ("nothing is kept by reading", |n| Box::pin(reading_keeps_nothing(n))),
    ("a list has what came before it was asked for", |n| Box::pin(a_list_after(n))),
    ("those who ask together get one list", |n| Box::pin(one_list(n))),
    ("changes are counted", |n| Box::pin(changes_are_counted(n))),
    ("a policy alone is told", |n| Box::pin(a_policy_alone_is_told(n))),
    ("a crowd comes and goes", |n| Box::pin(a_crowd_comes_and_goes(n))),
];

async fn all(mut node: impl AsyncFnMut(usize) -> PresenceNode) {
    for (number, (name, case)) in CASES.iter().enumerate() {
        eprintln!("{name}");
        case(node(number).await).await;
    }
}

async fn all_on(options: RedisOptions) {
    all(async |number| {
        let prefix = format!("presence-{number}");
        PresenceNode::redis(RedisOptions { prefix, ..options.clone() }).await
    })
    .await;
}

#[tokio::test]
async fn memory_keeps_the_contract() {
    all(async |_| {
        let metrics = Metrics::new();
        let (bus, feeds) = Bus::memory_counted(MemoryOptions::default(), metrics.bus.clone());
        PresenceNode::new(bus, feeds, metrics)
    })
    .await;
}

#[tokio::test]
async fn redis_keeps_the_contract() {
    let server = RedisServer::start();
    all_on(RedisOptions::new(server.url())).await;
}

#[tokio::test]
async fn redis_under_sentinels_keeps_the_contract() {
    let sentinels = Sentinels::start();
    all_on(RedisOptions::new(sentinels.url())).await;
}

#[tokio::test]
async fn a_redis_cluster_keeps_the_contract() {
    let cluster = RedisCluster::start(3, 0);
    all_on(RedisOptions::new(cluster.url())).await;
}

#[tokio::test]
async fn several_redis_servers_keep_the_contract() {
    let servers = [RedisServer::start(), RedisServer::start()];
    let urls = servers.each_ref().map(RedisServer::url).join(" ");
    all_on(RedisOptions { version: 7, ..RedisOptions::new(urls) }).await;
}

fn numbers(counts: PresenceCounts) -> (u64, u64, u64) {
    (counts.count, counts.users, counts.rev)
}

async fn joins_once_and_leaves_once(node: PresenceNode) {
    let room = room("a");
    node.open(&room).await;
    assert_eq!(numbers(node.enter(&room, member(1, "ann")).await), (1, 1, 1));
    assert_eq!(numbers(node.enter(&room, member(2, "ann")).await), (2, 1, 1));
    assert_eq!(numbers(node.enter(&room, member(3, "bob")).await), (3, 2, 2));
    node.lists(&room, &["ann:1", "ann:2", "bob:3"].map(Into::into)).await;
    node.left(&room, 1);
    node.left(&room, 3);
    node.until(&room, |heard| heard.times("-bob") == 1).await;
    node.ended(&room, 2);
    node.until(&room, |heard| heard.counts.count == 0).await;
    assert_eq!(node.heard(&room).times("-ann"), 0, "its grace runs");
    node.until(&room, |heard| heard.times("-ann") == 1).await;
    assert_eq!(node.heard(&room).words, ["+ann", "+bob", "-bob", "-ann"]);
    let counts = node.bus.presence_counts(&room).await.unwrap();
    assert_eq!((counts.count, counts.users), (0, 0));
    node.lists(&room, &[]).await;
}

async fn a_return_is_silent(node: PresenceNode) {
    let room = room("a");
    node.open(&room).await;
    let policy = PresencePolicy { grace: Duration::from_secs(60), ..POLICY };
    let before = node.enter_by(&room, member(1, "ann"), policy).await.await.unwrap().unwrap();
    node.ended(&room, 1);
    node.until(&room, |heard| heard.counts.count == 0).await;
    node.lists(&room, &["ann".into()]).await;
    let after = node.enter_by(&room, member(2, "ann"), policy).await.await.unwrap().unwrap();
    assert_eq!(after, before, "nothing changed");
    node.left(&room, 2);
    node.until(&room, |heard| heard.times("-ann") == 1).await;
    assert_eq!(node.heard(&room).words, ["+ann", "-ann"]);
}

async fn info_and_status(node: PresenceNode) {
    let room = room("a");
    node.open(&room).await;
    let info = |text: &str| Some(Data::Json(text.to_owned().into()));
    let packed = Some(Data::MsgPack(vec![0x81, 0xa1, b'n', 0xcc, 0xff].into()));
    let shown = |id, info| PresenceMember { info, ..member(id, "ann") };
    node.enter(&room, shown(1, info("{\"n\":1}"))).await;
    node.enter(&room, member(2, "ann")).await;
    let last = node.enter(&room, shown(3, packed.clone())).await;
    assert_eq!(last.rev, 2);
    let away = |id, info| PresenceMember { status: PresenceStatus::Away, ..shown(id, info) };
    assert!(node.show(&room, away(1, info("{\"n\":1}"))).await.is_some());
    assert!(node.show(&room, away(2, None)).await.is_some());
    let all_away = node.show(&room, away(3, packed.clone())).await.unwrap();
    assert_eq!(all_away.rev, 3);
    assert_eq!(node.show(&room, member(9, "ann")).await, None, "it is not in the room");
    node.until(&room, |heard| heard.times("ann away") == 1).await;
    assert_eq!(node.heard(&room).words, ["+ann", "ann active", "ann away"]);
    let list = node.bus.presence_list(&room, None).await.unwrap();
    assert_eq!(list.entries.len(), 3);
    for entry in &list.entries {
        assert_eq!((&entry.info, entry.status), (&packed, PresenceStatus::Away));
    }
}

async fn without_a_user(node: PresenceNode) {
    let room = room("a");
    node.open(&room).await;
    assert_eq!(numbers(node.enter(&room, member(1, "")).await), (1, 0, 0));
    node.enter(&room, member(2, "ann")).await;
    node.lists(&room, &[":1", "ann:2"].map(Into::into)).await;
    node.ended(&room, 1);
    node.until(&room, |heard| heard.counts.count == 1 && heard.words.len() == 1).await;
}

async fn an_exit_supersedes(node: PresenceNode) {
    let room = room("not-open");
    let waiting = node.enter_by(&room, member(1, "ann"), POLICY).await;
    node.left(&room, 1);
    // In memory it was in the room for a moment.
    assert!(matches!(waiting.await.unwrap(), None | Some(PresenceCounts { count: 1, .. })));
    node.left(&room, 7);
    node.open(&room).await;
    assert_eq!(numbers(node.enter(&room, member(2, "bob")).await).0, 1);
}

async fn a_big_room_tells_numbers(node: PresenceNode) {
    let room = room("a");
    node.open(&room).await;
    let policy = PresencePolicy { events_max: 10, ..POLICY };
    for id in 1..=11 {
        let entered = node.enter_by(&room, member(id, &format!("u{id}")), policy).await;
        entered.await.unwrap().unwrap();
    }
    node.until(&room, |heard| heard.counts.count == 11).await;
    assert_eq!(node.heard(&room).times("#"), 1);
    for id in 1..=4 {
        node.left(&room, id);
        node.until(&room, |heard| heard.counts.count == 11 - id).await;
    }
    assert_eq!(node.heard(&room).times("!"), 1, "events are back below 80 %");
    node.left(&room, 5);
    node.until(&room, |heard| heard.times("-u5") == 1).await;
    // A room whose policy says so has numbers only.
    let quiet = support::room("b");
    node.open(&quiet).await;
    let policy = PresencePolicy { mode: PresenceMode::Counts, ..POLICY };
    node.enter_by(&quiet, member(1, "ann"), policy).await.await.unwrap();
    node.until(&quiet, |heard| heard.words == ["#"] && heard.counts.users == 1).await;
    node.lists(&quiet, &["ann:1".into()]).await;
}

async fn reading_keeps_nothing(node: PresenceNode) {
    let room = room("a");
    assert_eq!(node.bus.presence_counts(&room).await.unwrap(), PresenceCounts::default());
    assert_eq!(node.bus.presence_list(&room, None).await.unwrap(), Default::default());
}

/// Lists are shared for a second; one who came within it gets one that has all before its coming.
async fn a_list_after(node: PresenceNode) {
    let room = room("a");
    node.open(&room).await;
    for id in 1..=4 {
        node.enter(&room, member(id, &format!("u{id}"))).await;
        let since = Some(tokio::time::Instant::now());
        let list = node.bus.presence_list(&room, since).await.unwrap();
        assert_eq!((list.entries.len() as u64, list.counts.count), (id, id));
        let shared = node.bus.presence_list(&room, None).await.unwrap();
        assert_eq!(shared.entries.len() as u64, id);
    }
}

async fn one_list(node: PresenceNode) {
    let room = room("a");
    node.open(&room).await;
    node.enter(&room, member(1, "ann")).await;
    let list = || node.bus.presence_list(&room, None);
    let (one, two) = tokio::join!(list(), list());
    assert!(Arc::ptr_eq(&one.unwrap(), &two.unwrap()), "it is not copied");
}

async fn changes_are_counted(node: PresenceNode) {
    use PresenceChangeKind::{Info, Joined, Left, Reset, Status};
    let room = room("a");
    node.open(&room).await;
    node.enter(&room, member(1, "ann")).await;
    node.enter(&room, member(2, "ann")).await;
    let info = Some(Data::Json("1".to_owned().into()));
    let shown = |status| PresenceMember { info: info.clone(), status, ..member(2, "ann") };
    node.show(&room, shown(PresenceStatus::Active)).await.unwrap();
    node.left(&room, 1);
    node.show(&room, shown(PresenceStatus::Away)).await.unwrap();
    for mode in [PresenceMode::Counts, PresenceMode::Events] {
        let policy = PresencePolicy { mode, ..POLICY };
        let entered = node.enter_by(&room, shown(PresenceStatus::Away), policy).await;
        entered.await.unwrap().unwrap();
    }
    node.until(&room, |heard| heard.times("!") == 1).await;
    node.left(&room, 2);
    node.until(&room, |heard| heard.counts.users == 0).await;
    let count = |kind| node.metrics.bus.presence_changes[kind].get();
    eventually("the last call is answered", async || count(Left) == 1).await;
    assert_eq!([Joined, Info, Status, Reset].map(count), [1, 1, 1, 1]);
}

/// Another policy of a room in which nothing else changes ends events, and brings them back.
async fn a_policy_alone_is_told(node: PresenceNode) {
    let room = room("a");
    node.open(&room).await;
    let first = node.enter(&room, member(1, "ann")).await;
    for (mode, word) in [(PresenceMode::Counts, "#"), (PresenceMode::Events, "!")] {
        let policy = PresencePolicy { mode, ..POLICY };
        let again = node.enter_by(&room, member(1, "ann"), policy).await.await.unwrap();
        assert_eq!(again.map(|counts| counts.rev), Some(first.rev));
        node.until(&room, |heard| heard.times(word) == 1).await;
    }
    assert_eq!(node.heard(&room).words, ["+ann", "#", "!"]);
}

async fn a_crowd_comes_and_goes(node: PresenceNode) {
    const CROWD: u64 = 700;
    let rooms: Vec<_> = (0..3).map(|n| room(&format!("r{n}"))).collect();
    for room in &rooms {
        node.open(room).await;
    }
    let mut entering = Vec::new();
    for id in 1..=CROWD {
        for room in &rooms {
            entering.push(node.enter_by(room, member(id, &format!("u{id}")), POLICY).await);
        }
    }
    for entered in entering {
        assert!(entered.await.unwrap().is_some());
    }
    for room in &rooms {
        node.until(room, |heard| heard.counts.count == CROWD && heard.counts.users == CROWD).await;
        let list = node.bus.presence_list(room, None).await.unwrap();
        assert_eq!((list.entries.len() as u64, list.counts.count), (CROWD, CROWD));
        assert!(list.entries.is_sorted_by_key(|entry| (entry.user.clone(), entry.connection)));
    }
    for id in 1..=CROWD {
        rooms.iter().for_each(|room| node.ended(room, id));
    }
    node.bus.presence_flush(SOON).await;
    for room in &rooms {
        assert_eq!(node.bus.presence_counts(room).await.unwrap().count, 0);
        node.until(room, |heard| heard.counts.users == 0).await;
        let heard = node.heard(room);
        assert_eq!(heard.words.iter().filter(|word| word.starts_with('+')).count() as u64, CROWD);
        assert_eq!(heard.words.iter().filter(|word| word.starts_with('-')).count() as u64, CROWD);
    }
}
