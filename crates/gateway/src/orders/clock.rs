//! The bus's clock as this node knows it: the time that the bus told last, and what has passed since
//! by the node's monotonic clock. A node's own clock may be set, or be wrong by minutes.

use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use crate::hub::now_ms;

/// The clock; before the bus told its time it is the node's own.
#[derive(Debug, Default)]
pub(super) struct BusClock(RwLock<Option<ToldTime>>);

#[derive(Debug, Clone, Copy)]
struct ToldTime {
    time: u64,
    /// How far it may be wrong, in ms: the answer was made at any time between question and answer.
    error: u64,
    at: Instant,
}

impl BusClock {
    /// The bus said that it is `time` (Unix ms); question and answer took so long together.
    pub(super) fn set(&self, time: u64, took: Duration) {
        let half = took.as_millis() as u64 / 2;
        // One more, as times are whole milliseconds.
        let told =
            ToldTime { time: time.saturating_add(half), error: half + 1, at: Instant::now() };
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(told);
    }

    /// Unix time in ms.
    pub(super) fn now(&self) -> u64 {
        self.told().map_or_else(now_ms, |told| {
            told.time.saturating_add(told.at.elapsed().as_millis() as u64)
        })
    }

    /// How far that may be wrong, in ms; 0 for a node that is alone.
    pub(super) fn error(&self) -> u64 {
        self.told().map_or(0, |told| told.error)
    }

    fn told(&self) -> Option<ToldTime> {
        *self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}
