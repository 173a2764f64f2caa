//! Which incarnations are alive: a pure judge of the leases that each advance returns. An
//! incarnation is one life of a node process in the cluster; it shows that it is alive by advancing
//! its counter. Only the judge's own advances count time, so a Redis that does not answer, refuses
//! writes or fails over makes no incarnation dead.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The judge's own advances in a row that must see a counter unchanged. With one advance a second
/// a node that stopped is dead after about five seconds, and one that paused for three is not.
pub(super) const DEAD_ADVANCES: u8 = 5;
/// An advance less than this after the last counted one is not counted, in ms of Redis's clock:
/// answers that were delayed and arrive together must not count as time.
pub(super) const COUNTED_STEP_MS: u64 = 900;

/// One life of a node process in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u64);

impl Incarnation {
    /// Reads what [`fmt::Display`] writes.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is_hex = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
        u64::from_str_radix(text, 16).ok().filter(|_| is_hex).map(Self)
    }
}

/// Sixteen hexadecimal digits.
impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// One incarnation's lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The incarnation it belongs to.
    pub incarnation: Incarnation,
    /// Advances so far.
    pub counter: u64,
}

/// What one advance returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseTable {
    /// The life of the data that was read: its server's replication id.
    pub life: Arc<str>,
    /// Redis's clock, in ms.
    pub time: u64,
    /// All leases, the caller's among them.
    pub leases: Vec<Lease>,
    /// Incarnations that are marked dead.
    pub dead: Vec<Incarnation>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    counter: u64,
    /// Counted advances that saw this counter again.
    unchanged: u8,
}

/// Judges all incarnations but its own.
#[derive(Debug, Default)]
pub struct LeaseJudge {
    seen: BTreeMap<Incarnation, Seen>,
    /// Redis's clock at the last counted advance.
    counted_at: Option<u64>,
    /// The life of the data that the count is about.
    life: Option<Arc<str>>,
}

impl LeaseJudge {
    /// An advance of `own` was answered. Returns the leases of the incarnations that are dead: each
    /// must be marked under the counter seen here, and is not dead before that succeeded.
    pub fn advanced(&mut self, own: Incarnation, table: &LeaseTable) -> Vec<Lease> {
        let is_other = self.life.as_ref().is_some_and(|life| *life != table.life);
        // Another server may not have the last advances, so a counter that was set back looks
        // unchanged. Another clock, or one that was set back, shows no elapsed time.
        if is_other || self.counted_at.is_some_and(|at| table.time < at) {
            self.interrupted();
        }
        self.life = Some(table.life.clone());
        let is_counted = self.counted_at.is_none_or(|at| table.time - at >= COUNTED_STEP_MS);
        if is_counted {
            self.counted_at = Some(table.time);
        }
        let others = || table.leases.iter().filter(|lease| lease.incarnation != own);
        let known = std::mem::take(&mut self.seen);
        self.seen = others()
            .map(|lease| {
                let seen = match known.get(&lease.incarnation) {
                    Some(seen) if seen.counter == lease.counter => Seen {
                        unchanged: seen.unchanged.saturating_add(is_counted.into()),
                        ..*seen
                    },
                    _ => Seen { counter: lease.counter, unchanged: 0 },
                };
                (lease.incarnation, seen)
            })
            .collect();
        let is_dead = |lease: &&Lease| self.seen[&lease.incarnation].unchanged >= DEAD_ADVANCES;
        others().filter(is_dead).copied().collect()
    }

    /// An advance was refused or got no answer: the count of all others starts again.
    pub fn interrupted(&mut self) {
        self.seen.clear();
        self.counted_at = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Incarnation = Incarnation(1);

    fn table(time: u64, counters: &[(u64, u64)]) -> LeaseTable {
        let lease = |&(incarnation, counter): &(u64, u64)| Lease {
            incarnation: Incarnation(incarnation),
            counter,
        };
        let leases = counters.iter().map(lease).collect();
        LeaseTable { life: "a".into(), time, leases, dead: Vec::new() }
    }

    /// The advance, from 0, at which incarnation 2 is judged dead, if it is within twenty.
    fn dies_at(mut advance: impl FnMut(u64, &mut LeaseJudge) -> Option<LeaseTable>) -> Option<u64> {
        let mut judge = LeaseJudge::default();
        (0..20).find(|&n| match advance(n, &mut judge) {
            Some(table) => !judge.advanced(OWN, &table).is_empty(),
            None => {
                judge.interrupted();
                false
            }
        })
    }

    #[test]
    fn five_advances_that_see_no_change_mean_death() {
        assert_eq!(dies_at(|n, _| Some(table(n * 1_000, &[(1, n), (2, 7)]))), Some(5));
        assert_eq!(dies_at(|n, _| Some(table(n * 1_000, &[(1, n), (2, 7 + n / 5)]))), None);
        // The judge's own lease may stay unchanged.
        assert_eq!(dies_at(|n, _| Some(table(n * 1_000, &[(1, 3)]))), None);
    }

    #[test]
    fn advances_that_come_together_are_one() {
        assert_eq!(dies_at(|n, _| Some(table(n * 450, &[(1, n), (2, 7)]))), Some(10));
        assert_eq!(dies_at(|n, _| Some(table(n * 40, &[(1, n), (2, 7)]))), None);
    }

    #[test]
    fn what_is_refused_or_lost_starts_the_count_again() {
        let refused = |every: u64| {
            move |n: u64, _: &mut LeaseJudge| {
                (n % every != every - 1).then(|| table(n * 1_000, &[(1, n), (2, 7)]))
            }
        };
        assert_eq!(dies_at(refused(5)), None);
        assert_eq!(dies_at(refused(6)), None);
        assert_eq!(dies_at(refused(7)), Some(5));
    }

    #[test]
    fn a_clock_that_goes_back_kills_nobody() {
        let clocks = [90_000u64, 91_000, 92_000, 93_000, 94_000, 10, 1_010, 2_010, 3_010, 4_010];
        let at = |n: u64, _: &mut LeaseJudge| {
            let time = clocks.get(n as usize).copied().unwrap_or(n * 1_000);
            Some(table(time, &[(1, n), (2, 7)]))
        };
        assert_eq!(dies_at(at), Some(10));
    }

    #[test]
    fn another_life_starts_the_count_again() {
        let at = |n: u64, _: &mut LeaseJudge| {
            let life = if n < 5 { "a" } else { "b" };
            Some(LeaseTable { life: life.into(), ..table(n * 1_000, &[(1, n), (2, 7)]) })
        };
        assert_eq!(dies_at(at), Some(10));
    }

    #[test]
    fn an_entry_that_comes_back_is_seen_anew() {
        // After a failover to a replica without the entry, its owner writes it again.
        let at = |n: u64, _: &mut LeaseJudge| {
            let entries: &[(u64, u64)] = if n == 4 { &[(1, 4)] } else { &[(1, 4), (2, 7)] };
            Some(table(n * 1_000, entries))
        };
        assert_eq!(dies_at(at), Some(10));
    }

    #[test]
    fn an_incarnation_reads_back() {
        let some = Incarnation(0xab);
        assert_eq!(some.to_string(), "00000000000000ab");
        assert_eq!(Incarnation::parse(&some.to_string()), Some(some));
        assert_eq!(Incarnation::parse("+0000000000000ab"), None);
    }
}
