//! How requests with an answer of their own end: publishes and history reads.

use std::sync::Arc;
use std::time::Duration;

use roomcast_protocol::{ErrorCode, Message, Position};

/// The message is sequenced and kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    /// Where it stands. An ack moves no reader: the message itself does.
    pub position: Position,
    /// Its time: Unix ms, by the bus's clock.
    pub time: u64,
}

/// Why a publish got no ack.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishFailure {
    /// The node refused it: not stored. What to do depends on the code.
    #[error("{}: {message}", code.as_str())]
    Refused {
        /// Stable code.
        code: ErrorCode,
        /// For people.
        message: Box<str>,
        /// When the node would like to see it again.
        retry_after: Option<Duration>,
    },
    /// It was sent, but no answer came: stored or not. Publish again with the same key, if it had
    /// one; else look at the room before publishing again.
    #[error("sent, but the outcome is unknown")]
    Unknown,
    /// No connection could be had in time: surely not stored. Publish again.
    #[error("not sent: no connection in time")]
    NotSent,
    /// Larger than the node accepts: not sent. Make it smaller.
    #[error("a frame of {bytes} bytes is above the node's limit of {limit}")]
    TooLarge {
        /// Size of the frame.
        bytes: u64,
        /// The node's limit.
        limit: u64,
    },
    /// The client ended before this was sent: surely not stored. Publish with another client.
    #[error("not sent: the client is closed")]
    Closed,
}

/// A page of history, ascending.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryPage {
    /// Where a reader stands who has the whole page; `since` for a join that goes on from here.
    /// `None` if the page is empty.
    pub end: Option<Position>,
    /// The messages, ascending by seq.
    pub messages: Vec<Arc<Message>>,
    /// Whether there are more in the direction asked for.
    pub more: bool,
}

/// Why a question got no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestFailure {
    /// The node refused. What to do depends on the code.
    #[error("{}: {message}", code.as_str())]
    Refused {
        /// Stable code.
        code: ErrorCode,
        /// For people.
        message: Box<str>,
    },
    /// No answer in time. Ask again.
    #[error("no answer in time")]
    TimedOut,
    /// The client is closed. Ask with another client.
    #[error("the client is closed")]
    Closed,
}

/// The client has ended; make another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the client is closed")]
pub struct ClientClosed;
