//! What presence costs Redis: a crowd that comes at once over three nodes, the same crowd while
//! nothing happens, and its departure. `presence_rate [USERS [ROOMS [ROOMS_OF_EACH [IDLE_SECONDS]]]]`
//! starts a Redis of its own.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement")]

use std::time::Duration;

use roomcast_bus::{
    Bus, Departure, FeedEvent, PresenceMember, PresenceMode, PresencePolicy, RedisOptions,
};
use roomcast_metrics::{BusCommand, Metrics};
use roomcast_protocol::{ConnectionId, RoomName, UserName};
use roomcast_testkit::RedisServer;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

const NODES: usize = 3;
const POLICY: PresencePolicy = PresencePolicy {
    mode: PresenceMode::Events,
    grace: Duration::from_secs(5),
    events_max: 1_000_000,
};

struct Node {
    bus: Bus,
    metrics: Metrics,
}

async fn node(server: &RedisServer, rooms: &[RoomName]) -> Node {
    let metrics = Metrics::new();
    let options = RedisOptions::new(server.url());
    let (bus, mut feeds) = Bus::redis(options, metrics.bus.clone()).await.unwrap();
    rooms.iter().for_each(|room| feeds.open(room.clone()));
    let mut opening = rooms.len();
    let (opened, mut all) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            for event in feeds.next().await {
                opening -= usize::from(matches!(event.event, FeedEvent::Opened { .. }));
            }
            if opening == 0 {
                let _ = opened.try_send(());
            }
        }
    });
    all.recv().await.unwrap();
    Node { bus, metrics }
}

/// Commands that the server processed, those of scripts aside, and its CPU seconds.
fn used(server: &RedisServer) -> (u64, f64) {
    let info: String = server.ask(&["INFO", "everything"]).unwrap();
    let field = |name: &str| {
        let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.unwrap().trim().parse::<f64>().unwrap()
    };
    let cpu = field("used_cpu_user") + field("used_cpu_sys");
    (field("total_commands_processed") as u64, cpu)
}

async fn measured<T>(what: &str, server: &RedisServer, work: impl Future<Output = T>) -> T {
    let (before, started) = (used(server), Instant::now());
    let value = work.await;
    let (after, seconds) = (used(server), started.elapsed().as_secs_f64());
    let (commands, cpu) = (after.0 - before.0, after.1 - before.1);
    let each = commands as f64 / seconds;
    println!("{what}: {seconds:.2} s, {commands} commands ({each:.0}/s), Redis CPU {cpu:.2} s");
    value
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1).map(|word| word.parse::<usize>().unwrap());
    let mut argument = |default| arguments.next().unwrap_or(default);
    let (users, count) = (argument(5_000), argument(100));
    let (each, idle) = (argument(10), argument(30));
    let server = RedisServer::start();
    let rooms: Vec<_> =
        (0..count).map(|n| RoomName::parse(&format!("room:{n}")).unwrap()).collect();
    let mut nodes = Vec::new();
    for _ in 0..NODES {
        nodes.push(node(&server, &rooms).await);
    }
    sleep(Duration::from_secs(3)).await;
    let seconds = Duration::from_secs(idle as u64);
    measured("without members", &server, sleep(seconds)).await;

    let places = |user: usize| (0..each).map(move |n| (user * each + n) % count);
    measured(&format!("{users} users enter {each} rooms each"), &server, async {
        let (sender, mut entered) = mpsc::unbounded_channel();
        for user in 0..users {
            let name = UserName::parse(&format!("user{user}")).unwrap();
            for (n, place) in places(user).enumerate() {
                let member = PresenceMember {
                    connection: ConnectionId((user * each + n) as u64),
                    user: Some(name.clone()),
                    info: None,
                    status: Default::default(),
                };
                let sender = sender.clone();
                let reply = Box::new(move |counts: Option<_>| {
                    sender.send(counts.is_some()).unwrap();
                });
                nodes[user % NODES].bus.presence_enter(&rooms[place], member, POLICY, reply);
            }
        }
        for _ in 0..users * each {
            assert!(entered.recv().await.unwrap());
        }
    })
    .await;
    let calls = |node: &Node| node.metrics.bus.commands[BusCommand::Presence].get();
    let members = users * each;
    let sum: u64 = nodes.iter().map(calls).sum();
    println!("  {members} memberships, {sum} calls and index writes of the nodes");
    measured("with all members, idle", &server, sleep(seconds)).await;
    measured("all leave", &server, async {
        for user in 0..users {
            for (n, place) in places(user).enumerate() {
                let connection = ConnectionId((user * each + n) as u64);
                let bus = &nodes[user % NODES].bus;
                bus.presence_exit(&rooms[place], connection, Departure::Left);
            }
        }
        for node in &nodes {
            node.bus.presence_flush(Duration::from_secs(60)).await;
        }
    })
    .await;
    let sum: u64 = nodes.iter().map(calls).sum();
    println!("  {sum} calls and index writes of the nodes since the start");
}
