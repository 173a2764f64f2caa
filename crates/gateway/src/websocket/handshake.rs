//! The handshake of a WebSocket (RFC 6455, section 4.2): what a request's head must say, and the
//! head that answers it. Pure: it reads a head and says what is wrong with it; admission is
//! not its part.

use http_body_util::Full;
use hyper::body::{Body, Bytes};
use hyper::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue, UPGRADE};
use hyper::header::{
    SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION,
};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode, Version};
use roomcast_deflate::DeflateAnswer;
use roomcast_protocol::{Subprotocol, UnknownSubprotocol};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// The version of WebSocket that RFC 6455 describes.
const VERSION: &str = "13";

/// The headers of a 426: what to upgrade to (RFC 9110, section 15.5.22), and in which version
/// (RFC 6455, section 4.4).
pub(crate) const OFFER: [(HeaderName, &str); 3] =
    [(CONNECTION, "Upgrade"), (UPGRADE, "websocket"), (SEC_WEBSOCKET_VERSION, VERSION)];

/// What a request for a WebSocket's path asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// No upgrade: only what an upgrade would get.
    Answer,
    /// An upgrade, answered with this `Sec-WebSocket-Accept`.
    Upgrade(HeaderValue),
}

/// Why a handshake is none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// It speaks another version: 426, with the version to use.
    Version,
    /// A rule is broken: 400.
    Rule(&'static str),
}

/// The encoding, and the subprotocol to name in the answer.
pub(crate) fn negotiate(headers: &HeaderMap) -> Result<Subprotocol, UnknownSubprotocol> {
    let offered = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    Subprotocol::negotiate(offered.filter_map(|value| value.to_str().ok()))
}

/// The answer to the extensions that a client offers, if it offers permessage-deflate in a way that
/// can be met.
pub(crate) fn negotiate_deflate(headers: &HeaderMap) -> Option<DeflateAnswer> {
    let offered = headers.get_all(SEC_WEBSOCKET_EXTENSIONS).iter();
    DeflateAnswer::negotiate(offered.filter_map(|value| value.to_str().ok()))
}

/// What the head of a request for a WebSocket's path asks for. In HTTP/1.0 `Upgrade` means nothing
/// (RFC 9110, section 7.8).
pub(crate) fn read(head: &Parts, body: &impl Body) -> Result<Wish, Flaw> {
    let headers = &head.headers;
    if !lists(headers, &UPGRADE, "websocket") || head.version < Version::HTTP_11 {
        return Ok(Wish::Answer);
    }
    if head.method != Method::GET {
        return Err(Flaw::Rule("the method of a handshake is GET"));
    }
    if !lists(headers, &CONNECTION, "upgrade") {
        return Err(Flaw::Rule(
            "Connection does not list upgrade; does a proxy in between pass it on?",
        ));
    }
    // Its bytes would be read as frames.
    if !body.is_end_stream() {
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

/// The answer that grants an upgrade (RFC 6455, section 4.2.2).
pub(crate) fn switching(
    accept: HeaderValue,
    subprotocol: Option<&'static str>,
    deflate: Option<DeflateAnswer>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    insert(headers, [(CONNECTION, "Upgrade"), (UPGRADE, "websocket")]);
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    insert(headers, subprotocol.map(|protocol| (SEC_WEBSOCKET_PROTOCOL, protocol)));
    insert(headers, deflate.map(|answer| (SEC_WEBSOCKET_EXTENSIONS, answer.header())));
    response
}

fn insert(headers: &mut HeaderMap, fields: impl IntoIterator<Item = (HeaderName, &'static str)>) {
    for (name, value) in fields {
        headers.insert(name, HeaderValue::from_static(value));
    }
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
    fn only_16_bytes_in_base64_are_a_key() {
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
