//! What each advance of this node's lease found, for the parts that act on it: which nodes live, since
//! when a node is dead, and whether this node may write presence. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::judge::{COUNTED_STEP_MS, Incarnation, LeaseTable};

/// A node whose last answered advance was sent this long ago writes no presence: others may take it
/// for dead soon. It is shorter than the shortest time to a death.
const WRITES_WITHIN: Duration = Duration::from_secs(4);
/// How old the number of all connections may be.
const ONLINE_WITHIN: Duration = Duration::from_secs(5);

/// What an advance returned beside the table that is judged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LeaseDetails {
    /// Connections of all nodes with a lease.
    pub(crate) connections: u64,
    /// Of each incarnation that is marked dead: when it last advanced, in ms of Redis's clock.
    pub(crate) last_advances: BTreeMap<Incarnation, u64>,
}

/// The state after the last advance.
#[derive(Debug, Clone, Default)]
pub(crate) struct LeaseNews {
    /// The incarnation that was advanced; `None` before the first answer.
    pub(crate) incarnation: Option<Incarnation>,
    /// Counted advances so far: those that came at least `COUNTED_STEP_MS` after the last counted
    /// one, so that their number is time.
    pub(crate) advances: u64,
    /// Counted advances in a row since the last failure, new incarnation or other life.
    pub(crate) streak: u64,
    /// Redis's clock at the last counted advance, in ms.
    counted_at: Option<u64>,
    /// When the last answered advance was sent.
    sent: Option<Instant>,
    /// The life of the data that was read.
    life: Arc<str>,
    /// All incarnations with a lease.
    pub(crate) live: Arc<BTreeSet<Incarnation>>,
    /// Connections of them, and the dead ones.
    pub(crate) details: Arc<LeaseDetails>,
}

impl LeaseNews {
    /// An advance that was sent at this time was answered.
    pub(super) fn advanced(
        &mut self,
        incarnation: Incarnation,
        sent: Instant,
        table: &LeaseTable,
        details: LeaseDetails,
    ) {
        // A clock that was set back is another server's, or shows no elapsed time.
        let is_back = self.counted_at.is_some_and(|at| table.time < at);
        let is_other = self.incarnation != Some(incarnation) || self.life != table.life || is_back;
        let is_counted =
            is_back || self.counted_at.is_none_or(|at| table.time - at >= COUNTED_STEP_MS);
        if is_counted {
            self.counted_at = Some(table.time);
            self.advances += 1;
        }
        self.streak = match self.streak {
            0 => 1,
            _ if is_other => 1,
            streak => streak + u64::from(is_counted),
        };
        self.incarnation = Some(incarnation);
        self.sent = Some(sent);
        self.life = table.life.clone();
        let live = table.leases.iter().map(|lease| lease.incarnation).collect();
        if *self.live != live {
            self.live = Arc::new(live);
        }
        self.details = Arc::new(details);
    }

    /// An advance was refused or got no answer.
    pub(super) fn interrupted(&mut self) {
        self.streak = 0;
    }

    /// Connections of all nodes; `None` if what is known of them is too old.
    pub(crate) fn online(&self, now: Instant) -> Option<u64> {
        let sent = self.sent?;
        (now.duration_since(sent) <= ONLINE_WITHIN).then_some(self.details.connections)
    }

    /// The incarnation under which presence may be written now.
    pub(crate) fn writer(&self, now: Instant) -> Option<Incarnation> {
        let is_fresh = self.sent.is_some_and(|sent| now.duration_since(sent) < WRITES_WITHIN);
        self.incarnation.filter(|own| is_fresh && self.live.contains(own))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leases::Lease;

    #[test]
    fn a_node_writes_while_its_lease_is_fresh() {
        let (own, start) = (Incarnation(1), Instant::now());
        let lease = Lease { incarnation: own, counter: 1 };
        let (life, leases) = ("a".into(), vec![lease]);
        let table = LeaseTable { life, time: 1_000, leases, dead: Vec::new() };
        let later = |seconds: u64| LeaseTable { time: 1_000 * (1 + seconds), ..table.clone() };
        let mut news = LeaseNews::default();
        assert_eq!(news.writer(start), None);
        news.advanced(own, start, &table, LeaseDetails::default());
        assert_eq!((news.writer(start), news.streak), (Some(own), 1));
        assert_eq!(news.writer(start + WRITES_WITHIN), None);
        news.interrupted();
        news.advanced(own, start + WRITES_WITHIN, &later(1), LeaseDetails::default());
        news.advanced(own, start + WRITES_WITHIN, &later(2), LeaseDetails::default());
        assert_eq!((news.writer(start + WRITES_WITHIN), news.streak), (Some(own), 2));
        let other = LeaseTable { life: "b".into(), ..later(3) };
        news.advanced(own, start, &other, LeaseDetails::default());
        assert_eq!((news.streak, news.advances), (1, 4));
    }

    #[test]
    fn the_number_of_connections_is_not_kept_for_long() {
        let (own, start) = (Incarnation(1), Instant::now());
        let table = LeaseTable { life: "a".into(), time: 1, leases: Vec::new(), dead: Vec::new() };
        let mut news = LeaseNews::default();
        assert_eq!(news.online(start), None);
        let details = LeaseDetails { connections: 7, ..LeaseDetails::default() };
        news.advanced(own, start, &table, details);
        // A failure between does not make it older than it is.
        news.interrupted();
        assert_eq!(news.online(start + ONLINE_WITHIN), Some(7));
        assert_eq!(news.online(start + ONLINE_WITHIN + Duration::from_millis(1)), None);
    }

    #[test]
    fn advances_at_the_speed_of_answers_are_no_time() {
        let (own, start) = (Incarnation(1), Instant::now());
        let table = |time, life: &str| LeaseTable {
            life: life.into(),
            time,
            leases: vec![Lease { incarnation: own, counter: 1 }],
            dead: Vec::new(),
        };
        let mut news = LeaseNews::default();
        for time in 5_000..5_300 {
            news.advanced(own, start, &table(time, "a"), LeaseDetails::default());
        }
        assert_eq!((news.streak, news.advances), (1, 1));
        // Nor do failures and other lives between them make them count.
        for time in 5_300..5_600 {
            news.interrupted();
            let life = ["a", "b"][time as usize % 2];
            news.advanced(own, start, &table(time, life), LeaseDetails::default());
        }
        assert_eq!((news.streak, news.advances), (1, 1));
        news.advanced(own, start, &table(5_900, "b"), LeaseDetails::default());
        assert_eq!((news.streak, news.advances), (2, 2));
        // A clock that is set back counts, and begins the row again.
        news.advanced(own, start, &table(100, "b"), LeaseDetails::default());
        news.advanced(own, start, &table(1_000, "b"), LeaseDetails::default());
        assert_eq!((news.streak, news.advances), (2, 4));
    }
}
