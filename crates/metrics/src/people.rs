//! Families of members among themselves: signals.

use prometheus::IntCounter;

use crate::Label;
use crate::family::{ByLabel, Families};

/// What members tell each other beside messages.
#[derive(Debug, Clone)]
pub struct PeopleMetrics {
    /// Signals and words about typing.
    pub signals: ByLabel<SignalOutcome, IntCounter>,
}

impl PeopleMetrics {
    pub(crate) fn new(families: &Families<'_>) -> Self {
        Self {
            signals: families.counters(
                "signals_total",
                "Signals and typing: sent to the bus, conflated into newer ones, dropped under \
                 pressure (on the way in, or for one member), or above signal_rate.",
            ),
        }
    }
}

/// What became of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalOutcome {
    /// It went to the bus.
    Sent,
    /// A newer one of the same key went in its place.
    Conflated,
    /// Too much waited: for the bus, or for one of its members.
    Dropped,
    /// It was above its connection's rate.
    Limited,
}

impl Label for SignalOutcome {
    const NAME: &'static str = "outcome";
    const ALL: &'static [Self] = &[Self::Sent, Self::Conflated, Self::Dropped, Self::Limited];

    fn index(self) -> usize {
        self as usize
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Conflated => "conflated",
            Self::Dropped => "dropped",
            Self::Limited => "limited",
        }
    }
}
