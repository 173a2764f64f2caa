//! A publisher: each of its messages has a key and is sent again, at whichever node, until it is
//! acknowledged.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use roomcast_protocol::{
    ClientFrame, ErrorCode, Position, Publish, PublishKey, RoomName, ServerFrame,
};

use super::checker::{Checker, Rule};
use super::journal::Content;
use super::way::{Turn, Way};
use crate::engine::Engine;

/// Messages without ack, at most: what a node takes from one connection.
const WINDOW: usize = 64;
/// A live node answers a publish within so many of its pongs, one a second.
const PATIENCE: u64 = 12;
/// Before a message is sent again, if the node does not say.
const PAUSE: Duration = Duration::from_millis(100);

/// One publisher of one room.
pub(super) struct Publisher {
    pub(super) way: Way,
    pub(super) room: usize,
    name: RoomName,
    pub(super) number: u32,
    payload: usize,
    /// Its next new message.
    pub(super) next: u32,
    unacked: BTreeMap<u32, Standing>,
    /// Messages to send again, or that failed for a while.
    pub(super) retries: u64,
    outgoing: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    ToSend {
        from: Instant,
    },
    /// Sent when so many pongs had come.
    Sent {
        pongs: u64,
    },
}

impl Publisher {
    /// Publisher `number`, of messages with so many bytes of data.
    pub(super) fn new(way: Way, room: (usize, RoomName), number: u32, payload: usize) -> Self {
        let (room, name) = room;
        let (unacked, outgoing) = (BTreeMap::new(), Vec::new());
        Self { way, room, name, number, payload, next: 0, unacked, retries: 0, outgoing }
    }

    /// Whether everything was acknowledged.
    pub(super) fn is_done(&self) -> bool {
        self.unacked.is_empty()
    }

    /// Begins a new message if it may; `flush` sends it.
    pub(super) fn begin(&mut self) -> bool {
        if !self.way.is_live() || self.unacked.len() >= WINDOW {
            return false;
        }
        let number = self.next;
        self.next += 1;
        self.send(number);
        true
    }

    /// Sends again what is due, and everything that was begun.
    pub(super) fn flush(
        &mut self,
        engine: &mut Engine,
        checker: &mut Checker,
        now: (Instant, Duration),
    ) {
        if !self.way.is_live() {
            return;
        }
        let mut due = Vec::new();
        for (&number, standing) in &mut self.unacked {
            match *standing {
                Standing::ToSend { from } if from <= now.0 => due.push(number),
                Standing::Sent { pongs } if self.way.pongs > pongs.saturating_add(PATIENCE) => {
                    let what = format!("a publish unanswered while {PATIENCE} pongs came");
                    let who = format!("publisher {}, message {number}", self.number);
                    checker.fail(Rule::Answer, Some(self.room), (who, what), now.1);
                    *standing = Standing::Sent { pongs: u64::MAX };
                }
                _ => {}
            }
        }
        self.retries += due.len() as u64;
        for number in due {
            self.send(number);
        }
        if !self.outgoing.is_empty() {
            self.way.send_bytes(engine, &self.outgoing);
            self.outgoing.clear();
        }
    }

    /// The connection is gone: whatever has no ack is sent again at the next.
    pub(super) fn down(&mut self, now: Instant) {
        self.outgoing.clear();
        for standing in self.unacked.values_mut() {
            *standing = Standing::ToSend { from: now };
        }
    }

    /// Takes in a frame of its link; true if it was an ack.
    pub(super) fn frame(
        &mut self,
        payload: &[u8],
        checker: &mut Checker,
        now: (Instant, Duration),
    ) -> Result<bool> {
        let frame = match self.way.frame(payload, now.0)? {
            Turn::Frame(frame) => frame,
            _ => return Ok(false),
        };
        match frame {
            ServerFrame::Ack { id, epoch, seq, .. } => {
                let number = (id - 1) as u32;
                if self.unacked.remove(&number).is_none() {
                    bail!("an ack for message {number}, which has none to come");
                }
                let content = Content { publisher: self.number, number };
                checker.acked(self.room, content, Position { epoch, seq }, now.1);
                Ok(true)
            }
            ServerFrame::Error { id: Some(id), code, retry_after_ms, .. } => {
                let pause = retry_after_ms.map_or(PAUSE, Duration::from_millis);
                match (code, self.unacked.get_mut(&((id - 1) as u32))) {
                    (
                        ErrorCode::Overloaded
                        | ErrorCode::BusUnavailable
                        | ErrorCode::PublishUnknown,
                        Some(standing),
                    ) => *standing = Standing::ToSend { from: now.0 + pause },
                    (code, _) => bail!("a publish was answered {}", code.as_str()),
                }
                Ok(false)
            }
            other => bail!("a publisher got {other:?}"),
        }
    }

    fn send(&mut self, number: u32) {
        let content = Content { publisher: self.number, number };
        let data = self.way.encoding().payload(&content.text(), self.payload);
        let key = PublishKey::parse(&format!("{number}")).expect("digits are a key");
        let publish = Publish {
            id: Some(u64::from(number) + 1),
            key: Some(key),
            ..Publish::new(self.name.clone(), data)
        };
        self.outgoing.extend(self.way.bytes_of(&ClientFrame::Publish(publish)));
        self.unacked.insert(number, Standing::Sent { pongs: self.way.pongs });
    }
}
