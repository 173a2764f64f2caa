//! What clients hear, and what they send.

use std::time::Instant;

use anyhow::{Result, bail};
use roomcast_protocol::RequestId;

use super::super::agenda::Task;
use super::super::line::Stage;
use super::super::peer::{Heard, text_frame};
use super::{Load, Role};

impl Load {
    /// A client received a frame.
    pub(super) fn heard(&mut self, client: usize, payload: &[u8], at: Instant) -> Result<()> {
        let heard = self.press.peer.read(payload)?;
        match heard {
            Heard::Greeted { by } => {
                self.note_node(by);
                if self.clients[client].line.stage == Stage::Greeting {
                    self.greeted(client)?;
                }
            }
            Heard::Joined { at: position, recovered } => {
                if let (Role::Member(member), Some(position)) =
                    (&mut self.clients[client].role, position)
                {
                    member.account.joined(position, recovered);
                }
                self.live(client, at)?;
            }
            Heard::Answer(text) => self.write(client, &text_frame(std::str::from_utf8(text)?)),
            Heard::Acked(id) => {
                if let Role::Publisher(publisher) = &mut self.clients[client].role {
                    publisher.acked(id);
                }
            }
            Heard::Refused { id, pause } => match (&self.clients[client].role, id) {
                (Role::Publisher(_), Some(id)) => {
                    self.agenda.at(at + pause, Task::Repeat(client, id));
                }
                // A join that was turned away: the try is given up, and another follows.
                (Role::Member(_), _) => {
                    let tries = self.clients[client].line.tries;
                    self.agenda.at(at + pause, Task::GiveUp(client, tries));
                }
                (Role::Publisher(_), None) => bail!("a publish was refused that nobody can name"),
            },
            Heard::Move(pause) => self.agenda.at(at + pause, Task::Leave(client)),
            Heard::Message { .. } | Heard::Gap { .. } | Heard::Reset { .. } => {
                self.received(client, &heard, at);
            }
            Heard::Nothing => {}
        }
        Ok(())
    }

    fn received(&mut self, client: usize, heard: &Heard<'_>, at: Instant) {
        let rooms = self.press.rooms;
        let Role::Member(member) = &mut self.clients[client].role else { return };
        let now = self.clock.nanos(at);
        let Some(receipt) = member.hear(heard, now, rooms) else { return };
        self.last_receipt = at;
        self.counts.received += 1;
        self.outages.extend(receipt.outage);
        if (self.count_from..self.count_until).contains(&now) {
            self.counted += 1;
        }
        if receipt.intended >= self.count_from && !member.slow {
            self.delays.record(now.saturating_sub(receipt.intended));
        }
    }

    /// Sends a message that waits, if its publisher is live.
    pub(super) fn send(&mut self, client: usize, id: RequestId) -> Result<()> {
        let entry = &mut self.clients[client];
        let Role::Publisher(publisher) = &mut entry.role else { return Ok(()) };
        if entry.line.stage != Stage::Live {
            return Ok(());
        }
        if let Some(frame) = publisher.frame(id, &self.press)? {
            self.write(client, &frame);
        }
        Ok(())
    }

    /// Writes to a client's link. One that takes it no more is about to be told as ended.
    pub(super) fn write(&mut self, client: usize, bytes: &[u8]) {
        if let Some(link) = self.clients[client].line.link {
            let _ = self.engine.send(link, bytes);
        }
    }
}
