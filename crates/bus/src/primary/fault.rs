//! Why a node cannot use a Redis server, and whether that can end without a change of settings.
//! Pure: it reads the library's errors and servers' answers. Every text says what to do, and none
//! contains a password.

use redis::{ErrorKind, RedisError};

/// Longest part of a server's text that is shown, in characters.
const MAX_QUOTED_CHARS: usize = 200;
/// Codes of errors that can end without a change of settings: a server that starts, fails over or
/// refuses writes.
const PASSING_CODES: [&str; 11] = [
    "LOADING",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "TRYAGAIN",
    "BUSY",
    "UNKILLABLE",
    "READONLY",
    "OOM",
    "MISCONF",
    "NOREPLICAS",
    "MOVED",
];

/// Why a node cannot start with this Redis.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedisStartError {
    /// Correct the URL.
    #[error("the Redis URL is not valid: {0}")]
    Url(String),
    /// Correct the prefix.
    #[error("the Redis prefix must be 1 to 64 printable characters without blanks")]
    Prefix,
    /// The fault says what to do with this server.
    #[error("Redis at {at} {fault}")]
    Server {
        /// Its address: a host with its port, or a path.
        at: String,
        /// What is wrong with it.
        fault: RedisFault,
    },
}

impl RedisStartError {
    /// Whether the fault can end without a change of settings, so that the node waits.
    pub fn passes(&self) -> bool {
        matches!(self, Self::Server { fault: RedisFault::Away(_) | RedisFault::Busy(_), .. })
    }
}

/// What is wrong with one Redis server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedisFault {
    /// Start the server, or correct the address. The node waits.
    #[error("cannot be reached: {0}; start it, or correct the address")]
    Away(String),
    /// Wait: the server loads its data, fails over or refuses writes. The node waits.
    #[error("does not serve yet: {0}")]
    Busy(String),
    /// Correct what it names.
    #[error("refuses this node: {0}; {help}", help = help(.0))]
    Refused(String),
    /// Give the node the authority that signed the server's certificate.
    #[error("has a certificate that is not trusted: {0}; correct bus.redis_ca or the certificate")]
    Certificate(String),
    /// Write the URL without TLS, or correct the server's TLS.
    #[error("does not speak TLS as expected: {0}; if it speaks none, write redis:// for rediss://")]
    NoTls(String),
    /// Write the URL with TLS.
    #[error("speaks TLS; write rediss:// for redis://")]
    Tls,
    /// Correct the address.
    #[error("is something else: it answers {0:?}; correct the address")]
    Foreign(String),
    /// Point the URL at the primary.
    #[error("is a replica; connect to its primary")]
    Replica,
    /// Change the URL's scheme: `redis+cluster://` or `redis://`.
    #[error("{0}")]
    Mode(&'static str),
    /// Correct the primary's name in the URL.
    #[error("is a sentinel that knows no primary of the name {0:?}; correct the name in the URL")]
    UnknownName(String),
    /// Give the node the list of servers that the other nodes have.
    #[error("has version {known} of the list of servers, and this node {own}; take the newer list")]
    Outdated {
        /// The server's version of the list.
        known: u64,
        /// This node's version of the list.
        own: u64,
    },
    /// Upgrade Redis.
    #[error("is too old: {product} {found}; use {needed} or newer")]
    TooOld {
        /// Redis or Valkey.
        product: &'static str,
        /// The version of the server.
        found: String,
        /// The oldest version that is supported.
        needed: &'static str,
    },
    /// Set `maxmemory-policy noeviction`, or Redis would delete rooms without an error.
    #[error("may evict keys (maxmemory-policy {0}); set maxmemory-policy to noeviction")]
    Eviction(String),
}

impl RedisFault {
    /// Adds the address of the server.
    pub(crate) fn at(self, at: impl Into<String>) -> RedisStartError {
        RedisStartError::Server { at: at.into(), fault: self }
    }

    /// Reads an error of the library.
    pub(crate) fn read(error: &RedisError) -> Self {
        // A server before 6.0 has no HELLO, so it cannot be asked for its version first.
        if error.kind() == ErrorKind::RESP3NotSupported {
            let found = "before 6.0".to_owned();
            return Self::TooOld { product: "Redis", found, needed: "6.2" };
        }
        if let Some(code) = error.code() {
            return Self::answered(&format!("{code} {}", error.detail().unwrap_or_default()));
        }
        let text = error.to_string();
        // The library gives rustls's error as text only.
        match text.split_once("invalid peer certificate: ") {
            Some((_, reason)) => Self::Certificate(clean(reason)),
            None if text.contains("received corrupt message") => Self::NoTls(clean(&text)),
            None if text.contains("received fatal alert") => Self::NoTls(clean(&text)),
            None if error.kind() == ErrorKind::AuthenticationFailed => Self::Refused(clean(&text)),
            None if matches!(error.kind(), ErrorKind::Io | ErrorKind::Client) => {
                Self::Away(clean(&text))
            }
            // The library quotes bytes that it cannot read; these may contain a password.
            None => Self::Away(error.category().to_owned()),
        }
    }

    /// Reads an error that a server answered: its code, a blank, and the rest.
    pub(crate) fn answered(said: &str) -> Self {
        let code = said.split(' ').next().unwrap_or_default();
        let said = clean(said);
        match code {
            code if PASSING_CODES.contains(&code) => Self::Busy(said),
            "ERR" if said.contains("max number of clients") => Self::Busy(said),
            "ERR" if said.to_lowercase().contains("unknown command 'sentinel'") => {
                Self::Mode("is no sentinel; write redis://")
            }
            _ => Self::Refused(said),
        }
    }
}

/// What to do where a server refuses.
fn help(said: &str) -> &'static str {
    match said.split(' ').next().unwrap_or_default() {
        "NOAUTH" | "WRONGPASS" => "correct the credentials in bus.redis_url",
        "NOPERM" => "give its user the permissions of docs/guarantees.md",
        "DENIED" => "give it a password, and write it into bus.redis_url",
        _ => "correct the server or bus.redis_url",
    }
}

/// A server's text as one short line. The arguments of a command that it quotes are left out, since
/// they may contain a password.
pub(crate) fn clean(said: &str) -> String {
    let said = said.split(", with args beginning with").next().unwrap_or_default();
    let line = said.split(['\r', '\n']).next().unwrap_or_default();
    // The first sentence is enough: Redis's texts are long.
    let line = line.split_once(". ").map_or(line, |(first, _)| first).trim_end_matches('.').trim();
    let shown: String =
        line.chars().take(MAX_QUOTED_CHARS).map(|c| if c.is_control() { '?' } else { c }).collect();
    if line.chars().count() > MAX_QUOTED_CHARS { shown + "…" } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_whether_it_passes_and_what_to_do() {
        for (said, shown) in [
            (
                "DENIED Redis is running in protected mode because protected mode is enabled and \
                 no password is set for the default user. In this mode connections are only …",
                "refuses this node: DENIED Redis is running in protected mode because protected \
                 mode is enabled and no password is set for the default user; give it a password, \
                 and write it into bus.redis_url",
            ),
            (
                "WRONGPASS invalid username-password pair or user is disabled.",
                "refuses this node: WRONGPASS invalid username-password pair or user is disabled; \
                 correct the credentials in bus.redis_url",
            ),
            (
                "NOPERM this user has no permissions to run the 'info' command",
                "refuses this node: NOPERM this user has no permissions to run the 'info' \
                 command; give its user the permissions of docs/guarantees.md",
            ),
            (
                "ERR DB index is out of range",
                "refuses this node: ERR DB index is out of range; correct the server or \
                 bus.redis_url",
            ),
            (
                "ERR unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'u' 'secret' ",
                "refuses this node: ERR unknown command 'HELLO'; correct the server or \
                 bus.redis_url",
            ),
            (
                "ERR unknown command 'SENTINEL', with args beginning with: 'GET-MASTER'",
                "is no sentinel; write redis://",
            ),
            (
                "LOADING Redis is loading the dataset in memory",
                "does not serve yet: LOADING Redis is loading the dataset in memory",
            ),
            (
                "ERR max number of clients reached",
                "does not serve yet: ERR max number of clients reached",
            ),
        ] {
            let fault = RedisFault::answered(said);
            assert_eq!(fault.to_string(), shown);
            let passes = shown.starts_with("does not serve yet");
            assert_eq!(fault.at("h:1").passes(), passes, "{said}");
        }
    }

    #[test]
    fn words_are_one_short_line_without_controls() {
        assert_eq!(clean("a\u{1b}[2Jb\r\nc"), "a?[2Jb");
        assert_eq!(clean(&"ä".repeat(300)).chars().count(), MAX_QUOTED_CHARS + 1);
    }

    #[test]
    fn what_the_library_says_is_read() {
        let io = |kind, text: &str| RedisError::from(std::io::Error::new(kind, text.to_owned()));
        use std::io::ErrorKind::{ConnectionRefused, InvalidData, TimedOut};
        for (error, fault) in [
            (io(ConnectionRefused, "refused"), RedisFault::Away("refused".into())),
            (io(TimedOut, "timed out"), RedisFault::Away("timed out".into())),
            (
                io(InvalidData, "invalid peer certificate: UnknownIssuer"),
                RedisFault::Certificate("UnknownIssuer".into()),
            ),
            (
                io(InvalidData, "received corrupt message of type InvalidContentType"),
                RedisFault::NoTls("received corrupt message of type InvalidContentType".into()),
            ),
        ] {
            assert_eq!(RedisFault::read(&error), fault);
        }
    }
}
