//! The bus over every topology of Redis, while its primaries change: sentinels promote a replica,
//! a cluster fails over and moves slots, a list of servers changes. Nothing is lost in silence.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::select_all;
use roomcast_bus::{
    Bus, HistoryRange, HistoryRequest, Publication, PublishError, RedisFault, RedisOptions,
    RedisStartError, Retention,
};
use roomcast_metrics::{BusMetrics, EpochResetCause, Label, LeaseState, Metrics, RepairCause};
use roomcast_protocol::{Position, RoomName};
use roomcast_testkit::{Launch, Login, RedisCluster, RedisServer, Sentinels};
use support::*;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// Nothing that a writer wrote is ever out of reach.
const DEEP: Retention = Retention { history_size: 100_000, repair_window: 100_000, ..RETENTION };

/// Publishes numbered messages with keys until told to stop, each again until it is acked.
struct Writer {
    stop: tokio::sync::watch::Sender<bool>,
    task: JoinHandle<Vec<(Position, String)>>,
    count: tokio::sync::watch::Receiver<usize>,
}

impl Writer {
    fn start(bus: &Bus, room: &RoomName) -> Self {
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let (counted, count) = tokio::sync::watch::channel(0);
        let (bus, room) = (bus.clone(), room.clone());
        let task = tokio::spawn(async move {
            let mut acked = Vec::new();
            for number in 0.. {
                let publication = Publication {
                    retention: DEEP,
                    ..keyed(&number.to_string(), None, &format!("k{number}"))
                };
                let position = insist(&bus, &room, publication).await;
                acked.push((position, number.to_string()));
                counted.send_replace(acked.len());
                if *stopped.borrow() {
                    break;
                }
                sleep(Duration::from_millis(2)).await;
            }
            acked
        });
        Self { stop, task, count }
    }

    async fn more(&mut self, more: usize) {
        let enough = *self.count.borrow() + more;
        let waited = tokio::time::timeout(SOON, self.count.wait_for(|count| *count >= enough));
        waited.await.expect("more acks in time").unwrap();
    }

    async fn finish(self) -> Vec<(Position, String)> {
        self.stop.send_replace(true);
        tokio::time::timeout(SOON, self.task).await.expect("the last ack").unwrap()
    }
}

/// Waits for something while these listeners hear, as a node's always do.
async fn hearing<T>(future: impl Future<Output = T>, listeners: &mut [&mut Listener]) -> T {
    tokio::pin!(future);
    loop {
        let all = listeners.iter_mut().map(|listener| Box::pin(listener.pump()));
        tokio::select! {
            value = &mut future => return value,
            _ = select_all(all) => {}
        }
    }
}

/// Publishes until it is acked.
async fn insist(bus: &Bus, room: &RoomName, publication: Publication) -> Position {
    let deadline = tokio::time::Instant::now() + SOON;
    loop {
        match bus.publish(room.clone(), publication.clone()).await {
            Ok(ack) => return ack.position,
            Err(PublishError::Unavailable | PublishError::Unknown) => {
                assert!(tokio::time::Instant::now() < deadline, "an ack in time");
                sleep(Duration::from_millis(20)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// A bus whose listener runs, with what it counts.
async fn counted(options: RedisOptions) -> (Bus, Listener, BusMetrics) {
    let metrics = Metrics::new().bus;
    let (bus, feeds) = Bus::redis(options, metrics.clone()).await.unwrap();
    (bus, Listener::new(feeds), metrics)
}

async fn ready(bus: &Bus) {
    eventually("ready", async || bus.health().ready()).await;
}

/// What was heard of a room whose epochs are all of one lineage: every acked message that Redis
/// still has, once, in order; nothing else is in Redis.
async fn agrees(bus: &Bus, listener: &mut Listener, room: &RoomName, acked: &[(Position, String)]) {
    let (_, last) = bus.standing(room).await.unwrap();
    let heard = listener.up_to(room, last).await;
    let all = HistoryRequest { limit: 100_000, retention: DEEP, ..request(HistoryRange::After(0)) };
    let history = bus.history(room, all).await.unwrap();
    let kept: Vec<_> = history.messages.iter().map(|message| message.seq).collect();
    assert!(kept == (1..=last).collect::<Vec<_>>(), "one stream without a hole");
    let texts_kept = texts(&history.messages);
    assert_eq!(texts_kept.iter().collect::<HashSet<_>>().len(), texts_kept.len(), "each once");
    let mut told = Vec::new();
    for message in &heard.messages {
        told.truncate(message.seq as usize - 1);
        told.push(message.clone());
    }
    assert!(texts(&told) == texts_kept, "what was told, resets applied, is what is there");
    let lost: u64 = heard.resets.iter().map(|(_, lost)| lost).sum();
    // An acked message may be gone before anybody was told of it; who was told is told of the loss.
    let (seen, there) = (texts(&heard.messages), texts_kept.iter().collect::<HashSet<_>>());
    let gone = |text: &String| seen.contains(text) && !there.contains(text);
    let missing = acked.iter().filter(|(_, text)| gone(text)).count();
    assert!(missing as u64 <= lost, "{missing} acked ones are gone, {lost} were told lost");
    assert_eq!(heard.gaps, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_promote_a_replica_and_the_node_follows() {
    let mut sentinels = Sentinels::with(1, Some(Login::user("app", "geheim")));
    let (bus, mut listener, metrics) = counted(RedisOptions::new(sentinels.url())).await;
    ready(&bus).await;
    let room = room("a");
    listener.open(&room).await;
    let mut writer = Writer::start(&bus, &room);
    hearing(writer.more(50), &mut [&mut listener]).await;
    tokio::task::block_in_place(|| sentinels.failover());
    hearing(writer.more(50), &mut [&mut listener]).await;
    // The old primary is a replica now, and nobody talks to it any more.
    tokio::task::block_in_place(|| sentinels.kill_primary());
    tokio::task::block_in_place(|| sentinels.restart_killed());
    hearing(writer.more(50), &mut [&mut listener]).await;
    let acked = writer.finish().await;
    agrees(&bus, &mut listener, &room, &acked).await;
    let resets = EpochResetCause::ALL.iter().map(|cause| metrics.epoch_resets[*cause].get());
    assert!(resets.sum::<u64>() >= 1, "another life is another epoch");
    ready(&bus).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_fails_over_and_loses_a_primary() {
    let mut cluster = RedisCluster::with(3, 1, Some(Login::user("app", "geheim")));
    let (bus, mut listener, _) = counted(RedisOptions::new(cluster.url())).await;
    ready(&bus).await;
    let rooms: Vec<_> = (0..6).map(|number| room(&format!("chat:{number}"))).collect();
    let mut writers = Vec::new();
    for room in &rooms {
        listener.open(room).await;
        writers.push(Writer::start(&bus, room));
    }
    for writer in &mut writers {
        hearing(writer.more(30), &mut [&mut listener]).await;
    }
    // A replica takes over in good order, then a primary dies.
    tokio::task::block_in_place(|| cluster.failover(3));
    for writer in &mut writers {
        hearing(writer.more(30), &mut [&mut listener]).await;
    }
    let slot = cluster.slot_of(&keys_of("chat:0").meta);
    let owner = cluster.owner_of(slot);
    tokio::task::block_in_place(|| cluster.kill(owner));
    for writer in &mut writers {
        hearing(writer.more(30), &mut [&mut listener]).await;
    }
    for (room, writer) in rooms.iter().zip(writers) {
        let acked = writer.finish().await;
        agrees(&bus, &mut listener, room, &acked).await;
    }
    ready(&bus).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_moves_under_load() {
    let cluster = RedisCluster::start(3, 0);
    let (bus, mut listener, metrics) = counted(RedisOptions::new(cluster.url())).await;
    let (other, mut far, _) = counted(RedisOptions::new(cluster.url())).await;
    ready(&bus).await;
    let room = room("chat:moving");
    listener.open(&room).await;
    far.open(&room).await;
    let mut writer = Writer::start(&bus, &room);
    hearing(writer.more(30), &mut [&mut listener, &mut far]).await;
    let slot = cluster.slot_of(&keys_of("chat:moving").meta);
    let owner = cluster.owner_of(slot);
    let target = (owner + 1) % 3;
    let on_its_way = tokio::task::block_in_place(|| {
        let on_its_way = cluster.begin_move(slot, target);
        cluster.move_keys(&on_its_way);
        on_its_way
    });
    // The room is at its new primary, and the slot is still the old one's.
    hearing(writer.more(30), &mut [&mut listener, &mut far]).await;
    let refused = bus.publish(support::room("chat:moving"), json("\"x\"")).await;
    assert!(refused.is_ok(), "a room on its way is written where it is: {refused:?}");
    tokio::task::block_in_place(|| cluster.finish_move(on_its_way));
    hearing(writer.more(30), &mut [&mut listener, &mut far]).await;
    // And back, while both listen.
    tokio::task::block_in_place(|| cluster.move_slot(slot, owner));
    hearing(writer.more(30), &mut [&mut listener, &mut far]).await;
    let acked = writer.finish().await;
    agrees(&bus, &mut listener, &room, &acked).await;
    agrees(&other, &mut far, &room, &acked).await;
    let lost: u64 = listener.heard(&room).unwrap().resets.iter().map(|(_, lost)| lost).sum();
    assert_eq!(lost, 0, "a slot takes its rooms along");
    let repairs = RepairCause::ALL.iter().map(|cause| metrics.repairs[*cause].get());
    assert!(repairs.sum::<u64>() >= 2, "each move is repaired");
    ready(&bus).await;
}

/// Names that place rooms wherever the servers' ports are.
fn list(servers: &[(&str, &RedisServer)]) -> String {
    let url = |(name, server): &(&str, &RedisServer)| format!("{}?name={name}", server.url());
    servers.iter().map(url).collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_list_resets_the_rooms_that_moved_and_no_others() {
    let (a, b, c) = (RedisServer::start(), RedisServer::start(), RedisServer::start());
    let old = RedisOptions::new(list(&[("a", &a), ("b", &b)]));
    let new =
        RedisOptions { version: 2, ..RedisOptions::new(list(&[("a", &a), ("b", &b), ("c", &c)])) };
    let (first, mut listener, _) = counted(old.clone()).await;
    let (second, mut far, _) = counted(old.clone()).await;
    ready(&first).await;
    ready(&second).await;
    let rooms: Vec<_> = (0..30).map(|number| room(&format!("chat:{number}"))).collect();
    for room in &rooms {
        listener.open(room).await;
        far.open(room).await;
        first.publish(room.clone(), json("1")).await.unwrap();
        listener.up_to(room, 1).await;
        far.up_to(room, 1).await;
    }
    first.change_servers(&new).await.unwrap();
    // Until the other node has the list too, no room is written in two places.
    ready(&first).await;
    for room in &rooms {
        assert_eq!(insist(&first, room, keyed("2", None, "two")).await.seq % 10, {
            let (_, last) = first.standing(room).await.unwrap();
            last
        });
    }
    let refused = second.publish(rooms[0].clone(), json("3")).await;
    assert_eq!(refused, Err(PublishError::Unavailable));
    eventually("the second node is not ready", async || !second.health().ready()).await;
    second.change_servers(&new).await.unwrap();
    eventually("the second node is ready", async || second.health().ready()).await;
    let mut moved = 0;
    for room in &rooms {
        insist(&second, room, keyed("4", None, "four")).await;
        let (_, last) = second.standing(room).await.unwrap();
        for listener in [&mut listener, &mut far] {
            let heard = listener.until(room, |heard| {
                heard
                    .messages
                    .last()
                    .is_some_and(|message| texts(std::slice::from_ref(message)) == ["4"])
            });
            let heard = heard.await;
            match &heard.resets[..] {
                [] => assert_eq!(
                    (texts(&heard.messages), last),
                    (["1", "2", "4"].map(String::from).to_vec(), 3)
                ),
                [(0, 1)] => assert_eq!(
                    (&texts(&heard.messages)[1..], last),
                    (&["2", "4"].map(String::from)[..], 2)
                ),
                other => panic!("{other:?}"),
            }
            assert_eq!(heard.gaps, []);
        }
        moved += usize::from(last == 2);
    }
    assert!((3..20).contains(&moved), "a third of 30 moves: {moved}");
    // A node with the old list does not start any more.
    let outdated = Bus::redis(old, Metrics::new().bus).await;
    let Err(RedisStartError::Server { fault, .. }) = outdated else {
        panic!("the older list is taken")
    };
    assert_eq!(fault, RedisFault::Outdated { known: 2, own: 1 });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_that_moved_away_and_back_begins_anew() {
    let (a, b) = (RedisServer::start(), RedisServer::start());
    let both = list(&[("a", &a), ("b", &b)]);
    let options = |version, url: &str| RedisOptions { version, ..RedisOptions::new(url) };
    let (bus, _, _) = counted(options(1, &list(&[("a", &a)]))).await;
    // One that the second server will take.
    let rooms: Vec<_> = (0..20).map(|number| room(&format!("chat:{number}"))).collect();
    for room in &rooms {
        bus.publish(room.clone(), json("1")).await.unwrap();
    }
    let (before, _) = bus.standing(&rooms[0]).await.unwrap();
    bus.change_servers(&options(2, &both)).await.unwrap();
    let mut away = None;
    for room in &rooms {
        if insist(&bus, room, keyed("2", None, "two")).await.seq == 1 {
            away = Some(room.clone());
        }
    }
    let away = away.expect("half of them moved");
    bus.change_servers(&options(3, &list(&[("a", &a)]))).await.unwrap();
    let back = insist(&bus, &away, keyed("3", None, "three")).await;
    assert_eq!(back.seq, 1, "what the first server has of it is of the time before");
    let (lineage, last) = bus.standing(&away).await.unwrap();
    assert!(!lineage.admits(Position { epoch: before.epoch, seq: 1 }, last));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ack_that_waits_for_replicas_tells_if_they_do_not_have_it() {
    let primary = RedisServer::start();
    let replica = RedisServer::replica_of(&primary);
    let (bus, mut listener, _) = counted(RedisOptions::new(primary.url())).await;
    let room = room("a");
    listener.open(&room).await;
    let careful = |text: &str| Publication {
        retention: Retention { replicas: 1, ..RETENTION },
        ..keyed(text, None, &format!("k{text}"))
    };
    let ack = bus.publish(room.clone(), careful("1")).await.unwrap();
    assert_eq!(ack.position.seq, 1);
    replica.pause();
    let waited = tokio::time::Instant::now();
    let outcome = bus.publish(room.clone(), careful("2")).await;
    assert_eq!(outcome, Err(PublishError::Unknown));
    assert!(waited.elapsed() < Duration::from_secs(3));
    // Rooms that do not ask for replicas do not wait behind those that do.
    let other = support::room("b");
    let begun = tokio::time::Instant::now();
    let (slow, quick) = tokio::join!(bus.publish(room.clone(), careful("3")), async {
        bus.publish(other, json("1")).await.unwrap();
        begun.elapsed()
    });
    assert_eq!(slow, Err(PublishError::Unknown));
    assert!(quick < Duration::from_millis(300), "{quick:?}");
    replica.resume();
    let ack = insist(&bus, &room, careful("2")).await;
    assert_eq!(ack.seq, 2, "it was stored the first time");
    let heard = listener.up_to(&room, 3).await;
    assert_eq!(texts(&heard.messages), ["1", "2", "3"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ack_that_waits_for_replicas_comes_while_the_slot_moves() {
    let cluster = RedisCluster::start(2, 1);
    let (bus, mut listener, _) = counted(RedisOptions::new(cluster.url())).await;
    ready(&bus).await;
    let room = room("chat:moving");
    listener.open(&room).await;
    let careful = Publication { retention: Retention { replicas: 1, ..RETENTION }, ..json("1") };
    bus.publish(room.clone(), careful.clone()).await.unwrap();
    let slot = cluster.slot_of(&keys_of("chat:moving").meta);
    let target = 1 - cluster.owner_of(slot);
    let on_its_way = tokio::task::block_in_place(|| {
        let on_its_way = cluster.begin_move(slot, target);
        cluster.move_keys(&on_its_way);
        on_its_way
    });
    // The room is at its new primary, and its own primary sends every call there.
    let ack = bus.publish(room.clone(), careful).await.unwrap();
    assert_eq!(ack.position.seq, 2);
    tokio::task::block_in_place(|| cluster.finish_move(on_its_way));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_is_spoken_and_a_foreign_certificate_refused() {
    let server = RedisServer::tls();
    let ca = std::fs::read(server.ca_file()).unwrap();
    let options = RedisOptions { ca: Some(ca), ..RedisOptions::new(server.url()) };
    let (bus, mut listener, _) = counted(options).await;
    ready(&bus).await;
    let room = room("a");
    listener.open(&room).await;
    bus.publish(room.clone(), json("1")).await.unwrap();
    listener.up_to(&room, 1).await;
    assert_eq!(bus.history(&room, request(HistoryRange::After(0))).await.unwrap().last, 1);
    let untrusted = Bus::redis(RedisOptions::new(server.url()), Metrics::new().bus).await;
    let Err(RedisStartError::Server { fault, .. }) = untrusted else { panic!("it is trusted") };
    assert_eq!(fault, RedisFault::Certificate("UnknownIssuer".to_owned()));
}

/// A certificate that does not name the server's address is verified for a name that is given.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_verified_for_the_name_that_is_given() {
    let server = RedisServer::launch(&Launch::default().tls_as("DNS:redis.example.com"));
    let ca = std::fs::read(server.ca_file()).unwrap();
    let named = |name: Option<&str>| RedisOptions {
        ca: Some(ca.clone()),
        tls_name: name.map(str::to_owned),
        ..RedisOptions::new(server.url())
    };
    let (bus, mut listener, _) = counted(named(Some("redis.example.com"))).await;
    ready(&bus).await;
    let room = room("a");
    listener.open(&room).await;
    bus.publish(room.clone(), json("1")).await.unwrap();
    listener.up_to(&room, 1).await;
    assert_eq!(bus.history(&room, request(HistoryRange::After(0))).await.unwrap().last, 1);
    for name in [None, Some("other.example.com")] {
        let started = Bus::redis(named(name), Metrics::new().bus).await;
        let Err(RedisStartError::Server { fault, .. }) = started else { panic!("{name:?}") };
        assert!(matches!(fault, RedisFault::Certificate(_)), "{fault:?}");
    }
}

/// The rule of `docs/guarantees.md` for one server; what a cluster needs besides; for replicas.
const RULE: &str = "on >geheim ~roomcast:version ~roomcast:layout ~{roomcast:* &roomcast:probe:* &{roomcast:* -@all \
    +info +ping +evalsha +script|load +publish +subscribe +unsubscribe +unwatch +get +set +time +hget +hset \
    +hmget +hdel +hlen +hgetall +xadd +xrange +xrevrange +xtrim +unlink +pexpire +hscan +sadd +srem +smembers \
    +zadd +zscore +zcard +zcount \
    +zrange +zrem +zscan";
const RULE_IN_A_CLUSTER: &str = "+spublish +ssubscribe +sunsubscribe +cluster|nodes +asking";
const RULE_FOR_REPLICAS: &str = "+wait";

#[test]
fn the_rule_is_the_pages() {
    let page = include_str!("../../../docs/guarantees.md").replace(">PASSWORD", ">geheim");
    for rule in [RULE, RULE_IN_A_CLUSTER, RULE_FOR_REPLICAS] {
        assert!(page.contains(rule), "{rule}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_with_just_the_permissions_it_needs_is_enough() {
    let server = RedisServer::start();
    let mut cluster = RedisCluster::start(3, 0);
    let rule = [RULE, RULE_FOR_REPLICAS].join(" ");
    allow(&server, &rule);
    let rule = [RULE, RULE_IN_A_CLUSTER, RULE_FOR_REPLICAS].join(" ");
    cluster.servers().iter().for_each(|server| allow(server, &rule));
    for url in [server.url(), cluster.url()] {
        let url = url.replace("://", "://app:geheim@");
        let (bus, mut listener, metrics) = counted(RedisOptions::new(url)).await;
        ready(&bus).await;
        eventually("a lease", async || metrics.leases[LeaseState::Live].get() == 1).await;
        for number in 0..10 {
            let room = room(&format!("chat:{number}"));
            listener.open(&room).await;
            let retention = Retention { replicas: number % 2, ..RETENTION };
            let publication = Publication { retention, ..keyed("1", None, "one") };
            let outcome = bus.publish(room.clone(), publication).await;
            // There is no replica to wait for; but the user may.
            assert_eq!(outcome.is_ok(), number % 2 == 0, "{outcome:?}");
            listener.up_to(&room, 1).await;
            listener.feeds.close(&room);
        }
        ready(&bus).await;
    }
    let slot = cluster.slot_of(&keys_of("chat:0").meta);
    let target = (cluster.owner_of(slot) + 1) % 3;
    let url = cluster.url().replace("://", "://app:geheim@");
    let (bus, _, _) = counted(RedisOptions::new(url)).await;
    let on_its_way = tokio::task::block_in_place(|| {
        let on_its_way = cluster.begin_move(slot, target);
        cluster.move_keys(&on_its_way);
        on_its_way
    });
    assert!(insist(&bus, &room("chat:0"), keyed("2", None, "two")).await.seq >= 2);
    tokio::task::block_in_place(|| cluster.finish_move(on_its_way));
}

fn allow(server: &RedisServer, rule: &str) {
    let words: Vec<_> = ["ACL", "SETUSER", "app"].into_iter().chain(rule.split(' ')).collect();
    server.command(&words);
}
