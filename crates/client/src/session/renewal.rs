//! When a new token is fetched for the connection in use, and what becomes of it. Pure.

use std::time::{Duration, Instant};

use roomcast_protocol::{ClientFrame, RequestId};

use super::{Action, Session};

/// How long before the end of a token the next one is fetched, at most: time for a few tries.
const MOST_LEAD: Duration = Duration::from_secs(60);
/// The pause after a try that brought nothing.
const RETRY: Duration = Duration::from_secs(5);

/// The renewal of the token in use.
#[derive(Debug)]
pub(super) struct TokenRenewal {
    has_source: bool,
    state: RenewalState,
    /// When the token in use ends; `None` if it does not, or there is none.
    ends: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RenewalState {
    /// Nothing is to be done on this connection.
    Idle,
    /// A token is to be fetched then.
    Due(Instant),
    /// The application fetches one.
    Fetching,
    /// The node has it under this number.
    Sent(RequestId),
}

impl TokenRenewal {
    pub(super) fn new(has_source: bool) -> Self {
        Self { has_source, state: RenewalState::Idle, ends: None }
    }

    /// Whether the application gives tokens.
    pub(super) fn has_source(&self) -> bool {
        self.has_source
    }

    /// A connection was taken, or a token on it; the token has so long to live.
    pub(super) fn taken(&mut self, now: Instant, life: Option<Duration>) {
        self.ends = life.map(|life| now + life);
        self.state = match life.filter(|_| self.has_source) {
            // A token that is about to end is left to end: the next connection brings a new one.
            Some(life) if life > RETRY => RenewalState::Due(now + life - MOST_LEAD.min(life / 4)),
            _ => RenewalState::Idle,
        };
    }

    /// The connection is gone.
    pub(super) fn lost(&mut self) {
        self.state = RenewalState::Idle;
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        match self.state {
            RenewalState::Due(at) => Some(at),
            _ => None,
        }
    }

    /// Whether a token is to be fetched now.
    pub(super) fn begin(&mut self, now: Instant) -> bool {
        let is_due = matches!(self.state, RenewalState::Due(at) if at <= now);
        if is_due {
            self.state = RenewalState::Fetching;
        }
        is_due
    }

    /// The token has come; whether this connection waits for it.
    pub(super) fn waits(&self) -> bool {
        self.state == RenewalState::Fetching
    }

    /// The token was sent under this number.
    pub(super) fn sent(&mut self, id: RequestId) {
        self.state = RenewalState::Sent(id);
    }

    /// Whether this number is that of the token's frame.
    pub(super) fn is_its(&self, id: RequestId) -> bool {
        self.state == RenewalState::Sent(id)
    }

    /// There was no token, or the node did not take it: another try if there is time.
    pub(super) fn failed(&mut self, now: Instant, at_least: Duration) {
        let next = now + RETRY.max(at_least);
        let is_in_time = self.ends.is_none_or(|ends| next < ends);
        self.state = if is_in_time { RenewalState::Due(next) } else { RenewalState::Idle };
    }
}

impl Session {
    /// The application's new token for the connection in use.
    pub(super) fn take_token(&mut self, now: Instant, token: Result<Box<str>, Box<str>>) {
        if !self.renewal.waits() {
            return;
        }
        match token {
            Ok(token) => {
                let id = self.next_id();
                self.renewal.sent(id);
                self.actions.push_back(Action::Send(ClientFrame::Refresh { id: Some(id), token }));
            }
            Err(error) => {
                tracing::warn!("there is no new token: {error}");
                self.renewal.failed(now, Duration::ZERO);
            }
        }
    }
}

/// How long a token lives that ends at `expires`, by the node's clock, which says `time`.
pub(super) fn life(time: u64, expires: u64) -> Duration {
    Duration::from_millis(expires.saturating_sub(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_token_is_renewed_before_its_end() {
        let now = Instant::now();
        let mut renewal = TokenRenewal::new(true);
        for (life, lead) in [(3_600, 60), (120, 30), (8, 2)] {
            renewal.taken(now, Some(life * SECOND));
            let due = now + (life - lead) * SECOND;
            assert_eq!(renewal.next_deadline(), Some(due));
            assert!(!renewal.begin(due - SECOND));
            assert!(renewal.begin(due) && renewal.waits() && !renewal.begin(due));
        }
        renewal.sent(7);
        assert!(renewal.is_its(7) && !renewal.is_its(8) && !renewal.waits());
    }

    #[test]
    fn what_has_no_source_or_no_end_is_not_renewed() {
        let now = Instant::now();
        for (has_source, life) in [(false, Some(60 * SECOND)), (true, None), (true, Some(SECOND))] {
            let mut renewal = TokenRenewal::new(has_source);
            renewal.taken(now, life);
            assert_eq!(renewal.next_deadline(), None, "{has_source} {life:?}");
        }
    }

    #[test]
    fn a_failed_renewal_is_tried_again_as_long_as_there_is_time() {
        let now = Instant::now();
        let mut renewal = TokenRenewal::new(true);
        renewal.taken(now, Some(60 * SECOND));
        renewal.failed(now + 45 * SECOND, Duration::ZERO);
        assert_eq!(renewal.next_deadline(), Some(now + 50 * SECOND));
        renewal.failed(now + 45 * SECOND, 10 * SECOND);
        assert_eq!(renewal.next_deadline(), Some(now + 55 * SECOND));
        renewal.failed(now + 55 * SECOND, Duration::ZERO);
        assert_eq!(renewal.next_deadline(), None);
    }
}
