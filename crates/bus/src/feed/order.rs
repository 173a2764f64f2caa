//! One room's inbound order: pushes, reads and checks go in; events for its readers come out,
//! ascending, and every missing message is reported as a gap. No I/O, no clock, no task.

use std::sync::Arc;

use roomcast_metrics::RepairCause;
use roomcast_protocol::{Epoch, Lineage, Message, Seq};

use crate::api::{FeedEvent, RoomPage};

/// Messages held back per room while a read is under way. The read returns further ones too.
const MAX_HELD_MESSAGES: usize = 1024;
/// Payload bytes held back per room, for the same reason.
const MAX_HELD_BYTES: usize = 1 << 20;

/// The read that the room waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// The room's position, once its subscription is confirmed.
    Standing,
    /// The messages after this seq.
    After(Seq, RepairCause),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// `Opened` was not delivered yet.
    Opening,
    /// Everything up to `delivered` was delivered; the next push must continue there.
    Live,
    /// A message after `delivered` is missing: nothing later is delivered before a read.
    Behind(RepairCause),
}

/// The order of one room.
#[derive(Debug)]
pub struct Order {
    phase: Phase,
    /// Has no meaning before `Opened`.
    lineage: Lineage,
    /// The last seq that was delivered, as a message or within a gap.
    delivered: Seq,
    /// Pushes that wait for a read, in the order of their arrival.
    held: Vec<(Epoch, Arc<Message>)>,
    held_bytes: usize,
    /// The room's last seq in the current epoch, as a check saw it; 0 if nothing is outstanding.
    promised: Seq,
    /// Pushes may have been lost after the read was asked for: one more read is needed.
    again: Option<RepairCause>,
}

impl Order {
    /// The order of a room about to be opened.
    #[expect(clippy::new_without_default, reason = "public for the simulation only")]
    pub fn new() -> Self {
        Self {
            phase: Phase::Opening,
            lineage: Lineage::new(Epoch(0)),
            delivered: 0,
            held: Vec::new(),
            held_bytes: 0,
            promised: 0,
            again: None,
        }
    }

    /// Whether `Opened` was delivered.
    pub fn is_open(&self) -> bool {
        self.phase != Phase::Opening
    }

    /// The read this room waits for, if any. One at a time; its answer comes to `read`.
    pub fn need(&self) -> Option<Need> {
        match self.phase {
            Phase::Opening => Some(Need::Standing),
            Phase::Live => None,
            Phase::Behind(cause) => Some(Need::After(self.delivered, cause)),
        }
    }

    /// Takes a push.
    pub fn pushed(&mut self, epoch: Epoch, messages: Vec<Arc<Message>>, out: &mut Vec<FeedEvent>) {
        for message in messages {
            self.advance(epoch, message, out);
        }
    }

    /// How many of these messages are known already.
    pub fn known(&self, epoch: Epoch, messages: &[Arc<Message>]) -> u64 {
        if epoch != self.lineage.epoch || self.phase == Phase::Opening {
            return 0;
        }
        messages.iter().filter(|message| message.seq <= self.delivered).count() as u64
    }

    /// Pushes were lost; which ones is unknown.
    pub fn lost(&mut self, cause: RepairCause) {
        match self.phase {
            Phase::Live => self.phase = Phase::Behind(cause),
            Phase::Opening | Phase::Behind(_) => self.again = Some(cause),
        }
    }

    /// A check saw this position, and every push before the check has arrived.
    pub fn checked(&mut self, epoch: Epoch, seq: Seq, cause: RepairCause) {
        if self.phase == Phase::Opening {
            return;
        }
        if epoch != self.lineage.epoch {
            if self.lineage.base_of(epoch).is_none() {
                self.lost(RepairCause::Epoch);
            }
        } else if seq > self.delivered {
            self.promised = self.promised.max(seq);
            if self.phase == Phase::Live {
                self.phase = Phase::Behind(cause);
            }
        }
    }

    /// Whether a check that saw this position shows that messages may be missing.
    pub fn is_behind(&self, epoch: Epoch, seq: Seq) -> bool {
        self.phase == Phase::Live && (epoch != self.lineage.epoch || seq > self.delivered)
    }

    /// The answer to what `need` asked for.
    pub fn read(&mut self, page: RoomPage, out: &mut Vec<FeedEvent>) {
        match self.phase {
            Phase::Live => return,
            Phase::Opening => {
                self.delivered = page.last;
                self.lineage = page.lineage;
                let lineage = self.lineage.clone();
                out.push(FeedEvent::Opened { lineage, last: self.delivered });
                self.settle(out);
                return;
            }
            Phase::Behind(_) => {}
        }
        // The last seq of an epoch may be lower than before: Redis restored older data and kept its
        // life.
        let kept = self.delivered.min(page.lineage.shared_with(&self.lineage)).min(page.last);
        let lost = self.delivered - kept;
        if lost > 0 || page.lineage.epoch != self.lineage.epoch {
            self.lineage = page.lineage.clone().after(&self.lineage);
            self.delivered = kept;
            self.promised = 0;
            out.push(FeedEvent::Reset { lineage: self.lineage.clone(), last: kept, lost });
        }
        if lost > 0 && page.last > kept {
            // The page begins after what was lost: read again from where the epochs part.
            self.phase = Phase::Behind(RepairCause::Epoch);
            return;
        }
        self.deliver(page, out);
    }

    fn deliver(&mut self, page: RoomPage, out: &mut Vec<FeedEvent>) {
        for message in page.messages {
            if message.seq > self.delivered {
                self.skip_to(message.seq - 1, out);
                self.deliver_one(message, out);
            }
        }
        if !page.more {
            self.skip_to(page.last, out);
            self.settle(out);
        }
    }

    /// The stream does not have the messages up to `seq` that were not delivered.
    fn skip_to(&mut self, seq: Seq, out: &mut Vec<FeedEvent>) {
        if seq > self.delivered {
            out.push(FeedEvent::Gap { from: self.delivered + 1, to: seq });
            self.delivered = seq;
        }
    }

    fn deliver_one(&mut self, message: Arc<Message>, out: &mut Vec<FeedEvent>) {
        self.delivered = message.seq;
        match out.last_mut() {
            Some(FeedEvent::Messages(messages)) => messages.push(message),
            _ => out.push(FeedEvent::Messages(vec![message])),
        }
    }

    /// Takes one pushed message, in any phase.
    fn advance(&mut self, epoch: Epoch, message: Arc<Message>, out: &mut Vec<FeedEvent>) {
        if self.phase != Phase::Live {
            self.hold(epoch, message);
        } else if epoch != self.lineage.epoch {
            // A push of an ancestor is late and its message is known. A push of an unrelated epoch
            // means that the room has a new one.
            if self.lineage.base_of(epoch).is_none() {
                self.phase = Phase::Behind(RepairCause::Epoch);
                self.hold(epoch, message);
            }
        } else if message.seq == self.delivered + 1 {
            self.deliver_one(message, out);
        } else if message.seq > self.delivered {
            self.phase = Phase::Behind(RepairCause::Hole);
            self.hold(epoch, message);
        }
    }

    fn hold(&mut self, epoch: Epoch, message: Arc<Message>) {
        let bytes = self.held_bytes + message.data.len();
        if self.held.len() >= MAX_HELD_MESSAGES || (bytes > MAX_HELD_BYTES && !self.held.is_empty())
        {
            self.again = Some(RepairCause::Overflow);
            return;
        }
        self.held_bytes = bytes;
        self.held.push((epoch, message));
    }

    /// A read is complete: delivers what was held back meanwhile, unless that shows that more is
    /// missing.
    fn settle(&mut self, out: &mut Vec<FeedEvent>) {
        self.phase = Phase::Live;
        self.held_bytes = 0;
        let mut held = std::mem::take(&mut self.held);
        let lineage = &self.lineage;
        let stranger =
            held.iter().any(|&(e, _)| e != lineage.epoch && lineage.base_of(e).is_none());
        held.retain(|&(epoch, _)| epoch == lineage.epoch);
        held.sort_by_key(|(_, message)| message.seq);
        for (epoch, message) in held {
            self.advance(epoch, message, out);
        }
        if self.promised <= self.delivered {
            self.promised = 0;
        } else if self.phase == Phase::Live {
            self.phase = Phase::Behind(RepairCause::Tail);
        }
        // A push of an unrelated epoch is older or newer than the read. One more read decides
        // which.
        let again = self.again.take().or(stranger.then_some(RepairCause::Epoch));
        if let (Some(cause), Phase::Live) = (again, self.phase) {
            self.phase = Phase::Behind(cause);
        }
    }
}

#[cfg(test)]
mod tests;
