//! What each advance of this node's lease found, for the parts that act on it: which nodes live, since
//! when a node is dead, and whether this node may write presence. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::judge::{Incarnation, LeaseTable};

/// A node whose last answered advance was sent this long ago writes no presence: others may take it
/// for dead soon. It is shorter than the shortest time to a death.
const WRITES_WITHIN: Duration = Duration::from_secs(4);

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
    /// Answered advances so far.
    pub(crate) advances: u64,
    /// Answered advances in a row since the last failure, new incarnation or other life.
    pub(crate) streak: u64,
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
        let is_other = self.incarnation != Some(incarnation) || self.life != table.life;
        self.streak = if is_other { 1 } else { self.streak + 1 };
        self.advances += 1;
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
        let table = LeaseTable { life, time: 1, leases, dead: Vec::new() };
        let mut news = LeaseNews::default();
        assert_eq!(news.writer(start), None);
        news.advanced(own, start, &table, LeaseDetails::default());
        assert_eq!((news.writer(start), news.streak), (Some(own), 1));
        assert_eq!(news.writer(start + WRITES_WITHIN), None);
        news.interrupted();
        news.advanced(own, start + WRITES_WITHIN, &table, LeaseDetails::default());
        news.advanced(own, start + WRITES_WITHIN, &table, LeaseDetails::default());
        assert_eq!((news.writer(start + WRITES_WITHIN), news.streak), (Some(own), 2));
        let table = LeaseTable { life: "b".into(), ..table };
        news.advanced(own, start, &table, LeaseDetails::default());
        assert_eq!((news.streak, news.advances), (1, 4));
    }
}
