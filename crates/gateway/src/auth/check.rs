//! Checks a token against the keys at hand. A token whose key is not known waits for one shared
//! fetch, for a bounded time, and is refused only if the fetch lacks the key.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use roomcast_access::identity::{AccessIdentity, RoomPass};
use roomcast_access::jwks::{KEY_WAIT_MS, KeyAnswer};
use roomcast_access::keys::KeySet;
use roomcast_access::token::{self, TokenError, TokenOutcome, TokenRules};
use roomcast_protocol::{RoomName, UserName};
use tokio::time::{Instant, timeout_at};

use super::{TokenKeys, wall_ms};

/// Why a token is refused. The detail names settings and claims, and holds nothing of the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenRefusal {
    pub(crate) kind: RefusedToken,
    pub(crate) detail: String,
}

/// What a refusal means for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RefusedToken {
    /// It will not do later either.
    Bad,
    /// It was good once.
    Expired,
    /// It is good and lacks the capability `join`.
    Forbidden,
    /// Its key may come: try again after so many ms.
    NotReady { retry_after_ms: u64 },
}

impl TokenRefusal {
    fn new(kind: RefusedToken, error: &TokenError) -> Self {
        Self { kind, detail: error.to_string() }
    }
}

impl TokenKeys {
    /// Checks the token of a connection. If it is ready at once it did not wait.
    pub(crate) fn check_connection(
        self: Arc<Self>,
        token: Box<str>,
        rules: TokenRules,
    ) -> impl Future<Output = Result<AccessIdentity, TokenRefusal>> {
        self.check(move |keys, now| token::verify_connection(&token, keys, &rules, now))
    }

    /// Checks a room's own token, which came with a `join` of the room by a connection of the user.
    pub(crate) fn check_room(
        self: Arc<Self>,
        token: Box<str>,
        rules: TokenRules,
        (user, room): (Option<UserName>, RoomName),
    ) -> impl Future<Output = Result<RoomPass, TokenRefusal>> {
        self.check(move |keys, now| {
            token::verify_room(&token, keys, &rules, now, user.as_ref(), &room)
        })
    }

    pub(super) async fn check<T>(
        self: Arc<Self>,
        verify: impl Fn(&KeySet, u64) -> Result<T, TokenError>,
    ) -> Result<T, TokenRefusal> {
        let deadline = Instant::now() + Duration::from_millis(KEY_WAIT_MS);
        loop {
            // Before the keys are looked at: a fetch that ends after that is not missed.
            let mut ended = self.ended.subscribe();
            let keys = self.keys.borrow().clone();
            let error = match verify(&keys, wall_ms()) {
                Ok(verified) => return Ok(verified),
                Err(error) => error,
            };
            match (error.outcome(), &error) {
                (TokenOutcome::AskJwks, TokenError::UnknownKey(name)) => {
                    if let Some(kind) = self.ask(name) {
                        // A fetch ended since the keys were looked at: they may have it now.
                        if ended.has_changed().unwrap_or(false) {
                            continue;
                        }
                        return Err(TokenRefusal::new(kind, &error));
                    }
                    if timeout_at(deadline, ended.changed()).await.is_err() {
                        return Err(TokenRefusal::new(self.not_ready(), &error));
                    }
                }
                (TokenOutcome::Bad | TokenOutcome::AskJwks, _) => {
                    return Err(TokenRefusal::new(RefusedToken::Bad, &error));
                }
                (TokenOutcome::Expired, _) => {
                    return Err(TokenRefusal::new(RefusedToken::Expired, &error));
                }
                (TokenOutcome::Forbidden, _) => {
                    return Err(TokenRefusal::new(RefusedToken::Forbidden, &error));
                }
                (TokenOutcome::NotReady, _) => {
                    return Err(TokenRefusal::new(self.not_ready(), &error));
                }
            }
        }
    }

    /// What a token gets whose key has this unknown name; `None`: it waits for the end of a fetch.
    fn ask(&self, name: &str) -> Option<RefusedToken> {
        let now = self.now();
        let mut state = self.state();
        let Some(fetching) = &mut state.fetching else { return Some(RefusedToken::Bad) };
        match fetching.unknown_name(name, now) {
            KeyAnswer::Fetch => {
                state.is_asked = true;
                self.wanted.notify_one();
                None
            }
            KeyAnswer::Wait => None,
            KeyAnswer::Unknown => Some(RefusedToken::Bad),
            KeyAnswer::NotReady { retry_after_ms } => {
                Some(RefusedToken::NotReady { retry_after_ms })
            }
        }
    }

    fn not_ready(&self) -> RefusedToken {
        let now = self.now();
        let retry_after_ms = match self.state().fetching.as_ref().map(|all| all.not_ready(now)) {
            Some(KeyAnswer::NotReady { retry_after_ms }) => retry_after_ms,
            _ => 1_000,
        };
        RefusedToken::NotReady { retry_after_ms }
    }
}
