//! A lane's part for presence: pushes in order, and the checks that find what no push told. A check
//! follows a loss at once, and otherwise the sweep of tails.

use roomcast_metrics::{PresenceChangeKind, RepairCause};
use roomcast_protocol::RoomName;

use super::events::{LaneAction, LaneMoment, PresenceSeen};
use super::lane::LaneState;
use super::order::Need;
use super::tail_checks::ROOMS_PER_COMPARISON;
use crate::api::{FeedEvent, PresenceNews};
use crate::payload::{PresencePush, PresenceTail};

/// Rooms at a time whose presence may be behind; the sweep finds further ones in its next round.
const MAX_SUSPECTS: usize = 4096;

/// The checks that one lane has to make.
#[derive(Debug, Default)]
pub(crate) struct PresenceChecks {
    /// Rooms whose pushes may have been lost.
    due: Vec<RoomName>,
    /// Of those, the ones that Redis did not answer for: they are due with the next tick.
    again: Vec<RoomName>,
    /// Rooms that a sweep saw ahead of their pushes, each with the first probe sent after that.
    suspects: Vec<(u64, RoomName, PresenceTail)>,
}

impl LaneState {
    pub(super) fn presence_pushed(&mut self, name: &RoomName, push: PresencePush) {
        let Some(room) = self.rooms.get_mut(name) else { return };
        // Before a room is open, none of its readers knows numbers that a change could follow.
        if room.order.need() == Some(Need::Standing) {
            return;
        }
        let news = room.presence.pushed(push);
        self.tell_presence(name, news);
    }

    /// Pushes of a room may have been lost.
    pub(super) fn doubt_presence(&mut self, name: &RoomName) {
        let Some(room) = self.rooms.get_mut(name) else { return };
        if room.order.need() != Some(Need::Standing) {
            room.presence.doubt();
            self.presence_checks.due.push(name.clone());
        }
    }

    /// Checks the rooms that are due.
    pub(super) fn check_presence(&mut self) {
        let due = std::mem::take(&mut self.presence_checks.due);
        for rooms in due.chunks(ROOMS_PER_COMPARISON) {
            self.compare_presence(rooms.to_vec(), RepairCause::Resubscribe);
        }
    }

    /// Checks those of the swept rooms that have presence.
    pub(super) fn sweep_presence(&mut self, swept: &[RoomName]) {
        let is_used =
            |room: &&RoomName| self.rooms.get(*room).is_some_and(|state| state.presence.is_used());
        let rooms: Vec<_> = swept.iter().filter(is_used).cloned().collect();
        if !rooms.is_empty() {
            self.compare_presence(rooms, RepairCause::Tail);
        }
    }

    fn compare_presence(&mut self, rooms: Vec<RoomName>, cause: RepairCause) {
        self.act(LaneAction::ComparePresence { generation: self.generation, cause, rooms });
    }

    pub(super) fn presence_compared(
        &mut self,
        generation: u64,
        cause: RepairCause,
        seen: Vec<(RoomName, PresenceSeen)>,
    ) {
        if generation != self.generation {
            return;
        }
        for (name, seen) in seen {
            let Some(room) = self.rooms.get_mut(&name) else { continue };
            match seen {
                PresenceSeen::At(tail) if cause == RepairCause::Resubscribe => {
                    let news = room.presence.checked(tail);
                    self.tell_presence(&name, news);
                }
                // The pushes may only be late, so the next probe decides.
                PresenceSeen::At(tail) if room.presence.is_behind(&tail) => {
                    let suspects = &mut self.presence_checks.suspects;
                    if suspects.len() < MAX_SUSPECTS {
                        suspects.push((self.probe.next_number(), name, tail));
                    }
                }
                PresenceSeen::At(_) => {}
                PresenceSeen::Missing => {
                    let news = room.presence.vanished();
                    self.tell_presence(&name, news);
                }
                PresenceSeen::Unknown if cause == RepairCause::Resubscribe => {
                    self.presence_checks.again.push(name);
                }
                PresenceSeen::Unknown => {}
            }
        }
    }

    /// A probe of this number came back: all pushes from before it arrived.
    pub(super) fn settle_presence(&mut self, number: u64) {
        let suspects = &mut self.presence_checks.suspects;
        let due: Vec<_> = suspects.extract_if(.., |(first, ..)| *first <= number).collect();
        for (_, name, tail) in due {
            let Some(room) = self.rooms.get_mut(&name) else { continue };
            let news = room.presence.checked(tail);
            self.tell_presence(&name, news);
        }
    }

    /// A second passed.
    pub(super) fn tick_presence(&mut self, at: &LaneMoment) {
        if at.life.is_some() {
            let again = std::mem::take(&mut self.presence_checks.again);
            self.presence_checks.due.extend(again);
        }
    }

    fn tell_presence(&mut self, name: &RoomName, news: Option<PresenceNews>) {
        let (Some(room), Some(news)) = (self.rooms.get(name), news) else { return };
        if matches!(news, PresenceNews::Reset(_)) {
            self.metrics.presence_changes[PresenceChangeKind::Reset].inc();
        }
        let events = vec![FeedEvent::Presence(news)];
        self.act(LaneAction::Deliver(name.clone(), room.session, events));
    }
}
