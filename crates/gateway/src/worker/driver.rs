//! A worker's thread: its loop over events, answers, new sockets and time.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant as StdInstant};

use roomcast_bus::Bus;
use roomcast_metrics::{Gauge, Metrics};
use roomcast_protocol::{CloseCode, NodeId};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::chores::SLICE;
use super::{BusAnswer, Worker};
use crate::drain::Schedule;
use crate::http::{self, Site};
use crate::hub::{HubHandle, WorkerEvent, now_ms};
use crate::node::acceptor::{EXHAUSTED, is_of_one_socket};
use crate::node::pace::Pace;
use crate::settings::Settings;
use crate::traces::Tracer;

/// Events and answers taken in before passes run: what comes in a burst is written in one go.
const BURST: usize = 256;
/// Deadlines of joins and messages are looked at this often.
const CHECK: Duration = Duration::from_millis(250);

/// How long connections may take to end when the node does.
const FAREWELL: Duration = Duration::from_secs(3);

/// A socket on its way from the acceptor to a worker.
#[derive(Debug)]
pub(crate) struct Handoff {
    pub(crate) socket: std::net::TcpStream,
    pub(crate) peer: IpAddr,
    pub(crate) accepted: StdInstant,
}

/// What a worker is made of.
pub(crate) struct WorkerParts {
    pub(crate) index: usize,
    pub(crate) node: NodeId,
    pub(crate) bus: Bus,
    pub(crate) hub: HubHandle,
    pub(crate) metrics: Metrics,
    pub(crate) tracer: Tracer,
    pub(crate) site: Arc<Site>,
    pub(crate) settings: watch::Receiver<Arc<Settings>>,
    /// Set once, when the node drains.
    pub(crate) drain: watch::Receiver<Option<Schedule>>,
    pub(crate) events: mpsc::Receiver<WorkerEvent>,
    pub(crate) sockets: mpsc::Receiver<Handoff>,
    /// The node's listener, if this is its only worker: it accepts itself.
    pub(crate) listener: Option<std::net::TcpListener>,
}

/// Runs a worker until its sockets' sender is gone. Call it on a `LocalSet` of its own thread.
pub(crate) async fn run(parts: WorkerParts) {
    let WorkerParts { mut settings, mut drain, mut events, mut sockets, site, .. } = parts;
    let (replies, mut answers) = mpsc::unbounded_channel();
    let first = settings.borrow_and_update().clone();
    let (named, means) = ((parts.index, parts.node), (parts.bus, parts.hub, replies));
    let worker = Rc::new(Worker::new(named, means, first, (parts.metrics, parts.tracer)));
    tokio::task::spawn_local(worker.clone().run_passes());
    tokio::task::spawn_local(worker.clone().run_hub_requests());
    tokio::task::spawn_local(watch_time(worker.clone(), site.clone()));

    if let Some(listener) = parts.listener {
        tokio::task::spawn_local(accept_alone(worker.clone(), site.clone(), listener));
    }

    let mut event_burst: Vec<WorkerEvent> = Vec::with_capacity(BURST);
    let mut answer_burst: Vec<BusAnswer> = Vec::with_capacity(BURST);
    loop {
        tokio::select! {
            count = events.recv_many(&mut event_burst, BURST) => {
                for event in event_burst.drain(..) {
                    worker.take_in(event);
                }
                rest_after(count).await;
            }
            count = answers.recv_many(&mut answer_burst, BURST) => {
                for answer in answer_burst.drain(..) {
                    worker.reply(answer);
                }
                rest_after(count).await;
            }
            socket = sockets.recv() => match socket {
                Some(handoff) => adopt(&worker, &site, handoff),
                None => return end(&worker).await,
            },
            changed = settings.changed() => if changed.is_ok() {
                let settings = settings.borrow_and_update().clone();
                worker.configure(settings);
            },
            Ok(()) = drain.changed() => if let Some(schedule) = *drain.borrow_and_update() {
                tokio::task::spawn_local(worker.clone().drain(schedule));
            },
        }
    }
}

/// After a full burst others have their turn: clients are read and written.
async fn rest_after(count: usize) {
    if count == BURST {
        tokio::task::yield_now().await;
    }
}

/// Takes in a socket that the acceptor assigned to this worker.
fn adopt(worker: &Rc<Worker>, site: &Arc<Site>, handoff: Handoff) {
    let Handoff { socket, peer, accepted } = handoff;
    match TcpStream::from_std(socket) {
        Ok(socket) => http::accept(worker, site, socket, (peer, accepted)),
        Err(error) => {
            site.release(worker.index);
            tracing::debug!("a socket was lost before its handshake: {error}");
        }
    }
}

/// Accepts until the node stops: for the only worker.
async fn accept_alone(worker: Rc<Worker>, site: Arc<Site>, listener: std::net::TcpListener) {
    let registered = listener.set_nonblocking(true).and_then(|()| TcpListener::from_std(listener));
    let listener = match registered {
        Ok(listener) => listener,
        Err(error) => return tracing::error!("cannot wait for connections: {error}"),
    };
    let mut pace = Pace::new(StdInstant::now());
    loop {
        while let Some(wait) = pace.take(worker.settings().limits.accept_rate, StdInstant::now()) {
            tokio::time::sleep(wait).await;
        }
        match listener.accept().await {
            Ok((socket, peer)) => {
                site.assign();
                http::accept(&worker, &site, socket, (peer.ip(), StdInstant::now()));
            }
            Err(_) if site.is_closed() => return,
            Err(error) if is_of_one_socket(&error) => {}
            Err(error) => {
                tracing::warn!("cannot accept: {error}");
                tokio::time::sleep(EXHAUSTED).await;
            }
        }
    }
}

/// The node ends: everybody is told to come back elsewhere, and given a moment to hear it.
async fn end(worker: &Worker) {
    let deadline = Instant::now() + FAREWELL;
    let connections = worker.connections.all();
    for some in connections.chunks(SLICE) {
        some.iter().for_each(|connection| worker.close(connection, CloseCode::Restart));
        tokio::task::yield_now().await;
    }
    drop(connections);
    while !worker.connections.is_empty() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Turns the wheel, looks at deadlines, and shows that the worker lives.
async fn watch_time(worker: Rc<Worker>, site: Arc<Site>) {
    let seen: Gauge = worker.metrics.node.last_tick(worker.index);
    let period = worker.beat_period();
    let mut beat = interval_at(Instant::now() + period, period);
    // Ticks that are a little late are made up for, so that none adds to the time-outs.
    beat.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut check = interval_at(Instant::now() + CHECK, CHECK);
    check.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_refusing = false;
    loop {
        tokio::select! {
            due = beat.tick() => if worker.beat(Instant::now() - due) {
                beat.reset();
            },
            () = tokio::task::yield_now(), if is_refusing => {
                is_refusing = worker.refuse_late(Instant::now(), SLICE);
            }
            _ = check.tick() => {
                worker.check_arriving();
                is_refusing = worker.refuse_late(Instant::now(), SLICE);
                site.alive(worker.index, StdInstant::now());
                seen.set(now_ms() as f64 / 1_000.0);
            }
        }
    }
}
