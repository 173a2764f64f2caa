//! What was published and what each member has of it. All members of an encoding get the same
//! bytes: whoever has a message first has it decoded, the others' frames are compared with it.
//! Pure; it is told of frames and moments.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use roomcast_protocol::{Message, ServerFrame};

use crate::dialect::{Dialect, text_of};

/// Violations that are kept in words.
const MAX_TOLD: usize = 10;

/// One message as it was received.
#[derive(Debug)]
struct Entry {
    payload: Box<[u8]>,
    /// The number in its text.
    number: usize,
}

/// The books of one room.
#[derive(Debug)]
pub(super) struct Ledger {
    dialect: Dialect,
    /// When each message was to go, by the number in its text.
    sent: Vec<Instant>,
    /// Delays count from this number on.
    counted_from: usize,
    /// By order of seq; the first message that anybody received is the first.
    entries: Vec<Entry>,
    first_seq: u64,
    /// What each member has: the next entry it waits for.
    next: Vec<usize>,
    /// Members that got something else than their next message; they are followed no further.
    astray: Vec<bool>,
    /// From the intended moment to the receipt, of messages that count.
    pub(super) delays: Vec<Duration>,
    /// The longest of each of these messages, in the order of sending.
    pub(super) slowest: Vec<Duration>,
    /// Members that went astray.
    pub(super) violations: usize,
    /// The first of them, in words.
    pub(super) told: Vec<String>,
}

impl Ledger {
    /// Books for so many members, without any message.
    pub(super) fn new(dialect: Dialect, members: usize) -> Self {
        Self {
            dialect,
            sent: Vec::new(),
            counted_from: 0,
            entries: Vec::new(),
            first_seq: 0,
            next: vec![0; members],
            astray: vec![false; members],
            delays: Vec::new(),
            slowest: Vec::new(),
            violations: 0,
            told: Vec::new(),
        }
    }

    /// The text that the next message begins with.
    pub(super) fn text(&self) -> String {
        format!("n{}|", self.sent.len())
    }

    /// The message with that text was to go at `intended`.
    pub(super) fn publish(&mut self, intended: Instant) {
        self.sent.push(intended);
        self.slowest.push(Duration::ZERO);
    }

    /// Delays count for messages from the next one on; those of earlier ones are dropped.
    pub(super) fn count_from_here(&mut self) {
        self.counted_from = self.sent.len();
        self.delays.clear();
        self.slowest.clear();
    }

    /// A member received one frame.
    pub(super) fn receive(&mut self, member: usize, payload: &[u8], at: Instant) {
        if self.astray[member] {
            return;
        }
        let index = self.next[member];
        if self.entries.get(index).is_none_or(|entry| *entry.payload != *payload)
            && let Err(error) = self.read(member, payload)
        {
            self.stray(member, &format!("{error:#}"));
            return;
        }
        let Some(Entry { number, .. }) = self.entries.get(index) else { return };
        if *number >= self.counted_from {
            let delay = at.saturating_duration_since(self.sent[*number]);
            self.delays.push(delay);
            let slowest = &mut self.slowest[*number - self.counted_from];
            *slowest = delay.max(*slowest);
        }
        self.next[member] += 1;
    }

    /// Reads a frame that is not the known one: the room's newest, or a mistake.
    fn read(&mut self, member: usize, payload: &[u8]) -> Result<()> {
        let index = self.next[member];
        let message = match self.dialect.decode(payload)? {
            ServerFrame::Message { message, .. } => message,
            other => bail!("received {other:?}"),
        };
        if self.entries.is_empty() {
            self.first_seq = message.seq;
        }
        let expected = self.first_seq + index as u64;
        if message.seq != expected {
            bail!("seq {} came, not {expected}", message.seq);
        }
        if index < self.entries.len() {
            bail!("seq {expected} differs from what another member has");
        }
        let number = number(&message).context("the text is not what was published")?;
        if number >= self.sent.len() {
            bail!("n{number} was never sent");
        }
        self.entries.push(Entry { payload: payload.into(), number });
        Ok(())
    }

    /// A member went wrong: why is told once, and all that it lacks from here on is missing.
    pub(super) fn stray(&mut self, member: usize, why: &str) {
        if std::mem::replace(&mut self.astray[member], true) {
            return;
        }
        self.violations += 1;
        if self.told.len() < MAX_TOLD {
            self.told.push(format!("member {member}: {why}"));
        }
    }

    /// Messages published so far.
    pub(super) fn published(&self) -> usize {
        self.sent.len()
    }

    /// Deliveries of published messages that members lack.
    pub(super) fn missing(&self) -> usize {
        self.next.iter().map(|&next| self.sent.len() - next).sum()
    }

    /// Whether every member that is not astray has all that was published.
    pub(super) fn is_settled(&self) -> bool {
        let mut places = self.next.iter().zip(&self.astray);
        places.all(|(&next, &astray)| astray || next == self.sent.len())
    }

    /// The seqs of all messages: the first, and the one after the last.
    pub(super) fn seqs(&self) -> (u64, u64) {
        (self.first_seq, self.first_seq + self.entries.len() as u64)
    }

    /// Bytes of the newest message's frame, without its head.
    pub(super) fn frame_bytes(&self) -> usize {
        self.entries.last().map_or(0, |entry| entry.payload.len())
    }
}

fn number(message: &Message) -> Option<usize> {
    let text = std::str::from_utf8(text_of(&message.data).ok()?).ok()?;
    text.strip_prefix('n')?.split_once('|')?.0.parse().ok()
}

#[cfg(test)]
mod tests;
