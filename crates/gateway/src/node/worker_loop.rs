//! The loop of a worker's thread: events, answers, new sockets and time. What they mean is the
//! worker's own matter.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant as StdInstant};

use roomcast_bus::Bus;
use roomcast_metrics::{Gauge, Metrics};
use roomcast_protocol::NodeId;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::acceptor::{Handoff, accept_each};
use crate::auth::TokenKeys;
use crate::drain::Schedule;
use crate::http;
use crate::hub::{HubHandle, WorkerEvent, now_ms};
use crate::node_status::NodeStatus;
use crate::settings::Settings;
use crate::traces::Tracer;
use crate::user_limits::UserLimits;
use crate::worker::{BusAnswer, SLICE, Worker};

/// Events and answers taken in before passes run: what comes in a burst is written in one go.
const BURST_EVENTS: usize = 256;
/// Deadlines of joins and messages are looked at this often.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// What a worker is made of.
pub(super) struct WorkerParts {
    pub(super) index: usize,
    pub(super) node: NodeId,
    pub(super) bus: Bus,
    pub(super) hub: HubHandle,
    pub(super) metrics: Metrics,
    pub(super) tracer: Tracer,
    pub(super) keys: Arc<TokenKeys>,
    pub(super) status: Arc<NodeStatus>,
    /// The limits by user that all workers share.
    pub(super) users: Arc<UserLimits>,
    pub(super) settings: watch::Receiver<Arc<Settings>>,
    /// Set once, when the node drains.
    pub(super) drain: watch::Receiver<Option<Schedule>>,
    pub(super) events: mpsc::Receiver<WorkerEvent>,
    pub(super) sockets: mpsc::Receiver<Handoff>,
    /// The node's listener, if this is its only worker: it accepts itself.
    pub(super) listener: Option<std::net::TcpListener>,
}

/// Runs a worker until its sockets' sender is gone. Call it on a `LocalSet` of its own thread.
pub(super) async fn run(parts: WorkerParts) {
    let WorkerParts { mut settings, mut drain, mut events, mut sockets, status, .. } = parts;
    let (replies, mut answers) = mpsc::unbounded_channel();
    let first = settings.borrow_and_update().clone();
    let (named, means) = ((parts.index, parts.node), (parts.bus, parts.hub, replies));
    let worker = Worker::new(named, means, first, (parts.metrics, parts.tracer), parts.keys);
    let worker = Rc::new(worker.with_users(parts.users));
    worker.answer_through(status.peers.clone());
    worker.confirm_through(status.receipts.clone());
    tokio::task::spawn_local(worker.clone().run_passes());
    tokio::task::spawn_local(worker.clone().run_hub_requests());
    tokio::task::spawn_local(worker.clone().run_conflation());
    tokio::task::spawn_local(worker.clone().run_signal_pace());
    tokio::task::spawn_local(worker.clone().follow_orders(status.orders.clone()));
    tokio::task::spawn_local(worker.clone().follow_replaced(status.users.clone()));
    tokio::task::spawn_local(watch_time(worker.clone(), status.clone()));

    if let Some(listener) = parts.listener {
        tokio::task::spawn_local(accept_alone(
            worker.clone(),
            status.clone(),
            listener,
            settings.clone(),
        ));
    }

    let mut event_burst: Vec<WorkerEvent> = Vec::with_capacity(BURST_EVENTS);
    let mut answer_burst: Vec<BusAnswer> = Vec::with_capacity(BURST_EVENTS);
    loop {
        tokio::select! {
            count = events.recv_many(&mut event_burst, BURST_EVENTS) => {
                for event in event_burst.drain(..) {
                    worker.take_in(event);
                }
                rest_after(count).await;
            }
            count = answers.recv_many(&mut answer_burst, BURST_EVENTS) => {
                for answer in answer_burst.drain(..) {
                    worker.reply(answer);
                }
                rest_after(count).await;
            }
            socket = sockets.recv() => match socket {
                Some(handoff) => adopt(&worker, &status, handoff),
                None => return worker.end().await,
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
    if count == BURST_EVENTS {
        tokio::task::yield_now().await;
    }
}

/// Takes in a socket that the acceptor assigned to this worker.
fn adopt(worker: &Rc<Worker>, status: &Arc<NodeStatus>, handoff: Handoff) {
    let Handoff { socket, peer, accepted } = handoff;
    match TcpStream::from_std(socket) {
        Ok(socket) => http::accept(worker, status, socket, (peer, accepted)),
        Err(error) => {
            status.release(worker.index);
            tracing::debug!("a socket was lost before its handshake: {error}");
        }
    }
}

/// Accepts until the node stops: for the only worker.
async fn accept_alone(
    worker: Rc<Worker>,
    status: Arc<NodeStatus>,
    listener: std::net::TcpListener,
    settings: watch::Receiver<Arc<Settings>>,
) {
    let registered = listener.set_nonblocking(true).and_then(|()| TcpListener::from_std(listener));
    let listener = match registered {
        Ok(listener) => listener,
        Err(error) => return tracing::error!("cannot wait for connections: {error}"),
    };
    let take = async |socket, peer: SocketAddr| {
        status.assign();
        http::accept(&worker, &status, socket, (peer.ip(), StdInstant::now()));
    };
    accept_each(async || listener.accept().await, take, &status, &settings).await;
}

/// Turns the wheel, looks at deadlines, and shows that the worker lives.
async fn watch_time(worker: Rc<Worker>, status: Arc<NodeStatus>) {
    let seen: Gauge = worker.metrics.node.last_tick(worker.index);
    let period = worker.beat_period();
    let mut beat = interval_at(Instant::now() + period, period);
    // Ticks that are a little late are made up for, so that none adds to the time-outs.
    beat.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut check = interval_at(Instant::now() + CHECK_INTERVAL, CHECK_INTERVAL);
    check.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_behind = false;
    loop {
        tokio::select! {
            due = beat.tick() => if worker.beat(Instant::now() - due) {
                beat.reset();
            },
            () = tokio::task::yield_now(), if is_behind => {
                is_behind = end_some(&worker);
            }
            _ = check.tick() => {
                worker.check_arriving();
                is_behind = end_some(&worker);
                status.alive(worker.index, StdInstant::now());
                seen.set(now_ms() as f64 / 1_000.0);
            }
        }
    }
}

/// Ends a slice of the joins, identities and rooms' tokens whose time has come. True if others may
/// be left.
fn end_some(worker: &Worker) -> bool {
    let are_joins_left = worker.refuse_late(Instant::now(), SLICE);
    let are_numbers_due = worker.end_waits_for_numbers(Instant::now(), SLICE);
    worker.end_access(SLICE) || are_joins_left || are_numbers_due
}
