//! What a connection keeps for its heartbeat. The worker's heartbeats read and change it.

use std::cell::Cell;
use std::time::Duration;

/// A moment of a worker's time, in ns since it began. That time does not go on while the process is
/// stopped: no ping goes out meanwhile, so clients have nothing to answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WorkerTime(pub(crate) u64);

impl WorkerTime {
    /// The moment so much later.
    pub(crate) fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(time.as_nanos() as u64))
    }
}

/// A place in the worker's wheel of what is due, so that it can be taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WheelPlace {
    /// The slot of the tick.
    pub(crate) slot: u32,
    /// The index in that slot.
    pub(crate) index: u32,
}

impl WheelPlace {
    /// Of what is in no wheel.
    pub(crate) const NOWHERE: Self = Self { slot: u32::MAX, index: u32::MAX };
}

/// When a connection was heard, and where it is in the worker's wheel.
#[derive(Debug)]
pub(crate) struct Pulse {
    /// When its last bytes came.
    pub(crate) heard: Cell<WorkerTime>,
    /// When its last application frame came.
    pub(crate) active: Cell<WorkerTime>,
    /// Its place in the round: its pings are due at ticks that leave this remainder.
    pub(crate) phase: Cell<u32>,
    /// Where it waits for the next look at it.
    pub(crate) place: Cell<WheelPlace>,
}

impl Default for Pulse {
    fn default() -> Self {
        Self {
            heard: Cell::default(),
            active: Cell::default(),
            phase: Cell::default(),
            place: Cell::new(WheelPlace::NOWHERE),
        }
    }
}

impl Pulse {
    /// The last bytes held an application frame.
    pub(crate) fn note_active(&self) {
        self.active.set(self.heard.get());
    }
}
