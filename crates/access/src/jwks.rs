//! When a JWKS is fetched, and what a token gets whose key is not known yet. Events with their
//! time come in, answers go out; the caller fetches. It owns no keys and knows no network.
//!
//! All times are milliseconds of one clock that does not go back.

use std::collections::HashMap;

use crate::keys::VerifyingKey;

/// How often the keys are fetched without being asked for: a withdrawn key is good for so long.
pub const REFRESH_INTERVAL_MS: u64 = 300_000;
/// The least time between two fetches that unknown names cause: strangers can name any.
pub const UNKNOWN_NAME_INTERVAL_MS: u64 = 10_000;
/// How long a token may wait for a fetch.
pub const KEY_WAIT_MS: u64 = 5_000;
/// A fetch that takes longer has failed.
pub const FETCH_TIMEOUT_MS: u64 = 10_000;

/// The first wait after a failed fetch; each further failure doubles it.
const RETRY_MS: u64 = 1_000;
/// The longest wait after a failed fetch.
const MAX_RETRY_MS: u64 = 60_000;
/// How many unknown names are remembered. A name beyond waits like the others, but is never
/// refused as unknown while the table is full.
const MAX_UNKNOWN_NAMES: usize = 1_024;

/// What a token gets whose `kid` no key has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyAnswer {
    /// Begin a fetch, and wait for its end as with `Wait`.
    Fetch,
    /// Wait for the end of the fetch that is under way, at most `KEY_WAIT_MS` since the token came
    /// in. Then look among the keys, and if the name is still unknown ask again. After that time
    /// answer `not_ready` with `retry_after_ms`.
    Wait,
    /// Refuse the token: a fetch that began after the name was first asked for lacks it.
    Unknown,
    /// Answer `not_ready`: no fetch is allowed now, or no JWKS has come yet.
    NotReady {
        /// Until the next fetch, in milliseconds; at least 1,000.
        retry_after_ms: u64,
    },
}

/// How a fetch ended.
#[derive(Debug, Clone, Copy)]
pub enum FetchOutcome<'a> {
    /// These keys came, and are in the key set already.
    Fetched(&'a [VerifyingKey]),
    /// It failed, or what came was no JWKS. The old keys stay.
    Failed,
}

/// The state of fetching one JWKS.
#[derive(Debug)]
pub struct JwksFetching {
    /// Number of the next fetch.
    next: u64,
    under_way: bool,
    /// Number of the last fetch that succeeded, and its end.
    fetched: Option<(u64, u64)>,
    /// When the next fetch is due without being asked for.
    due: u64,
    /// From when on an unknown name may cause a fetch.
    names_from: u64,
    retry_ms: u64,
    unknown: HashMap<Box<str>, UnknownName>,
}

/// A name that no key had when a token was signed with it.
#[derive(Debug, Clone, Copy)]
struct UnknownName {
    /// The first fetch that began after it was asked for.
    decided_by: u64,
    /// When it is forgotten. Asked for after that, it causes a fetch again: the key may come later.
    forget: u64,
}

impl JwksFetching {
    /// Nothing is fetched yet; the first fetch is due at once.
    pub fn new(now: u64) -> Self {
        Self {
            next: 0,
            under_way: false,
            fetched: None,
            due: now,
            names_from: now,
            retry_ms: RETRY_MS,
            unknown: HashMap::new(),
        }
    }

    /// Whether a fetch is due without being asked for. If so it counts as begun.
    pub fn begin_due(&mut self, now: u64) -> bool {
        let is_due = !self.under_way && now >= self.due;
        if is_due {
            self.begin();
        }
        is_due
    }

    /// When `begin_due` is to be called next; `None` while a fetch is under way.
    pub fn next_due(&self) -> Option<u64> {
        (!self.under_way).then_some(self.due)
    }

    /// When the keys at hand were fetched; `None` before the first.
    pub fn fetched_at(&self) -> Option<u64> {
        self.fetched.map(|(_, ended)| ended)
    }

    /// A token came with a `kid` that no key has. With `Fetch` a fetch counts as begun.
    pub fn unknown_name(&mut self, name: &str, now: u64) -> KeyAnswer {
        let Some((last, _)) = self.fetched else { return self.not_ready(now) };
        let decided_by = self.note(name, now);
        if decided_by.is_some_and(|number| number <= last) {
            return KeyAnswer::Unknown;
        }
        if self.under_way {
            return KeyAnswer::Wait;
        }
        if now < self.names_from {
            return self.not_ready(now);
        }
        self.names_from = now.saturating_add(UNKNOWN_NAME_INTERVAL_MS);
        self.begin();
        KeyAnswer::Fetch
    }

    /// What a token gets that waited too long, or that needs the first JWKS.
    pub fn not_ready(&self, now: u64) -> KeyAnswer {
        KeyAnswer::NotReady { retry_after_ms: self.retry_after_ms(now) }
    }

    /// The fetch that was under way has ended.
    pub fn ended(&mut self, outcome: FetchOutcome<'_>, now: u64) {
        self.under_way = false;
        match outcome {
            FetchOutcome::Fetched(keys) => {
                // A token may have been looked up among the old keys just before: without this the name
                // would be refused although its key is here now.
                for name in keys.iter().filter_map(VerifyingKey::name) {
                    self.unknown.remove(name);
                }
                self.fetched = Some((self.next - 1, now));
                self.retry_ms = RETRY_MS;
                self.due = now.saturating_add(REFRESH_INTERVAL_MS);
            }
            FetchOutcome::Failed => {
                self.due = now.saturating_add(self.retry_ms);
                self.retry_ms = (self.retry_ms * 2).min(MAX_RETRY_MS);
            }
        }
    }

    fn begin(&mut self) {
        self.under_way = true;
        self.next += 1;
    }

    /// Remembers an unknown name; `None` if the table is full of others.
    fn note(&mut self, name: &str, now: u64) -> Option<u64> {
        if let Some(known) = self.unknown.get(name).filter(|known| now < known.forget) {
            return Some(known.decided_by);
        }
        if self.unknown.len() >= MAX_UNKNOWN_NAMES {
            self.unknown.retain(|_, known| now < known.forget);
        }
        if self.unknown.len() >= MAX_UNKNOWN_NAMES {
            return None;
        }
        // Long enough for the next fetch to begin and end.
        let forget = now.saturating_add(UNKNOWN_NAME_INTERVAL_MS + FETCH_TIMEOUT_MS);
        let decided_by = self.next;
        self.unknown.insert(name.into(), UnknownName { decided_by, forget });
        Some(decided_by)
    }

    /// Time until the next fetch can begin. While one is under way it is the least.
    fn retry_after_ms(&self, now: u64) -> u64 {
        let next = match (self.under_way, self.fetched) {
            (true, _) => now,
            (false, None) => self.due,
            (false, Some(_)) => self.due.min(self.names_from),
        };
        next.saturating_sub(now).max(RETRY_MS)
    }
}

#[cfg(test)]
mod tests;
