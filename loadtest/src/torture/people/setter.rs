//! A client that sets and removes the values of a room, one after the other: each is sent again, at
//! whichever node, until it is acknowledged.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use roomcast_protocol::{
    ClientFrame, ErrorCode, Position, Publish, PublishKey, RoomName, ServerFrame, StateKey,
};

use super::ledger::{StateLedger, Wanted};
use super::{Broken, PONGS, is_overdue};
use crate::engine::Engine;
use crate::random::Random;
use crate::torture::checker::Rule;
use crate::torture::journal::Content;
use crate::torture::way::{Turn, Way};

/// Before a publish that was turned away is sent again, if the node does not say.
const RETRY: Duration = Duration::from_millis(100);
/// Between two changes.
const PACE: Duration = Duration::from_millis(40);
/// Keys of a room.
const KEYS: u64 = 40;
/// One change of so many removes a value, and one sets one that expires.
const REMOVES: u64 = 5;
const EXPIRES: u64 = 6;
/// How long such a value lasts, in ms.
const TTL: (u64, u64) = (100, 2_000);
/// Bytes of a value, in text.
const VALUE: (u64, u64) = (24, 6_000);

/// The change that has no ack yet.
#[derive(Debug)]
struct Change {
    publish: Publish,
    wanted: Wanted,
    /// When it is sent, again or for the first time; `None`: it is sent.
    due: Option<Instant>,
    pongs: u64,
}

/// One such client.
pub(super) struct StateSetter {
    pub(super) way: Way,
    number: u32,
    pub(super) room: (usize, RoomName),
    next: u32,
    begin: Instant,
    change: Option<Change>,
}

impl StateSetter {
    /// Setter `number`.
    pub(super) fn new((way, number): (Way, u32), room: (usize, RoomName)) -> Self {
        Self { way, number, room, next: 1, begin: Instant::now(), change: None }
    }

    /// Whether all of its changes are acknowledged.
    pub(super) fn is_done(&self) -> bool {
        self.change.is_none()
    }

    /// Does what is due.
    pub(super) fn tick(
        &mut self,
        (engine, random): (&mut Engine, &mut Random),
        broken: &mut Vec<Broken>,
        is_quiet: bool,
        now: (Instant, Duration),
    ) {
        if !self.way.is_live() {
            return;
        }
        if self.change.is_none() && !is_quiet && self.begin <= now.0 {
            self.begin = now.0 + PACE;
            self.change = Some(self.draw(random, now.0));
        }
        let (name, pongs) = (self.name(), self.way.pongs);
        let Some(change) = &mut self.change else { return };
        match change.due {
            Some(due) if due <= now.0 => {
                (change.due, change.pongs) = (None, pongs);
                self.way.send(engine, &ClientFrame::Publish(change.publish.clone()));
            }
            None if is_overdue(&self.way, change.pongs) => {
                let what = format!("a publish unanswered while {PONGS} pongs came");
                broken.push((Rule::Answer, name, what));
                change.pongs = u64::MAX;
            }
            _ => {}
        }
    }

    /// The connection is gone.
    pub(super) fn down(&mut self, now: Instant) {
        if let Some(change) = &mut self.change {
            change.due = Some(now);
        }
    }

    /// Takes in a frame of its link.
    pub(super) fn frame(
        &mut self,
        payload: &[u8],
        ledger: &mut StateLedger,
        now: Instant,
    ) -> Result<()> {
        let Turn::Frame(frame) = self.way.frame(payload, now)? else { return Ok(()) };
        match (frame, &mut self.change) {
            (ServerFrame::Ack { id, epoch, seq, .. }, Some(change))
                if change.publish.id == Some(id) =>
            {
                let key = change.publish.state_key.clone();
                if let Some(key) = key {
                    ledger.acked(Position { epoch, seq }, key, change.wanted);
                }
                self.change = None;
            }
            (ServerFrame::Error { code, retry_after_ms, .. }, Some(change)) => match code {
                ErrorCode::Overloaded | ErrorCode::BusUnavailable | ErrorCode::PublishUnknown => {
                    let pause = retry_after_ms.map_or(RETRY, Duration::from_millis);
                    change.due = Some(now + pause);
                }
                code => bail!("a change of a state was answered {}", code.as_str()),
            },
            (other, _) => bail!("a setter of a state got {other:?}"),
        }
        Ok(())
    }

    /// In words.
    pub(super) fn name(&self) -> String {
        format!("setter {} of {}", self.number, self.room.1)
    }

    fn draw(&mut self, random: &mut Random, now: Instant) -> Change {
        let content = Content { publisher: self.number, number: self.next };
        self.next += 1;
        let bytes = random.between(VALUE.0, VALUE.1) as usize;
        let data = self.way.encoding().payload(&content.text(), bytes);
        let key = format!("key/{}", random.below(KEYS));
        let mut publish = Publish {
            id: Some(content.number.into()),
            key: PublishKey::parse(&content.number.to_string()).ok(),
            state_key: StateKey::parse(&key).ok(),
            ..Publish::new(self.room.1.clone(), data)
        };
        let mut wanted = Wanted::Value(content);
        if random.below(REMOVES) == 0 {
            (publish.remove, wanted) = (true, Wanted::Nothing);
        } else if random.below(EXPIRES) == 0 {
            publish.ttl_ms = Some(random.between(TTL.0, TTL.1));
            wanted = Wanted::Passing;
        }
        Change { publish, wanted, due: Some(now), pongs: 0 }
    }
}
