//! Heartbeats in a worker's time: pings are spread and regular, ends are never early and at most a
//! second late, and nothing is kept of a connection that ended.

use std::collections::HashMap;
use std::sync::Arc;

use roomcast_bus::{Bus, MemoryOptions};
use roomcast_metrics::Metrics;
use roomcast_protocol::{ConnectionId, NodeId};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

use super::*;
use crate::form::Form;
use crate::hub::HubHandle;
use crate::identity::Hello;
use crate::simulation::Pipe;
use crate::socket::Socket;
use crate::tests::{connection, settings};
use crate::traces::Tracer;

const SECOND: Duration = Duration::from_secs(1);

fn worker(changes: &[&str]) -> Worker {
    let (replies, _) = mpsc::unbounded_channel();
    let means = (Bus::memory(MemoryOptions::default()).0, HubHandle::new().0, replies);
    let seen = (Metrics::new(), Tracer::default());
    Worker::new(
        (0, NodeId::parse("n").unwrap()),
        means,
        Arc::new(settings(changes)),
        seen,
        Arc::default(),
    )
}

/// A worker with connections whose sockets take everything, and their time.
struct Scene {
    worker: Worker,
    connections: Vec<(Rc<Connection>, Pipe)>,
    now: WorkerTime,
}

impl Scene {
    fn new(count: u64, changes: &[&str]) -> Self {
        let (connections, now) = (Vec::new(), WorkerTime::default());
        let mut scene = Self { worker: worker(changes), connections, now };
        (0..count).for_each(|id| scene.add(id, Pipe::new(1 << 20)));
        scene
    }

    fn add(&mut self, id: u64, pipe: Pipe) {
        let (id, socket) = (ConnectionId(id), Socket::Memory(pipe.clone()));
        let stalled = self.worker.stalled_held.clone();
        let connection =
            Rc::new(Connection::new(id, Hello::default(), Form::WebSocketJson, socket, &stalled));
        let patience = Patience::of(&self.worker.settings());
        self.worker.connections.add_at(&connection, patience, self.now);
        self.connections.push((connection, pipe));
    }

    fn tick(&mut self) {
        self.now = self.now.after(self.worker.connections.heartbeats().borrow().period());
        self.worker.beat_at(self.now);
    }

    fn ticks(&self, time: Duration) -> u32 {
        time.div_duration_f64(self.worker.connections.heartbeats().borrow().period()).round() as u32
    }

    fn held(&self) -> usize {
        self.worker.connections.heartbeats().borrow().wheel.held()
    }
}

/// The pings in what a connection was sent: two bytes each.
fn pings(pipe: &Pipe) -> usize {
    let bytes = pipe.read(usize::MAX);
    assert!(bytes.chunks(2).all(|frame| frame == [0x89, 0]), "pings and nothing else: {bytes:x?}");
    bytes.len() / 2
}

/// Pings of an interval, each connection one; how many went out at each tick.
fn check_pings(interval: &str, length: Duration, count: u64) {
    let mut scene = Scene::new(count, &[&format!("heartbeat.interval={interval}")]);
    let round = scene.ticks(length);
    for _ in 0..3 {
        let mut at_once = Vec::new();
        let mut each: HashMap<u64, usize> = HashMap::new();
        for _ in 0..round {
            scene.tick();
            let mut all = 0;
            for (connection, pipe) in &scene.connections {
                let pings = pings(pipe);
                *each.entry(connection.id.0).or_default() += pings;
                all += pings;
                connection.pulse.heard.set(scene.now);
            }
            at_once.push(all);
        }
        assert!(each.values().all(|&pings| pings == 1), "each has one ping in an interval");
        let fair = count as usize / round as usize;
        let most = at_once.into_iter().max().unwrap_or_default();
        assert!(most <= 3 * fair + 12, "{most} pings at one tick, where {fair} are a fair share");
    }
    assert_eq!(scene.held(), count as usize);
}

#[tokio::test]
async fn each_has_one_ping_in_an_interval_and_they_are_spread() {
    check_pings("1s", SECOND, 2_000);
    check_pings("25s", 25 * SECOND, 2_000);
    check_pings("26001ms", Duration::from_millis(26_001), 300);
    check_pings("1h", 3_600 * SECOND, 40);
}

/// Connections that each do something for the last time at a moment of their own, a tick at most
/// after `spread`, and must end `after` that with a code.
fn check_ends(changes: &[&str], (spread, after): (Duration, Duration), expected: CloseCode) {
    const COUNT: usize = 500;
    let mut scene = Scene::new(COUNT as u64, changes);
    let mut last = vec![WorkerTime::default(); COUNT];
    let mut ended = 0;
    for _ in 0..scene.ticks(spread + after + SECOND) {
        scene.tick();
        let now = scene.now;
        scene.connections.retain(|(connection, pipe)| {
            let id = connection.id.0 as usize;
            let end = last[id].after(after);
            if connection.is_open() {
                assert!(now < end.after(SECOND), "late by {} ns", now.0 - end.0);
                if now <= WorkerTime::default().after(spread.mul_f64(id as f64 / COUNT as f64)) {
                    last[id] = now;
                }
                let pulse = &connection.pulse;
                match expected {
                    CloseCode::Dead => pulse.heard.set(last[id]),
                    _ => pulse.heard.set(now),
                }
                pulse.active.set(last[id]);
                return true;
            }
            assert!(now >= end, "{} ns before its end", end.0 - now.0);
            connection.write_own();
            let sent = pipe.read(usize::MAX);
            let code = expected.code().to_be_bytes();
            assert!(sent.windows(2).any(|bytes| bytes == code), "{sent:x?}");
            ended += 1;
            false
        });
    }
    assert_eq!((ended, scene.held()), (COUNT, 0));
}

#[tokio::test]
async fn who_is_silent_for_the_time_out_ends_within_a_second() {
    let dead = CloseCode::Dead;
    check_ends(&["heartbeat.interval=1s", "heartbeat.missed=1"], (3 * SECOND, 2 * SECOND), dead);
    check_ends(&[], (100 * SECOND, 75 * SECOND), dead);
    let hour = &["heartbeat.interval=1h", "heartbeat.missed=2"];
    check_ends(hour, (3_600 * SECOND, 3 * 3_600 * SECOND), dead);
}

#[tokio::test]
async fn who_is_idle_for_the_idle_time_out_ends_within_a_second() {
    let idle = CloseCode::Idle;
    let second = ["heartbeat.interval=8s", "limits.idle_timeout=1s"];
    check_ends(&second, (20 * SECOND, SECOND), idle);
    let minute = ["heartbeat.interval=1h", "limits.idle_timeout=1m"];
    check_ends(&minute, (600 * SECOND, 60 * SECOND), idle);
}

/// A tick looks at the connections that are due, and at none of the others.
#[tokio::test]
async fn a_tick_looks_at_what_is_due() {
    let mut scene = Scene::new(1_000, &["heartbeat.interval=1h"]);
    let mut looked_at = 0;
    for _ in 0..scene.ticks(3_600 * SECOND) {
        looked_at += scene.worker.connections.heartbeats().borrow().wheel.due_next();
        scene.tick();
        for (connection, _) in &scene.connections {
            connection.pulse.heard.set(scene.now);
        }
    }
    assert_eq!(looked_at, 1_000, "each once in an interval");
}

/// What a process was stopped for is no silence: every client has the whole time-out again.
#[tokio::test]
async fn time_in_which_the_process_was_stopped_does_not_count() {
    let scene = Scene::new(100, &["heartbeat.interval=1s", "heartbeat.missed=1"]);
    let stop = 100 * SECOND;
    assert!(scene.worker.beat(stop), "ticks begin anew");
    assert!(
        scene.worker.connections.heartbeats().borrow().now() < WorkerTime::default().after(SECOND)
    );
    assert!(!scene.worker.beat(MIN_STOPPED - Duration::from_nanos(1)));
    assert!(scene.connections.iter().all(|(connection, _)| connection.is_open()));
}

/// What was read after a stop and before the tick that notices it is dated too late at first.
#[tokio::test]
async fn what_was_heard_after_a_stop_is_dated_back() {
    let mut scene = Scene::new(1, &["heartbeat.interval=1s", "heartbeat.missed=1"]);
    scene.connections[0].0.pulse.heard.set(WorkerTime::default().after(3_600 * SECOND));
    for _ in 0..scene.ticks(4 * SECOND) {
        scene.tick();
    }
    assert!(!scene.connections[0].0.is_open());
}

/// What has come is read before its connection is judged.
#[tokio::test]
async fn a_client_whose_bytes_were_not_read_yet_is_not_judged() {
    let worker = worker(&["heartbeat.interval=1s", "heartbeat.missed=1"]);
    let patience = Patience::of(&worker.settings());
    let (link, mut client) = connection(1).await;
    let start = WorkerTime::default();
    worker.connections.heartbeats().borrow_mut().add(&link, patience, start);
    assert_eq!(worker.end_of(&link, patience, start.after(SECOND)), None);
    assert_eq!(worker.end_of(&link, patience, start.after(2 * SECOND)), Some(CloseCode::Dead));
    client.write_all(b"x").await.unwrap();
    while !link.has_unread() {
        tokio::task::yield_now().await;
    }
    assert_eq!(worker.end_of(&link, patience, start.after(2 * SECOND)), None);
    assert_eq!(worker.end_of(&link, patience, start.after(9 * SECOND)), None);
}

/// A connection that is not read because the bus owes it answers is not silent; one that is not
/// read because it does not take its answers is.
#[tokio::test]
async fn a_client_that_is_not_read_for_the_nodes_sake_is_not_judged() {
    let changes = ["heartbeat.interval=1s", "limits.inflight_publishes=1"];
    let mut scene = Scene::new(1, &changes);
    scene.add(2, Pipe::new(0));
    let [waiting, stuck] = [0, 1].map(|at| scene.connections[at].0.clone());
    waiting.in_flight.set(1);
    let answers = scene.worker.settings().limits.control_bytes + 1;
    stuck.append_control(|control| control.resize(answers, 0));
    for _ in 0..scene.ticks(10 * SECOND) {
        scene.tick();
    }
    assert!(waiting.is_open() && !stuck.is_open());
    waiting.in_flight.set(0);
    for _ in 0..scene.ticks(4 * SECOND) {
        scene.tick();
    }
    assert!(!waiting.is_open(), "it is judged again");
}

/// Nothing but its task keeps a connection that ended, wherever it stood in the wheel.
#[tokio::test]
async fn nothing_is_kept_of_connections_that_ended() {
    let scene = Scene::new(1_000, &["heartbeat.interval=1h"]);
    let worker = &scene.worker;
    for (connection, _) in scene.connections {
        let watched = Rc::downgrade(&connection);
        let id = connection.id;
        drop(connection);
        assert!(watched.upgrade().is_some());
        worker.dismiss(id);
        assert_eq!(watched.strong_count(), 0, "connection {id}");
    }
    assert_eq!(worker.connections.heartbeats().borrow().wheel.held(), 0);
}

/// The counter of requests holds as many as the configuration allows, and more, as what was read in
/// one go is still taken.
#[tokio::test]
async fn as_many_requests_as_the_configuration_allows() {
    let scene = Scene::new(1, &["limits.inflight_publishes=65536"]);
    let connection = &scene.connections[0].0;
    for (requests, is_read) in [(65_535, true), (65_536, false), (70_000, false)] {
        connection.in_flight.set(requests);
        assert_eq!(scene.worker.may_read(connection), is_read, "{requests}");
    }
}
