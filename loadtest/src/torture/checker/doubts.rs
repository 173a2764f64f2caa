//! What looks wrong and may yet be explained: it is judged when more is known.

use std::time::Duration;

use roomcast_protocol::Seq;

use super::room::CheckedRoom;
use super::{Checker, MemberId, Rule, Violation};
use crate::torture::fault::Harm;

/// What stands in a room at some moment is told, over the slowest of several ways, within this.
const TELLING: Duration = Duration::from_secs(3);

/// A violation, unless what comes explains it.
pub(super) struct Doubt {
    room: usize,
    about: About,
    violation: Violation,
}

/// What would explain it.
#[derive(Debug, Clone, Copy)]
pub(super) enum About {
    /// A gap up to `to`, which history holds if the room ends where it is known to end. A node may
    /// know more of it than anybody was told; and where nothing was acknowledged in its life yet,
    /// its members may still be reading what that began with.
    Gap { life: usize, to: Seq },
    /// An epoch first seen at `first` came to an end that nothing known accounts for. That a replica
    /// took over by itself is heard of later than what came of it.
    Harm { harm: Harm, first: Duration },
}

impl Doubt {
    fn is_ripe(&self, rooms: &[CheckedRoom], now: Duration) -> bool {
        match self.about {
            About::Gap { life, .. } => {
                rooms[self.room].lives[life].is_acked && self.violation.at + TELLING <= now
            }
            About::Harm { .. } => false,
        }
    }
}

impl Checker {
    /// Blames a member later, unless it is explained by then.
    pub(super) fn doubt(
        &mut self,
        (rule, member): (Rule, MemberId),
        about: About,
        what: String,
        now: Duration,
    ) {
        let violation = self.seen_by(member, rule, what, now);
        self.doubts.push(Doubt { room: self.room_of(member), about, violation });
    }

    /// Judges those of which enough is known by now.
    pub(super) fn judge_ripe_doubts(&mut self, now: Duration) {
        let rooms = &self.rooms;
        let ripe = self.doubts.extract_if(.., |doubt| doubt.is_ripe(rooms, now)).collect();
        self.judge_doubts(ripe);
    }

    /// Judges those about a room of which nothing more will be known.
    pub(super) fn judge_last_doubts(&mut self, room: usize) {
        let ripe = self.doubts.extract_if(.., |doubt| doubt.room == room).collect();
        self.judge_doubts(ripe);
    }

    fn judge_doubts(&mut self, doubts: Vec<Doubt>) {
        for Doubt { room, about, violation } in doubts {
            let is_explained = match about {
                About::Gap { life, to } => to + self.retention <= self.rooms[room].lives[life].last,
                About::Harm { harm, first } => self.harms.account_for(harm, first, violation.at),
            };
            if !is_explained {
                self.record(violation);
            }
        }
    }
}
