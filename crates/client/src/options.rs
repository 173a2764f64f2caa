//! What a client is told before it starts, with the reason for each default.

use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use rand::Rng;
use roomcast_protocol::{Encoding, UserName};
use rustls::ClientConfig;

use crate::authorities::tls_config;

use crate::TokenSource;

/// How a client connects.
#[derive(Debug, Clone)]
pub struct Options {
    /// `ws://host:port/ws` or `wss://host/ws`, tried in turn. Without a path, `/ws` is meant.
    pub urls: Vec<String>,
    /// Certificates (PEM) of the authorities to trust behind `wss://`. `None`: the system's.
    pub ca: Option<Vec<u8>>,
    /// The name to go by where nodes do not authenticate.
    pub user: Option<UserName>,
    /// Where tokens come from; `None`: nodes ask for none.
    pub token: Option<TokenSource>,
    /// Tells a returning client from a new one in the node's metrics and logs. Random by default:
    /// it names this process, not a person.
    pub client: String,
    /// JSON by default: readable on the wire. MessagePack carries binary payloads as they are.
    pub encoding: Encoding,
    /// Retry by default: a client may be started before its node.
    pub first_try: FirstTry,
    /// Pauses between tries.
    pub backoff: Backoff,
    /// From the TCP connect to `connected`. 10 s: three lost SYNs and a slow handshake.
    pub open_timeout: Duration,
    /// After which a publish or a question ends without an answer. 15 s: outlives a node's
    /// restart behind a balancer, and people do not wait longer.
    pub request_timeout: Duration,
    /// Publishes and questions under way at once; more wait. 256: fills a link of 100 ms with
    /// 2,500 publishes per second, and bounds what is kept to be sent again.
    pub in_flight: usize,
    /// Events waiting for the application. When full, the socket is not read. 256: a burst that
    /// one wake of the application can take, no more.
    pub events: usize,
}

/// What a failure means before the client was ever connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstTry {
    /// Try on, for ever.
    Retry,
    /// End after every URL has failed once.
    Fail,
}

/// Pauses between tries: full jitter over a ceiling that doubles with each failed round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Shortest pause, and the first ceiling above it. 200 ms: a lone client is back at once,
    /// a refusing node is not hammered.
    pub min: Duration,
    /// Longest pause. 20 s: a node that returns has everyone back within that.
    pub max: Duration,
    /// A connection that lived this long makes the next failure a first one again. 5 s: one that
    /// dies just after its handshake must not be tried at full speed.
    pub reset_after: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            min: Duration::from_millis(200),
            max: Duration::from_secs(20),
            reset_after: Duration::from_secs(5),
        }
    }
}

/// Why options were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OptionsError {
    /// Give at least one URL.
    #[error("no URL given")]
    NoUrl,
    /// Give a URL like `ws://127.0.0.1:8080/ws`.
    #[error("\"{0}\" is no WebSocket URL like ws://127.0.0.1:8080/ws")]
    BadUrl(String),
    /// Give the certificate (PEM) of the authority that signed the nodes' certificates.
    #[error("the authorities to trust are no certificates in PEM")]
    BadAuthority,
    /// Install the system's authorities (`ca-certificates`), or give `ca`.
    #[error("this system trusts no authority: give the one to trust for wss://")]
    NoAuthorities,
    /// Give at least one.
    #[error("in_flight and events must be at least 1")]
    NoRoom,
}

impl Options {
    /// Defaults for these URLs, and a random client id.
    pub fn new(urls: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            urls: urls.into_iter().map(Into::into).collect(),
            ca: None,
            user: None,
            token: None,
            client: format!("{:016x}", rand::rng().random::<u64>()),
            encoding: Encoding::Json,
            first_try: FirstTry::Retry,
            backoff: Backoff::default(),
            open_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(15),
            in_flight: 256,
            events: 256,
        }
    }

    /// The URLs as parsed, or what is wrong with the options.
    pub(crate) fn validate(&self) -> Result<Vec<Uri>, OptionsError> {
        if self.urls.is_empty() {
            return Err(OptionsError::NoUrl);
        }
        if self.in_flight == 0 || self.events == 0 {
            return Err(OptionsError::NoRoom);
        }
        self.urls.iter().map(|url| parse_url(url)).collect()
    }

    /// How to speak TLS; `None` where no URL asks for it.
    pub(crate) fn tls(&self, urls: &[Uri]) -> Result<Option<Arc<ClientConfig>>, OptionsError> {
        let is_wanted = urls.iter().any(|url| url.scheme_str() == Some("wss"));
        is_wanted.then(|| tls_config(self.ca.as_deref())).transpose()
    }

    /// The URLs for people: without user and query, which may hold a secret.
    pub(crate) fn shown_urls(&self) -> Box<[Box<str>]> {
        self.urls.iter().map(|url| shown(url)).collect()
    }
}

fn shown(url: &str) -> Box<str> {
    let Ok(uri) = url.parse::<Uri>() else { return Box::default() };
    let host = uri.host().unwrap_or_default();
    let port = uri.port().map(|port| format!(":{port}")).unwrap_or_default();
    let scheme = uri.scheme_str().unwrap_or("ws");
    format!("{scheme}://{host}{port}{}", uri.path()).into()
}

fn parse_url(url: &str) -> Result<Uri, OptionsError> {
    let bad = || OptionsError::BadUrl(url.to_owned());
    let uri: Uri = url.parse().map_err(|_| bad())?;
    match uri.scheme_str() {
        Some("ws" | "wss") if uri.host().is_some_and(|host| !host.is_empty()) => Ok(uri),
        _ => Err(bad()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(urls: &[&str], expected: Result<usize, OptionsError>) {
        assert_eq!(Options::new(urls.iter().copied()).validate().map(|urls| urls.len()), expected);
    }

    #[test]
    fn urls_are_checked_before_anything_connects() {
        check(&["ws://127.0.0.1:8080/ws", "ws://[::1]:1"], Ok(2));
        check(&[], Err(OptionsError::NoUrl));
        check(&["wss://a/ws", "ws://a"], Ok(2));
        for bad in
            ["https://a/ws", "wss://", "http://a/ws", "127.0.0.1:8080", "ws://", "ws://a b", ""]
        {
            check(&[bad], Err(OptionsError::BadUrl(bad.into())));
        }
    }

    #[test]
    fn urls_are_shown_without_secrets() {
        for (url, expected) in [
            ("ws://node:8080/ws", "ws://node:8080/ws"),
            ("ws://user:secret@node/ws?token=secret", "ws://node/ws"),
            ("ws://[::1]:1", "ws://[::1]:1/"),
            ("wss://user@node/ws?ticket=secret", "wss://node/ws"),
        ] {
            assert_eq!(&*shown(url), expected);
        }
    }

    #[test]
    fn every_client_gets_an_id_of_its_own() {
        assert_ne!(Options::new(["ws://a"]).client, Options::new(["ws://a"]).client);
    }
}
