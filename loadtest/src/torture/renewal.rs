//! When a thin client renews its token on a live connection, and how often that was taken. Pure.

use std::time::{Duration, Instant};

/// The part of a token's life that is left when the next one is sent: a quarter, as the Rust client
/// leaves it.
const LEAD: u32 = 4;

/// The token of one connection.
#[derive(Debug, Default)]
pub(super) struct ThinRenewal {
    /// When the next one is sent; `None`: it is under way, or the token does not end.
    due: Option<Instant>,
    /// Tokens that nodes took on live connections.
    pub(super) taken: u64,
}

impl ThinRenewal {
    /// A node says when the token ends, and what time it is there (both Unix time in ms).
    pub(super) fn ends(&mut self, now: Instant, expires: Option<u64>, time: u64) {
        let life = expires.map(|expires| Duration::from_millis(expires.saturating_sub(time)));
        self.due = life.map(|life| now + life - life / LEAD);
    }

    /// Whether the next token is to be sent now.
    pub(super) fn begin(&mut self, now: Instant) -> bool {
        self.due.take_if(|due| *due <= now).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_renewed_once_when_a_quarter_of_it_is_left() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        let mut renewal = ThinRenewal::default();
        assert!(!renewal.begin(now));
        renewal.ends(now, Some(108_000), 100_000);
        assert!(!renewal.begin(now + 5 * second));
        assert!(renewal.begin(now + 6 * second) && !renewal.begin(now + 9 * second));
        renewal.ends(now, None, 100_000);
        assert!(!renewal.begin(now + 3600 * second));
    }
}
