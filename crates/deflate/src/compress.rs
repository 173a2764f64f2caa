//! The payload of compressed frames. A compressor is reused, and keeps nothing between messages: the
//! same payload gives the same bytes, for every client that negotiated the extension.

use flate2::{Compress, Compression, FlushCompress};

/// What a sync flush ends with, and a frame leaves out (RFC 7692 section 7.2.1).
const FLUSH_TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];
/// The payload of an empty message (RFC 7692 section 7.2.3.6).
const EMPTY: u8 = 0x00;
/// The effort, of 9. `examples/figures.rs` compares them on chat messages: up to 1.4 KB level 1 takes
/// a third to a half of the time for 25 % more bytes, and level 9 is 2 % smaller at most. One
/// compression is shared by many members, so bytes count more than time. With miniz_oxide in place
/// of zlib-rs level 6 took 1.4 to 3 times as long.
const LEVEL: u32 = 6;

/// Whether compression paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// The compressed payload was appended: send it with RSV1.
    Compressed,
    /// It would not be smaller, and nothing was appended: send the payload itself, without RSV1.
    NotSmaller,
}

/// Compresses message after message. It holds about 300 KiB: one for each thread, not for each
/// connection.
#[derive(Debug)]
pub struct FrameCompressor {
    deflate: Compress,
}

impl FrameCompressor {
    /// A compressor with the largest window.
    pub fn new() -> Self {
        Self::with_level(LEVEL)
    }

    /// A compressor with another effort, 1 (fast) to 9 (small).
    pub fn with_level(level: u32) -> Self {
        Self { deflate: Compress::new(Compression::new(level.clamp(1, 9)), false) }
    }

    /// Appends the payload of one compressed frame to `out`, if it is smaller than `payload`. An
    /// empty message has one byte.
    ///
    /// The length of what is sent depends on the content: do not compress a secret in one message
    /// with text of another author's choice.
    pub fn compress(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Packing {
        if payload.is_empty() {
            out.push(EMPTY);
            return Packing::Compressed;
        }
        let start = out.len();
        out.reserve(payload.len() + FLUSH_TAIL.len() + 1);
        self.deflate.reset();
        let outcome = self.deflate.compress_vec(payload, out, FlushCompress::Sync);
        // While there is room left, all of the payload and the flush have been written.
        let is_whole = outcome.is_ok()
            && self.deflate.total_in() == payload.len() as u64
            && out.len() < out.capacity()
            && out.ends_with(&FLUSH_TAIL);
        let end = out.len().saturating_sub(FLUSH_TAIL.len());
        if !is_whole || end - start >= payload.len() {
            out.truncate(start);
            return Packing::NotSmaller;
        }
        out.truncate(end);
        Packing::Compressed
    }
}

impl Default for FrameCompressor {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
