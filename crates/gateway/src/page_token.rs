//! Tokens of pages: where the next page of a list begins, good for 30 seconds. On a connection they
//! are good there only. Pure but for the random key.

use std::hash::{BuildHasher, RandomState};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use roomcast_protocol::{ConnectionId, RoomName};

/// How long a token is good, in ms.
const LIFE_MS: u64 = 30_000;
/// How far ahead of this node's clock another node's may be, in ms.
const AHEAD_MS: u64 = 5_000;

/// What the tokens of connections are sealed with.
#[derive(Debug, Default)]
pub(crate) struct PageSecret(RandomState);

/// For whom a token is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum PageReader<'a> {
    /// A connection of this node.
    Connection(&'a PageSecret, ConnectionId),
    /// A backend, which may ask any node next: what it gives is not secret, and need not be proved.
    Backend,
}

impl PageReader<'_> {
    /// A token by which the page after `mark` is asked for.
    pub(crate) fn make(self, room: &RoomName, mark: &[u8], now: u64) -> Box<str> {
        let mut bytes = now.to_be_bytes().to_vec();
        bytes.extend_from_slice(&self.seal(room, now, mark).to_be_bytes());
        bytes.extend_from_slice(mark);
        BASE64_URL_SAFE_NO_PAD.encode(bytes).into()
    }

    /// The mark in a token; `None` if it was not made for this reader and room, or too long ago.
    pub(crate) fn read(self, room: &RoomName, token: &str, now: u64) -> Option<Vec<u8>> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
        let (made, rest) = bytes.split_first_chunk()?;
        let (seal, mark) = rest.split_first_chunk()?;
        let made = u64::from_be_bytes(*made);
        let is_its = u64::from_be_bytes(*seal) == self.seal(room, made, mark);
        let is_fresh = made <= now.saturating_add(AHEAD_MS) && now <= made.saturating_add(LIFE_MS);
        (is_its && is_fresh).then(|| mark.to_vec())
    }

    fn seal(self, room: &RoomName, made: u64, mark: &[u8]) -> u64 {
        match self {
            Self::Connection(secret, id) => secret.0.hash_one((id, room, made, mark)),
            Self::Backend => checksum(&[room.as_str().as_bytes(), &made.to_be_bytes(), mark]),
        }
    }
}

/// FNV-1a, the same on all nodes: tells a token from another text.
fn checksum(parts: &[&[u8]]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.iter());
    bytes.fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_reader_its_room_and_thirty_seconds() {
        let (secret, other) = (PageSecret::default(), PageSecret::default());
        let room = |name| RoomName::parse(name).unwrap();
        let (a, b) = (room("a"), room("b"));
        let ann = PageReader::Connection(&secret, ConnectionId(1));
        let token = ann.make(&a, b"mark", 1_000);
        let read = |reader: PageReader<'_>, room, now| reader.read(room, &token, now);
        assert_eq!(read(ann, &a, 31_000).as_deref(), Some(&b"mark"[..]));
        assert_eq!(read(ann, &a, 31_001), None);
        assert_eq!(read(ann, &b, 1_000), None);
        assert_eq!(read(PageReader::Connection(&secret, ConnectionId(2)), &a, 1_000), None);
        assert_eq!(read(PageReader::Connection(&other, ConnectionId(1)), &a, 1_000), None);
        for bad in ["", "x", "MTI4", "!", &token[..token.len() - 2]] {
            assert_eq!(ann.read(&a, bad, 1_000), None, "{bad}");
        }
        // A backend's is good on every node.
        let token = PageReader::Backend.make(&a, b"mark", 1_000);
        let read = PageReader::Backend.read(&a, &token, 2_000);
        assert_eq!(read.as_deref(), Some(&b"mark"[..]));
    }
}
