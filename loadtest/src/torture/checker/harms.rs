//! What was done to Redis's data, and whether it accounts for what a room went through.

use std::time::Duration;

use crate::torture::fault::Harm;

/// How long after a fault its traces may still come to light: a node that was stopped meanwhile, a
/// replica that takes over, a member that returns.
const TRAIL: Duration = Duration::from_secs(8);

/// Everything that was done.
#[derive(Debug, Default)]
pub(super) struct Harms {
    list: Vec<(Harm, Duration, Option<Duration>)>,
}

impl Harms {
    pub(super) fn begin(&mut self, harm: Harm, now: Duration) -> usize {
        self.list.push((harm, now, None));
        self.list.len() - 1
    }

    pub(super) fn end(&mut self, number: usize, now: Duration) {
        self.list[number].2 = Some(now);
    }

    /// Something that is heard of only now, up to as long after it as its traces may be.
    pub(super) fn trailing(&mut self, harm: Harm, now: Duration) {
        self.list.push((harm, now.saturating_sub(TRAIL), Some(now)));
    }

    /// Whether an epoch that was first seen at `first` can have come to such harm by `now`.
    pub(super) fn account_for(&self, harm: Harm, first: Duration, now: Duration) -> bool {
        self.list.iter().any(|&(what, begin, end)| {
            what >= harm && begin <= now && end.is_none_or(|end| end + TRAIL >= first)
        })
    }
}
