//! What goes into a lane and what comes out: the closed lists of its events and actions, and what
//! both carry.

use std::sync::Arc;
use std::time::Duration;

use roomcast_metrics::RepairCause;
use roomcast_protocol::{Epoch, RoomName, Seq};
use tokio::time::Instant;

use super::LaneHandle;
use super::lane::LaneRoom;
use super::order::Need;
use super::subscriptions::SubscriptionChange;
use crate::api::{FeedEvent, ReadError, RoomFound, RoomPage};
use crate::event_queue::FeedSession;
use crate::payload::{PresenceTail, RoomPush};

/// What the feeds ask of a lane.
#[derive(Debug)]
pub enum LaneCommand {
    /// Listen to a room.
    Open(RoomName, FeedSession),
    /// Stop listening.
    Close(RoomName),
    /// Give a room to another lane, with its whole state.
    HandOver(RoomName, LaneHandle),
    /// Take a room over from another lane.
    TakeOver(RoomName, Box<LaneRoom>),
}

/// What a read found: the page and how the room was found.
pub type ReadResult = Result<(RoomPage, RoomFound), ReadError>;

/// Where a check saw a room's end: epoch, seq, life; `None` if Redis does not know the room.
pub type RoomTail = Option<(Epoch, Seq, String)>;

/// Where a check saw a room's presence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PresenceSeen {
    /// Here.
    At(PresenceTail),
    /// Redis has no presence of the room.
    Missing,
    /// Redis gave no answer.
    Unknown,
}

/// Everything that happens to a lane. Numbers named `generation` count the subscribe connections:
/// an answer that belongs to an older connection is ignored.
#[derive(Debug)]
pub enum LaneEvent {
    /// The feeds, or another lane, ask for something.
    Command(LaneCommand),
    /// The subscribe connection is made.
    Connected,
    /// It could not be made.
    ConnectFailed,
    /// It is lost.
    Closed(String),
    /// The link leads to another address than a connection of this generation.
    PrimaryLeft(u64),
    /// A payload arrived on a channel.
    Pushed(Vec<u8>, RoomPush),
    /// A command took effect for a channel.
    Confirmed(Vec<u8>, SubscriptionChange),
    /// Payloads of a channel were dropped: the inbox was full.
    Overflowed(Vec<u8>),
    /// All answers to a command arrived (`Ok`), or the command failed.
    Commanded {
        /// The generation of the connection that the command was sent on.
        generation: u64,
        /// Why it failed.
        result: Result<(), String>,
    },
    /// A command was refused for some of its rooms, because another primary has them.
    Elsewhere {
        /// The generation of the connection that the command was sent on.
        generation: u64,
        /// All rooms of the command.
        rooms: Vec<RoomName>,
    },
    /// A read ended.
    Read {
        /// The room that was read.
        room: RoomName,
        /// The number of the read.
        ticket: u64,
        /// What was asked for.
        need: Need,
        /// The result.
        result: ReadResult,
    },
    /// Tails were compared; `None`: Redis did not answer.
    Compared {
        /// The generation of the connection when the question was sent.
        generation: u64,
        /// Why they were compared.
        cause: RepairCause,
        /// Which rooms.
        rooms: Vec<RoomName>,
        /// Each room's tail.
        tails: Option<Vec<RoomTail>>,
    },
    /// The presence of rooms was compared.
    PresenceCompared {
        /// The generation of the connection when the question was sent.
        generation: u64,
        /// Why it was compared.
        cause: RepairCause,
        /// What was seen of each room.
        seen: Vec<(RoomName, PresenceSeen)>,
    },
    /// A room's keys were prolonged in Redis, and its end was seen.
    Held(RoomName, ReadResult),
    /// The end of a room whose slot is on the move was seen.
    Polled(RoomName, ReadResult),
    /// A probe was published (true) or failed, for a connection of this generation.
    Probed(u64, bool),
    /// The probe of this number came back.
    ProbeReturned(u64),
    /// A second passed.
    Tick,
}

/// What a lane wants done.
#[derive(Debug)]
pub enum LaneAction {
    /// Make a subscribe connection after a pause: `Connected` or `ConnectFailed` follows.
    Connect(Duration),
    /// Drop the subscribe connection.
    Disconnect,
    /// Watch whether the primary moves away from the connection: `PrimaryLeft`.
    WatchPrimary(u64),
    /// Subscribe or unsubscribe rooms: confirmations and `Commanded` or `Elsewhere` follow.
    Command {
        /// The generation of the connection to send it on.
        generation: u64,
        /// What to do.
        change: SubscriptionChange,
        /// For these rooms.
        rooms: Vec<RoomName>,
    },
    /// Publish a probe: `Probed` follows, and `ProbeReturned` if pushes work.
    Probe {
        /// The generation of the connection that should receive it.
        generation: u64,
        /// The number to publish.
        number: u64,
    },
    /// Read a room: `Read` follows.
    Read(RoomName, u64, Need),
    /// Compare tails: `Compared` follows.
    Compare {
        /// The generation of the connection now.
        generation: u64,
        /// Why.
        cause: RepairCause,
        /// Which rooms.
        rooms: Vec<RoomName>,
    },
    /// Compare the presence of rooms: `PresenceCompared` follows.
    ComparePresence {
        /// The generation of the connection now.
        generation: u64,
        /// Why.
        cause: RepairCause,
        /// Which rooms.
        rooms: Vec<RoomName>,
    },
    /// Prolong a room's keys in Redis: `Held` follows.
    Hold(RoomName),
    /// Hand events of one session of a room to the hub.
    Deliver(RoomName, FeedSession, Vec<FeedEvent>),
    /// Send another lane a command.
    Send(LaneHandle, LaneCommand),
    /// Have the server map checked: it may be wrong.
    DoubtMap,
    /// Have the primary's link checked: the primary may be unreachable.
    DoubtLink,
}

/// The time of an event, with what the lane needs from outside.
#[derive(Debug, Clone)]
pub struct LaneMoment {
    /// The time.
    pub now: Instant,
    /// A random number within 0 and 1, for jitter.
    pub dice: f64,
    /// The life of the primary's data; `None` while the command connections are down.
    pub life: Option<Arc<str>>,
}
