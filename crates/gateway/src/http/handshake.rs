//! What RFC 6455 (section 4.2.1), RFC 9110 and RFC 9112 ask of a request's head: one `Host`, and
//! the fields of an upgrade. Pure: it reads a head and says what is wrong with it.

use hyper::body::Body;
use hyper::header::{CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, UPGRADE};
use hyper::header::{SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION};
use hyper::http::uri::Authority;
use hyper::{Method, Request, Version};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// The version of WebSocket that RFC 6455 describes.
pub(super) const VERSION: &str = "13";

/// What a request for a WebSocket's path asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// No upgrade: only what an upgrade would get.
    Answer,
    /// An upgrade, answered with this `Sec-WebSocket-Accept`.
    Upgrade(HeaderValue),
}

/// Why a handshake is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// It speaks another version: 426, with the version to use.
    Version,
    /// A rule is broken: 400.
    Rule(&'static str),
}

/// Whether a request names its host as RFC 9112, section 3.2 demands; if not, what is wrong.
pub(super) fn check_host<B>(request: &Request<B>) -> Result<(), &'static str> {
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if is_host(host.as_bytes()) => Ok(()),
        (Some(_), None) => Err("the value of Host is not a host with or without a port"),
        (Some(_), Some(_)) => Err("there are several lines with Host: send one"),
        (None, _) if request.version() < Version::HTTP_11 => Ok(()),
        (None, _) => Err("the line with Host is missing"),
    }
}

/// An empty value is one: a target may have no authority.
fn is_host(value: &[u8]) -> bool {
    if value.is_empty() {
        return true;
    }
    let Ok(authority) = Authority::try_from(value) else { return false };
    let port = &authority.as_str()[authority.host().len().min(value.len())..];
    !value.contains(&b'@')
        && (port.is_empty()
            || port.strip_prefix(':').is_some_and(|p| p.bytes().all(|b| b.is_ascii_digit())))
}

/// What the head of a request for a WebSocket's path asks for. In HTTP/1.0 `Upgrade` means nothing
/// (RFC 9110, section 7.8).
pub(super) fn read<B: Body>(request: &Request<B>) -> Result<Wish, Flaw> {
    let headers = request.headers();
    if !lists(headers, &UPGRADE, "websocket") || request.version() < Version::HTTP_11 {
        return Ok(Wish::Answer);
    }
    if request.method() != Method::GET {
        return Err(Flaw::Rule("the method of a handshake is GET"));
    }
    if !lists(headers, &CONNECTION, "upgrade") {
        return Err(Flaw::Rule(
            "Connection does not list upgrade; does a proxy in between pass it on?",
        ));
    }
    // Its bytes would be read as frames.
    if !request.body().is_end_stream() {
        return Err(Flaw::Rule("a handshake has no body"));
    }
    match only(headers, &SEC_WEBSOCKET_VERSION) {
        Some(version) if version == VERSION => {}
        Some(_) => return Err(Flaw::Version),
        None => return Err(Flaw::Rule("Sec-WebSocket-Version is to be sent once")),
    }
    let key = only(headers, &SEC_WEBSOCKET_KEY).filter(|key| is_key(key.as_bytes()));
    let key = key.ok_or(Flaw::Rule("Sec-WebSocket-Key is to be sent once, 16 bytes in base64"))?;
    let accept = HeaderValue::try_from(derive_accept_key(key.as_bytes()));
    Ok(Wish::Upgrade(accept.expect("base64 is visible ASCII")))
}

/// Whether a list of words, in one line or several, has this one, in capitals or not.
fn lists(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let words = headers.get_all(name).iter().flat_map(|line| line.as_bytes().split(|&b| b == b','));
    words.into_iter().any(|found| found.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
}

/// The value of a field that must not come twice.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Whether these are 16 bytes in base64. Bits of the last character that say nothing may be set
/// (RFC 4648, section 3.5).
fn is_key(value: &[u8]) -> bool {
    let in_base64 = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    value.len() == 24
        && value.strip_suffix(b"==").is_some_and(|digits| digits.iter().all(in_base64))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hosts_are_told_from_what_is_none() {
        for host in ["", "node", "node:8080", "node:", "a.b-c.example", "127.0.0.1:1", "[::1]:80"] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for other in ["a b", "a/b", "u@h", "a:b", "[::1", "::1", "a:80:80", "a?b", "a#b", "a\\b"] {
            assert!(!is_host(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn keys_are_told_from_what_is_none() {
        for key in
            ["dGhlIHNhbXBsZSBub25jZQ==", "////////////////////+w==", "AAAAAAAAAAAAAAAAAAAAAB=="]
        {
            assert!(is_key(key.as_bytes()), "{key}");
        }
        for other in
            ["", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZQ=A", "========================"]
        {
            assert!(!is_key(other.as_bytes()), "{other}");
        }
    }

    proptest! {
        #[test]
        fn no_host_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            is_host(&bytes);
        }

        /// However a list is cut into lines, its words are found.
        #[test]
        fn a_list_is_one_list_however_it_is_cut(
            words in prop::collection::vec("[a-z]{1,9}", 0..6), at in any::<prop::sample::Index>(),
            blanks in "[ \t]{0,3}", has in any::<bool>(), cuts in any::<u8>(),
        ) {
            let mut words: Vec<_> = words.into_iter().filter(|word| word != "upgrade").collect();
            if has {
                words.insert(at.index(words.len() + 1), "UpGrade".into());
            }
            let mut headers = HeaderMap::new();
            let mut line = String::new();
            for (n, word) in words.iter().enumerate() {
                line.push_str(&format!("{blanks}{word}{blanks}"));
                if cuts >> n & 1 == 1 {
                    headers.append(CONNECTION, HeaderValue::from_str(&line).unwrap());
                    line.clear();
                } else {
                    line.push(',');
                }
            }
            headers.append(CONNECTION, HeaderValue::from_str(&line).unwrap());
            prop_assert_eq!(lists(&headers, &CONNECTION, "upgrade"), has);
        }
    }
}
