//! Whether publishes are sent to a server, and when to try again to reach it. Pure.

use std::time::Duration;

/// Longest pause before an attempt: a server that is back is found within this.
const MAX_PAUSE: Duration = Duration::from_secs(2);
/// Upper bound of the first pause; it doubles with each failure.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// The state of one server's circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Circuit {
    /// The connection works: publishes are sent.
    Closed,
    /// The connection was lost and the first attempt to connect again is under way: publishes wait,
    /// within their deadline.
    HalfOpen,
    /// The server is unreachable after this many failed attempts: publishes fail at once.
    Open(u32),
}

impl Circuit {
    /// The connection was lost or does not answer.
    pub(crate) fn lost(self) -> Self {
        match self {
            Self::Closed => Self::HalfOpen,
            away => away,
        }
    }

    /// An attempt to connect failed.
    pub(crate) fn failed(self) -> Self {
        match self {
            Self::Closed | Self::HalfOpen => Self::Open(1),
            Self::Open(failures) => Self::Open(failures.saturating_add(1)),
        }
    }

    /// How long to wait before the next attempt: full jitter, `dice` within 0 and 1.
    pub(crate) fn pause(self, dice: f64) -> Duration {
        match self {
            Self::Closed | Self::HalfOpen => Duration::ZERO,
            Self::Open(failures) => {
                let doubled = FIRST_PAUSE * 2u32.pow(failures.min(10));
                doubled.min(MAX_PAUSE).mul_f64(dice)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_loss_waits_and_a_long_one_refuses() {
        let lost = Circuit::Closed.lost();
        assert_eq!((lost, lost.pause(1.0)), (Circuit::HalfOpen, Duration::ZERO));
        let away = lost.failed();
        assert_eq!((away, away.lost()), (Circuit::Open(1), Circuit::Open(1)));
        assert_eq!(away.failed(), Circuit::Open(2));
        assert_eq!(away.pause(0.5), Duration::from_millis(50));
        assert_eq!(Circuit::Open(u32::MAX).failed().pause(1.0), MAX_PAUSE);
    }
}
