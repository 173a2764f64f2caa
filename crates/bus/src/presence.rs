//! Presence over Redis: who is in which room on all nodes together. The desk has the truth of this
//! node's members and brings Redis to it; the reaper removes those of dead nodes.

mod call;
mod comparing;
mod desk;
mod desk_outcomes;
mod desk_room;
#[cfg(test)]
mod desk_tests;
mod driver;
mod found;
mod lists;
mod reap;
mod reaper;
mod reaping;
mod scan;
#[cfg(test)]
mod script_tests;
mod seat_replies;
mod sender;
mod sending;
#[cfg(test)]
mod store_model;
mod upkeep;

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use roomcast_metrics::BusMetrics;
use roomcast_protocol::{ConnectionId, RoomName};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};

use crate::api::{Departure, PresenceMember, PresencePolicy, PresenceReply};
use crate::event_queue::EventQueue;
use crate::leases::{Incarnation, LeaseNews};
use crate::placement::keys::Keyspace;
use crate::server_map::ServerMap;
use desk::Desk;
use driver::{DeskCommand, PresenceDriver};
use lists::ListReader;
use reaping::ReapingTask;
use sender::PresenceSender;
use upkeep::Upkeep;

/// What presence is made with.
pub(crate) struct PresenceParts {
    pub(crate) keys: Keyspace,
    pub(crate) shards: ServerMap,
    /// `PUBLISH`, or `SPUBLISH` in a cluster.
    pub(crate) push: &'static str,
    pub(crate) metrics: BusMetrics,
    pub(crate) events: Arc<EventQueue>,
    /// How long a round of comparisons takes.
    pub(crate) sweep: Duration,
    pub(crate) lease: watch::Receiver<LeaseNews>,
    /// Tells the lease that an incarnation of this node is dead in a room.
    pub(crate) refuse: mpsc::UnboundedSender<Incarnation>,
}

/// The way to presence.
#[derive(Clone)]
pub(crate) struct PresenceStore {
    /// Bounded by the connections of the node and what each may show.
    commands: mpsc::UnboundedSender<DeskCommand>,
    lists: ListReader,
    lease: watch::Receiver<LeaseNews>,
    /// Dropped with the last handle: then the reaper ends.
    _reaping: Arc<oneshot::Sender<()>>,
}

impl PresenceStore {
    /// Starts presence; its tasks end when the last handle is dropped.
    pub(crate) fn start(parts: PresenceParts) -> Self {
        let PresenceParts { keys, shards, push, metrics, events, sweep, lease, refuse } = parts;
        let (commands, received) = mpsc::unbounded_channel();
        let lists = ListReader::new(shards.clone(), keys.clone(), metrics.clone());
        let sender = PresenceSender { shards, keys, push, metrics };
        let (reaping, ended) = oneshot::channel();
        tokio::spawn(ReapingTask::new(sender.clone(), lease.clone()).run(ended));
        let driver = PresenceDriver {
            desk: Desk::new(),
            sender,
            upkeep: Upkeep::new(sweep),
            opened: events.openings(),
            events,
            commands: received,
            lease: lease.clone(),
            refuse,
            work: FuturesUnordered::new(),
            pipelines: 0,
            is_comparing: false,
            is_auditing: false,
            flushes: Vec::new(),
            links: Vec::new(),
        };
        tokio::spawn(driver.run());
        Self { commands, lists, lease, _reaping: Arc::new(reaping) }
    }

    pub(crate) fn enter(
        &self,
        room: &RoomName,
        member: PresenceMember,
        policy: PresencePolicy,
        reply: PresenceReply,
    ) {
        self.say(DeskCommand::Enter(room.clone(), member, policy, reply));
    }

    pub(crate) fn show(&self, room: &RoomName, member: PresenceMember, reply: PresenceReply) {
        self.say(DeskCommand::Show(room.clone(), member, reply));
    }

    pub(crate) fn exit(&self, room: &RoomName, connection: ConnectionId, how: Departure) {
        self.say(DeskCommand::Exit(room.clone(), connection, how));
    }

    pub(crate) fn lists(&self) -> &ListReader {
        &self.lists
    }

    /// Connections of all nodes, at most 5 s old.
    pub(crate) fn online(&self) -> Option<u64> {
        self.lease.borrow().online(Instant::now())
    }

    pub(crate) async fn flush(&self, limit: Duration) {
        let (done, written) = oneshot::channel();
        self.say(DeskCommand::Flush(done));
        // What is not written by then is written later.
        let _ = timeout(limit, written).await;
    }

    fn say(&self, command: DeskCommand) {
        // The task ends only with the last handle.
        let _ = self.commands.send(command);
    }
}
