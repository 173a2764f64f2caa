//! The bus's clock as this node knows it: the time that the bus told last, and what has passed since
//! by the node's monotonic clock. A node's own clock may be set, or be wrong by minutes.

use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use crate::hub::now_ms;

/// The clock; before the bus told its time it is the node's own.
#[derive(Debug, Default)]
pub(super) struct BusClock(RwLock<Option<(u64, Instant)>>);

impl BusClock {
    /// The bus said that it is `time` (Unix ms); question and answer took so long together.
    pub(super) fn set(&self, time: u64, took: Duration) {
        let told = time.saturating_add(took.as_millis() as u64 / 2);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some((told, Instant::now()));
    }

    /// Unix time in ms.
    pub(super) fn now(&self) -> u64 {
        match *self.0.read().unwrap_or_else(PoisonError::into_inner) {
            Some((told, at)) => told.saturating_add(at.elapsed().as_millis() as u64),
            None => now_ms(),
        }
    }
}
