//! Probes through Redis: a numbered message to a channel of this connection alone, which must come
//! back. Pushes of one connection are ordered, so a returned probe proves that all earlier ones
//! arrived. Pure.

use roomcast_protocol::{Epoch, RoomName, Seq};
use tokio::time::Instant;

/// Probes in a row that Redis accepted and did not push back; with one more the connection counts
/// as dead.
const MAX_LOST_PROBES: u64 = 3;
/// Suspects at a time; the sweep finds further ones in its next round.
const MAX_SUSPECTS: usize = 4096;

/// A room whose end, as a check saw it, was beyond what its feed had delivered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Suspect {
    pub(crate) room: RoomName,
    pub(crate) epoch: Epoch,
    pub(crate) seq: Seq,
}

/// The probes of one connection.
#[derive(Debug, Default)]
pub(crate) struct Probe {
    /// The last number sent.
    sent: u64,
    sent_at: Option<Instant>,
    /// Probes that Redis accepted since one last came back.
    silent: u64,
    /// Suspects, each with the first probe sent after its check.
    suspects: Vec<(u64, Suspect)>,
}

impl Probe {
    /// The number to send now.
    pub(crate) fn send(&mut self, now: Instant) -> u64 {
        self.sent += 1;
        self.sent_at = Some(now);
        self.sent
    }

    /// The first number that will be sent after this moment.
    pub(crate) fn next_number(&self) -> u64 {
        self.sent + 1
    }

    /// Redis accepted a probe.
    pub(crate) fn taken(&mut self) {
        self.silent += 1;
    }

    /// The connection is a new one. Numbers continue, so that an old probe is not taken for a new
    /// one.
    pub(crate) fn reset(&mut self) {
        *self = Self { sent: self.sent, ..Self::default() };
    }

    /// Whether too many probes did not come back.
    pub(crate) fn is_dead(&self) -> bool {
        self.silent > MAX_LOST_PROBES
    }

    /// Once the next probe comes back, the room's pushes are lost and not only late.
    pub(crate) fn suspect(&mut self, suspect: Suspect) {
        if self.suspects.len() < MAX_SUSPECTS {
            self.suspects.push((self.next_number(), suspect));
        }
    }

    /// A probe came back. Returns when it was sent, if it is the last one, and the rooms whose
    /// pushes must have arrived by now.
    pub(crate) fn returned(&mut self, number: u64) -> (Option<Instant>, Vec<Suspect>) {
        self.silent = 0;
        let sent_at = self.sent_at.take_if(|_| number == self.sent);
        let due = self.suspects.extract_if(.., |(first, _)| *first <= number);
        (sent_at, due.map(|(_, suspect)| suspect).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suspect_is_judged_by_a_probe_sent_after_it() {
        let now = Instant::now();
        let mut probe = Probe::default();
        let first = probe.send(now);
        let suspect = || Suspect { room: RoomName::parse("a").unwrap(), epoch: Epoch(1), seq: 5 };
        probe.suspect(suspect());
        let second = probe.send(now);
        assert_eq!(probe.returned(first), (None, vec![]));
        assert_eq!(probe.returned(second), (Some(now), vec![suspect()]));
        assert_eq!(probe.returned(second), (None, vec![]));
    }

    #[test]
    fn probes_that_stay_away_mean_a_dead_connection() {
        let mut probe = Probe::default();
        (0..MAX_LOST_PROBES).for_each(|_| probe.taken());
        assert!(!probe.is_dead());
        probe.taken();
        assert!(probe.is_dead());
        probe.returned(1);
        assert!(!probe.is_dead());
    }
}
