//! Owner of the keys that tokens are checked with: those of the configuration, and those fetched
//! from a JWKS. It checks tokens, and lets a token with an unknown key wait for a fetch. It knows
//! no HTTP request and no connection. `node` runs its fetches.

mod check;
mod cookie_ends;
mod jwks_source;
mod key_sources;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use roomcast_access::jwks::{FetchOutcome, JwksFetching};
use roomcast_access::keys::{KeySet, RemoteKeys, VerifyingKey};
use tokio::sync::{Notify, watch};

pub(crate) use check::{RefusedToken, TokenRefusal};
pub(crate) use jwks_source::JwksSource;
pub use jwks_source::fetch_key_set;
pub use key_sources::KeySourceError;
pub(crate) use key_sources::KeySources;

use cookie_ends::CookieEnds;

/// All keys of a node, shared by its threads. Locks are held for one step, at handshakes and
/// fetches only.
#[derive(Debug)]
pub(crate) struct TokenKeys {
    /// What tokens are checked with; replaced as a whole.
    keys: watch::Sender<Arc<KeySet>>,
    state: Mutex<FetchState>,
    /// A fetch is wanted, or there is another address.
    wanted: Notify,
    /// The number of fetches that ended, for tokens that wait.
    ended: watch::Sender<u64>,
    /// The origin of the clock of fetches.
    began: Instant,
    cookie_ends: CookieEnds,
}

/// What a fetch changes.
#[derive(Debug, Default)]
struct FetchState {
    /// The keys of the configuration.
    configured: Vec<VerifyingKey>,
    remote: RemoteKeys,
    source: Option<Arc<JwksSource>>,
    /// There is one where there is a source.
    fetching: Option<JwksFetching>,
    /// A token caused a fetch that nothing has taken up yet.
    is_asked: bool,
}

impl Default for TokenKeys {
    fn default() -> Self {
        Self {
            keys: watch::Sender::default(),
            state: Mutex::default(),
            wanted: Notify::new(),
            ended: watch::Sender::new(0),
            began: Instant::now(),
            cookie_ends: CookieEnds::default(),
        }
    }
}

impl TokenKeys {
    /// Takes other keys over. Keys that were fetched stay as long as their address does.
    pub(crate) fn configure(&self, sources: KeySources) {
        let KeySources { keys, jwks } = sources;
        let mut state = self.state();
        state.configured = keys;
        if state.source.as_deref() != jwks.as_ref() {
            state.remote = if jwks.is_some() { RemoteKeys::Awaited } else { RemoteKeys::None };
            state.fetching = jwks.as_ref().map(|_| JwksFetching::new(self.now()));
            state.source = jwks.map(Arc::new);
            state.is_asked = false;
        }
        self.publish(&state);
        self.wanted.notify_one();
    }

    /// Whether the first JWKS has not come yet.
    pub(crate) fn is_awaited(&self) -> bool {
        self.keys.borrow().is_awaited()
    }

    /// Waits until a fetch is due, which counts as begun then; its source. Cancel-safe.
    pub(crate) async fn next_fetch(&self) -> Arc<JwksSource> {
        loop {
            let wanted = self.wanted.notified();
            let due = {
                let now = self.now();
                let mut state = self.state();
                let FetchState { source, fetching, is_asked, .. } = &mut *state;
                match (source, fetching) {
                    (Some(source), Some(fetching)) => {
                        if std::mem::take(is_asked) || fetching.begin_due(now) {
                            return source.clone();
                        }
                        fetching.next_due().map(|due| due.saturating_sub(now))
                    }
                    _ => None,
                }
            };
            match due {
                Some(ms) => {
                    let wait = std::time::Duration::from_millis(ms);
                    let _either_way = tokio::time::timeout(wait, wanted).await;
                }
                None => wanted.await,
            }
        }
    }

    /// A fetch from this source has ended; `None`: it failed.
    pub(crate) fn fetched(&self, source: &Arc<JwksSource>, keys: Option<Arc<[VerifyingKey]>>) {
        let now = self.now();
        let mut state = self.state();
        // The address has changed meanwhile: these keys are of no use.
        if !state.source.as_ref().is_some_and(|current| Arc::ptr_eq(current, source)) {
            return;
        }
        if let Some(keys) = &keys {
            state.remote = RemoteKeys::Fetched(keys.clone());
            self.publish(&state);
        }
        if let Some(fetching) = &mut state.fetching {
            fetching
                .ended(keys.as_deref().map_or(FetchOutcome::Failed, FetchOutcome::Fetched), now);
        }
        // Under the lock: who asks for a fetch after this sees that one has ended.
        self.ended.send_modify(|ended| *ended += 1);
    }

    /// Whether the last connection of this client on the node, by a cookie, had the same end: then
    /// coming back brings no new cookie.
    pub(crate) fn returns_with_same_end(&self, client: Option<&Arc<str>>, ends: u64) -> bool {
        client.is_some_and(|client| self.cookie_ends.replace(client, ends, wall_ms()))
    }

    fn publish(&self, state: &FetchState) {
        let keys = KeySet::new(state.configured.clone(), state.remote.clone());
        self.keys.send_replace(Arc::new(keys));
    }

    fn state(&self) -> MutexGuard<'_, FetchState> {
        // No step under the lock leaves it in between.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds of a clock that does not go back.
    fn now(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }
}

/// The machine's clock, in ms since 1970, by which tokens end.
#[expect(clippy::disallowed_methods, reason = "the ends of tokens are points in time")]
pub(crate) fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

#[cfg(test)]
mod tests;
