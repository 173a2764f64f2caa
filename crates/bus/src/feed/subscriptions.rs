//! Which rooms a subscribe connection should have and which it has: desired against confirmed.
//! Pure. A room's commands are counted, so that only the last one's confirmation counts.

use std::cmp::Reverse;
use std::collections::VecDeque;

use hashbrown::HashMap;
use roomcast_protocol::RoomName;
use tokio::time::Instant;

/// Rooms per command: enough to resubscribe quickly, few enough that answers to other commands are
/// not delayed.
const ROOMS_PER_COMMAND: usize = 256;

/// What a confirmation means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Confirmation {
    /// Pushes of the room arrive from now on.
    Comes,
    /// The server ended the subscription by itself, for example because the slot moves away. It
    /// must be made again.
    Ended,
    /// Nothing: a later command or event has replaced it.
    Nothing,
}

/// What a command or its confirmation is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubscriptionChange {
    /// Pushes of the room begin.
    Subscribe,
    /// Pushes of the room end.
    Unsubscribe,
}

#[derive(Debug)]
struct Entry {
    /// Since when it is wanted and not confirmed: the time of `want`, or of the loss.
    since: Instant,
    wanted: bool,
    confirmed: bool,
    /// The last command sent on this connection.
    sent: Option<SubscriptionChange>,
    /// Commands sent and not confirmed.
    outstanding: u32,
}

/// The subscriptions of one connection.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    rooms: HashMap<RoomName, Entry>,
    /// Rooms that were wanted or dropped since the last commands.
    changed: VecDeque<RoomName>,
    wanted: usize,
    confirmed: usize,
}

impl Subscriptions {
    /// How many subscriptions are wanted, and how many of these are confirmed.
    pub(crate) fn count(&self) -> (usize, usize) {
        (self.wanted, self.confirmed)
    }

    /// Since when the longest waiting subscription is wanted without being confirmed.
    pub(crate) fn waiting_since(&self) -> Option<Instant> {
        if self.wanted == self.confirmed {
            return None;
        }
        self.rooms.values().filter(|e| e.wanted && !e.confirmed).map(|e| e.since).min()
    }

    /// Whether pushes of the room arrive.
    pub(crate) fn is_confirmed(&self, room: &RoomName) -> bool {
        self.rooms.get(room).is_some_and(|entry| entry.confirmed)
    }

    /// Wants a room from now on. True if its pushes arrive already, because the unsubscription of
    /// an earlier `drop_wish` was not sent yet.
    pub(crate) fn want(&mut self, room: &RoomName, now: Instant) -> bool {
        let entry = self.rooms.entry_ref(room).or_insert_with(|| Entry {
            since: now,
            wanted: false,
            confirmed: false,
            sent: None,
            outstanding: 0,
        });
        if entry.wanted {
            return entry.confirmed;
        }
        entry.wanted = true;
        entry.since = now;
        entry.confirmed =
            entry.sent == Some(SubscriptionChange::Subscribe) && entry.outstanding == 0;
        self.wanted += 1;
        self.confirmed += usize::from(entry.confirmed);
        self.changed.push_back(room.clone());
        entry.confirmed
    }

    /// No longer wants a room.
    pub(crate) fn drop_wish(&mut self, room: &RoomName) {
        let Some(entry) = self.rooms.get_mut(room).filter(|entry| entry.wanted) else { return };
        entry.wanted = false;
        self.wanted -= 1;
        if entry.confirmed {
            entry.confirmed = false;
            self.confirmed -= 1;
        }
        self.changed.push_back(room.clone());
    }

    /// The next command to send; `None` once all are sent.
    pub(crate) fn next_command(&mut self) -> Option<(SubscriptionChange, Vec<RoomName>)> {
        let mut command: Option<(SubscriptionChange, Vec<RoomName>)> = None;
        while let Some(room) = self.changed.front() {
            let change = match self.rooms.get(room) {
                Some(e) if e.wanted && e.sent != Some(SubscriptionChange::Subscribe) => {
                    SubscriptionChange::Subscribe
                }
                Some(e) if !e.wanted && e.sent == Some(SubscriptionChange::Subscribe) => {
                    SubscriptionChange::Unsubscribe
                }
                _ => {
                    let room = self.changed.pop_front();
                    room.into_iter().for_each(|room| self.forget(&room));
                    continue;
                }
            };
            let (kind, rooms) = command.get_or_insert_with(|| (change, Vec::new()));
            if *kind != change || rooms.len() >= ROOMS_PER_COMMAND {
                break;
            }
            rooms.push(room.clone());
            let entry = self.rooms.get_mut(room).expect("it was matched above");
            entry.sent = Some(change);
            entry.outstanding += 1;
            self.changed.pop_front();
        }
        command
    }

    /// Takes a confirmation.
    pub(crate) fn confirm(
        &mut self,
        room: &RoomName,
        change: SubscriptionChange,
        now: Instant,
    ) -> Confirmation {
        let Some(entry) = self.rooms.get_mut(room) else { return Confirmation::Nothing };
        if change == SubscriptionChange::Unsubscribe
            && entry.sent == Some(SubscriptionChange::Subscribe)
            && entry.outstanding == 0
        {
            // The server sent it without a command.
            entry.sent = None;
            if !entry.wanted {
                self.forget(room);
                return Confirmation::Nothing;
            }
            self.confirmed -= usize::from(entry.confirmed);
            (entry.confirmed, entry.since) = (false, now);
            self.changed.push_back(room.clone());
            return Confirmation::Ended;
        }
        entry.outstanding = entry.outstanding.saturating_sub(1);
        if entry.outstanding > 0 || entry.sent != Some(change) {
            return Confirmation::Nothing;
        }
        if entry.wanted && change == SubscriptionChange::Subscribe && !entry.confirmed {
            entry.confirmed = true;
            self.confirmed += 1;
            return Confirmation::Comes;
        }
        self.forget(room);
        Confirmation::Nothing
    }

    /// A command was refused for some of its rooms, and all its answers have arrived: rooms that
    /// are not confirmed are subscribed again.
    pub(crate) fn again(&mut self, rooms: &[RoomName]) {
        for room in rooms {
            let Some(entry) = self.rooms.get_mut(room) else { continue };
            if entry.confirmed || entry.outstanding == 0 {
                continue;
            }
            (entry.sent, entry.outstanding) = (None, 0);
            self.changed.push_back(room.clone());
        }
    }

    /// Whether the room is wanted or a command of it is under way.
    pub(crate) fn knows(&self, room: &RoomName) -> bool {
        self.rooms.contains_key(room)
    }

    /// The connection is lost with all its subscriptions: everything wanted is sent again, the most
    /// active rooms first.
    pub(crate) fn reset(&mut self, now: Instant, active: impl Fn(&RoomName) -> Option<Instant>) {
        self.rooms.retain(|_, entry| entry.wanted);
        for entry in self.rooms.values_mut() {
            if entry.confirmed {
                entry.since = now;
            }
            (entry.confirmed, entry.sent, entry.outstanding) = (false, None, 0);
        }
        self.confirmed = 0;
        let mut rooms: Vec<_> = self.rooms.keys().cloned().collect();
        // By name among equally active rooms, so that the same events always lead to the same
        // commands.
        rooms.sort_by_cached_key(|room| (Reverse(active(room)), room.clone()));
        self.changed = rooms.into();
    }

    /// Removes a room that is neither wanted nor part of a command under way.
    fn forget(&mut self, room: &RoomName) {
        let idle = |e: &Entry| {
            !e.wanted && e.outstanding == 0 && e.sent != Some(SubscriptionChange::Subscribe)
        };
        if self.rooms.get(room).is_some_and(idle) {
            self.rooms.remove(room);
        }
    }
}

#[cfg(test)]
mod tests;
