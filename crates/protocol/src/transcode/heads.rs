//! Where MessagePack is written before it is known how many entries a container has. Each head has
//! one byte at first; those that need more are widened at the end, all in one move from the back, so
//! that the work is linear however deep the containers nest.

use rmp::encode;

use super::to_msgpack::VEC;

/// The most entries that a head of one byte can state.
const MAX_SHORT: u32 = 15;
/// The longest head: a marker and four bytes.
const MAX_HEAD: usize = 5;

/// What has a head with a number of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Container {
    Array,
    Map,
}

/// Output whose heads may have to be widened; it must be ended with `finish`.
#[must_use]
pub(super) struct Sink<'o> {
    pub(super) out: &'o mut Vec<u8>,
    /// Heads that need more than the byte that was kept for them.
    long: Vec<LongHead>,
}

struct LongHead {
    at: usize,
    container: Container,
    len: u32,
}

impl<'o> Sink<'o> {
    pub(super) fn new(out: &'o mut Vec<u8>) -> Self {
        Self { out, long: Vec::new() }
    }

    /// Keeps a byte for a head; returns where.
    pub(super) fn begin(&mut self) -> usize {
        self.out.push(0);
        self.out.len() - 1
    }

    /// A container that began at `at` has so many entries.
    pub(super) fn end(&mut self, at: usize, container: Container, len: u32) {
        if len <= MAX_SHORT {
            let marker = match container {
                Container::Array => rmp::Marker::FixArray(len as u8),
                Container::Map => rmp::Marker::FixMap(len as u8),
            };
            self.out[at] = marker.to_u8();
        } else {
            self.long.push(LongHead { at, container, len });
        }
    }

    /// Widens the heads that need it.
    pub(super) fn finish(self) {
        let Self { out, mut long } = self;
        long.sort_unstable_by_key(|head| head.at);
        let mut end = out.len();
        let added: usize = long.iter().map(|head| head.encoded().1 - 1).sum();
        let mut to = end + added;
        out.resize(to, 0);
        for head in long.iter().rev() {
            let behind = head.at + 1..end;
            to -= behind.len();
            out.copy_within(behind, to);
            let (bytes, len) = head.encoded();
            to -= len;
            out[to..to + len].copy_from_slice(&bytes[..len]);
            end = head.at;
        }
        debug_assert_eq!(to, end, "what lies before the first long head stays where it is");
    }
}

impl LongHead {
    /// The bytes, and how many of them count.
    fn encoded(&self) -> ([u8; MAX_HEAD], usize) {
        let mut bytes = [0; MAX_HEAD];
        let mut free = &mut bytes[..];
        match self.container {
            Container::Array => encode::write_array_len(&mut free, self.len).expect(VEC),
            Container::Map => encode::write_map_len(&mut free, self.len).expect(VEC),
        };
        let len = MAX_HEAD - free.len();
        (bytes, len)
    }
}
