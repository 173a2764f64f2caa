//! Where a client gets its tokens. It knows no connection: the driver asks before each try, and
//! before the token in use ends.

use std::fmt;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;

/// A token, or why there is none, for people.
pub(crate) type FetchedToken = Result<String, Box<str>>;
pub(crate) type PendingToken = Pin<Box<dyn Future<Output = FetchedToken> + Send>>;

/// Gives tokens: the same one, or a new one whenever it is asked. Cheap to clone.
#[derive(Clone)]
pub struct TokenSource(Arc<dyn Fn() -> PendingToken + Send + Sync>);

impl TokenSource {
    /// This token every time. The client ends when the token has.
    pub fn fixed(token: impl Into<String>) -> Self {
        let token = token.into();
        Self(Arc::new(move || Box::pin(ready(Ok(token.clone())))))
    }

    /// What this function gives. It is asked before each try to connect, and again some time before
    /// the token in use ends. An error (for people; it is logged) counts as a failed try.
    pub fn from_fn<F, E>(fetch: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<String, E>> + Send + 'static,
        E: fmt::Display,
    {
        Self(Arc::new(move || {
            let fetched = fetch();
            Box::pin(async move { fetched.await.map_err(|error| error.to_string().into()) })
        }))
    }

    pub(crate) fn fetch(&self) -> PendingToken {
        (self.0)()
    }
}

/// It may hold a token.
impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSource(…)")
    }
}
