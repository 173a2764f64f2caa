//! The open loop: when each message was to go, whatever happened to those before it. A delay
//! counted from that moment holds the time in which a late sender would have sent nothing
//! (coordinated omission).

use std::time::{Duration, Instant};

/// A fixed rate from one moment on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    began: Instant,
    interval: Duration,
    sent: u32,
    until: u32,
}

impl Pace {
    /// So many messages per second for so long, the first at once; at least one.
    pub(crate) fn new(began: Instant, per_second: f64, time: Duration) -> Self {
        let until = (per_second * time.as_secs_f64()).round().max(1.0) as u32;
        Self { began, interval: Duration::from_secs_f64(1.0 / per_second), sent: 0, until }
    }

    /// The moment of the next message, if that has come; it counts as sent then.
    pub(crate) fn due(&mut self, now: Instant) -> Option<Instant> {
        let at = self.began + self.interval * self.sent;
        if self.is_over() || at > now {
            return None;
        }
        self.sent += 1;
        Some(at)
    }

    /// How long until the next message is due.
    pub(crate) fn rest(&self, now: Instant) -> Duration {
        (self.began + self.interval * self.sent).saturating_duration_since(now)
    }

    /// Whether all are sent.
    pub(crate) fn is_over(&self) -> bool {
        self.sent == self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_sender_sends_what_was_due_with_its_own_moments() {
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        let mut pace = Pace::new(began, 100.0, Duration::from_millis(40));
        assert_eq!(pace.due(began), Some(began));
        assert_eq!(pace.due(at(9)), None);
        assert_eq!(pace.rest(at(4)), Duration::from_millis(6));
        assert_eq!(pace.due(at(25)), Some(at(10)));
        assert_eq!(pace.due(at(25)), Some(at(20)));
        assert_eq!((pace.due(at(25)), pace.is_over()), (None, false));
        assert_eq!(pace.due(at(90)), Some(at(30)));
        assert!(pace.is_over());
        assert_eq!(pace.due(at(90)), None);
    }
}
