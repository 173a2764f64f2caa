//! The servers that can do the job, and how a client of the load talks to each: what it sends to
//! come in, join and publish, and what it hears. One file for each dialect; none knows sockets.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;
use roomcast_protocol::{Position, RequestId, Seq};
use serde::{Deserialize, Serialize};

use super::scenario::Scenario;
use crate::wire;

mod nchan;
mod roomcast;
mod socketio;
mod ws;

/// A server that relays messages between the members of rooms, over nodes on one Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Peer {
    /// This project.
    Roomcast,
    /// The tutorial's design: the `ws` package and Redis Pub/Sub.
    Ws,
    /// Socket.IO with its Redis adapter.
    Socketio,
    /// Nchan, a module of nginx, on Redis.
    Nchan,
}

/// How a client comes to a room once its upgrade is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Welcome {
    /// The server speaks first.
    Greeting,
    /// It may send its join.
    Silent,
    /// It is in the room already: its path said which.
    Joined,
}

/// What a client keeps to resume from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bookmark {
    /// Roomcast's.
    pub(crate) position: Option<Position>,
    /// Nchan's id of the last message.
    pub(crate) last_id: Vec<u8>,
}

/// What a client heard.
#[derive(Debug, PartialEq)]
pub(crate) enum Heard<'a> {
    /// It is known to the server now, which may have said its own name.
    Greeted { by: Option<String> },
    /// It is a member, with its position if the server has such.
    Joined { at: Option<Position>, recovered: Option<bool> },
    /// A message: its seq, if the server numbers, and its id to resume from, if that is another.
    Message { seq: Option<Seq>, id: &'a [u8], data: &'a [u8] },
    /// These cannot be delivered.
    Gap { from: Seq, to: Seq },
    /// The room began anew.
    Reset { at: Position, lost: u64 },
    /// A publish is kept.
    Acked(RequestId),
    /// A request was refused for now.
    Refused { id: Option<RequestId>, pause: Duration },
    /// The client shall come again elsewhere, after so long.
    Move(Duration),
    /// The server wants this answer, as text.
    Answer(&'static [u8]),
    /// Nothing that matters here.
    Nothing,
}

/// One message to publish.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outgoing<'a> {
    pub(crate) room: usize,
    /// Names it for its ack, and for a repetition; unique in the run.
    pub(crate) id: RequestId,
    /// A stamp, to be filled up to `bytes`.
    pub(crate) text: &'a str,
    pub(crate) bytes: usize,
}

impl Peer {
    /// All, in the order of tables.
    pub(crate) const ALL: [Self; 4] = [Self::Roomcast, Self::Ws, Self::Socketio, Self::Nchan];

    /// As people call it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Roomcast => "Roomcast",
            Self::Ws => "ws + Redis",
            Self::Socketio => "Socket.IO",
            Self::Nchan => "Nchan",
        }
    }

    /// Whether a publish is answered, and repeated until it is.
    pub(crate) fn acknowledges(self) -> bool {
        self == Self::Roomcast
    }

    /// Connections that publish: as many as asked for, or one for each room where the room is in
    /// their path.
    pub(crate) fn publishers(self, scenario: &Scenario) -> usize {
        if self == Self::Nchan { scenario.streams() } else { scenario.publishers }
    }

    /// The upgrade of a client that will be a member of `room`.
    pub(crate) fn request(self, to: SocketAddr, room: usize, from: &Bookmark) -> Rc<[u8]> {
        match self {
            Self::Nchan => nchan::subscribe(to, room, &from.last_id).into(),
            _ => self.request_of_publisher(to, room),
        }
    }

    /// The upgrade of a client that publishes, in `room` if it is bound to one.
    pub(crate) fn request_of_publisher(self, to: SocketAddr, room: usize) -> Rc<[u8]> {
        let (path, subprotocol) = match self {
            Self::Roomcast => ("/ws".to_owned(), Some("roomcast.v1.json")),
            Self::Ws => ("/ws".to_owned(), None),
            Self::Socketio => (socketio::PATH.to_owned(), None),
            Self::Nchan => (nchan::publish_path(room), None),
        };
        wire::upgrade_request(&to.to_string(), &path, subprotocol).into()
    }

    /// What follows the answer to the upgrade.
    pub(crate) fn welcome(self) -> Welcome {
        match self {
            Self::Roomcast | Self::Socketio => Welcome::Greeting,
            Self::Ws => Welcome::Silent,
            Self::Nchan => Welcome::Joined,
        }
    }

    /// The frame that joins `room`, from where the bookmark lies.
    pub(crate) fn join(self, room: usize, from: &Bookmark) -> Result<Vec<u8>> {
        match self {
            Self::Roomcast => roomcast::join(room, from.position),
            Self::Ws => Ok(text_frame(&ws::join(room))),
            Self::Socketio => Ok(text_frame(&socketio::join(room))),
            // Its path joined.
            Self::Nchan => Ok(Vec::new()),
        }
    }

    /// The frame that publishes.
    pub(crate) fn publish(self, message: &Outgoing<'_>) -> Result<Vec<u8>> {
        match self {
            Self::Roomcast => roomcast::publish(message),
            Self::Ws => Ok(text_frame(&ws::publish(message))),
            Self::Socketio => Ok(text_frame(&socketio::publish(message))),
            Self::Nchan => Ok(text_frame(&message.data())),
        }
    }

    /// Reads a frame's payload.
    pub(crate) fn read(self, payload: &[u8]) -> Result<Heard<'_>> {
        match self {
            Self::Roomcast => roomcast::read(payload),
            Self::Ws => Ok(ws::read(payload)),
            Self::Socketio => Ok(socketio::read(payload)),
            Self::Nchan => Ok(nchan::read(payload)),
        }
    }
}

impl Outgoing<'_> {
    /// The data as JSON, in its size.
    fn data(&self) -> String {
        format!("\"{:x<1$}\"", self.text, self.bytes.saturating_sub(2))
    }
}

/// A text frame, as a client sends it.
pub(crate) fn text_frame(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() + 14);
    wire::push_client_frame(wire::TEXT, text.as_bytes(), &mut bytes);
    bytes
}

#[cfg(test)]
mod tests;
