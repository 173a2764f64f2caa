//! What goes into a session and what comes out of it.

#![expect(missing_docs, reason = "public for the simulation only")]

use std::time::{Duration, Instant};

use roomcast_protocol::{ClientFrame, CloseCode, RequestId, RoomName, ServerFrame, UserName};

use super::ClientRequest;
use crate::answer::ClientAnswer;
use crate::{Ack, Event, JoinOptions, PublishFailure, RequestFailure};

/// What can happen to a client.
#[derive(Debug)]
pub enum Input {
    /// The node sent this.
    Frame(ServerFrame),
    /// The node sent something else: a ping, or a frame that is not for us.
    Heard,
    /// The application is behind; nothing is read until `Resumed`.
    Paused,
    /// Reading goes on.
    Resumed,
    /// The connection could not be made.
    Failed(Failure),
    /// The connection is gone.
    Closed { code: Option<u16>, reason: Box<str> },
    /// The application's answer to `FetchToken`: a token, or why there is none.
    Token(Result<Box<str>, Box<str>>),
    /// The connection beside the one in use is open, or could not be made.
    Prepared { is_open: bool },
    /// The application wants to be in a room.
    Join { room: RoomName, options: JoinOptions },
    /// The application wants to be out of a room.
    Leave { room: RoomName },
    /// The application signals or types: to be sent now or not at all.
    Ephemeral { room: RoomName, frame: ClientFrame },
    /// The application wants to know whether these users are online.
    Watch { users: Vec<UserName> },
    /// And these no more.
    Unwatch { users: Vec<UserName> },
    /// The application publishes or asks; `id` is from `next_id`.
    Request { id: RequestId, request: ClientRequest, deadline: Instant },
    /// The frame of this request is above the node's limit; it was not sent.
    Unsendable { id: RequestId, bytes: u64, limit: u64 },
    /// The application wants to end.
    Close,
    /// Time has passed.
    Tick,
}

/// Why a connection could not be made.
#[derive(Debug)]
pub struct Failure {
    pub reason: Box<str>,
    /// The shortest pause the node asked for.
    pub retry_after: Duration,
    pub verdict: RetryVerdict,
}

/// Whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryVerdict {
    TryAgain,
    /// Try again with a new token, once.
    ReplaceToken,
    GiveUp,
}

/// Which try to connect it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// Over the client's whole life, from 1 on.
    pub number: u32,
    /// Since the client's last connection, from 1 on; 0 if it never had one.
    pub tries: u32,
}

/// What the driver has to do, in this order.
#[derive(Debug)]
pub enum Action {
    /// Open a connection to the URL of this index.
    Connect { url: usize, attempt: Attempt },
    /// Open another connection beside the one in use; tell when it is open, and read nothing of it.
    Prepare { url: usize, attempt: Attempt },
    /// From now on use the one that is open beside.
    TakeOver,
    /// Give up the connection, or the attempt, with this close code.
    Disconnect { code: CloseCode },
    /// Ask the application for a new token.
    FetchToken,
    /// Send this frame.
    Send(ClientFrame),
    /// Tell the application.
    Tell(Event),
    /// Answer a publish.
    Published { id: RequestId, result: Result<Ack, PublishFailure> },
    /// Answer a question.
    Answered { id: RequestId, result: Result<ClientAnswer, RequestFailure> },
    /// Nothing follows.
    Finish,
}
