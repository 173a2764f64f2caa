//! One message's compressed bytes, inflated as they come and never beyond the bound. An inflater
//! belongs to a message; between messages it waits in the worker's pool.

use flate2::{Decompress, FlushDecompress, Status};

/// What follows the payload of a message: the flush that its author left out, and a last block that
/// is empty, so that a stream which ends early is noticed.
const MESSAGE_TAIL: [u8; 9] = [0x00, 0x00, 0xff, 0xff, 0x01, 0x00, 0x00, 0xff, 0xff];
/// Bytes by which inflated data grows at a time: the most that is written beyond the bound's check.
const STEP_BYTES: usize = 8 * 1024;
/// Streams that a message may consist of. Each costs a reset, so a message of empty ones would cost
/// 50 times what another message of its size does.
const MAX_STREAMS: u32 = 1_024;
/// Inflaters that a pool keeps. One serves all messages of one frame; more are there while
/// fragmented messages end.
const SPARE_INFLATERS: usize = 2;
/// Memory of an inflater: its window of 32 KiB and its tables. `examples/figures.rs` measures it.
pub(crate) const INFLATER_BYTES: usize = 48 * 1024;

/// Why a frame cannot be taken. Close the connection; nothing after it can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InflateRefusal {
    /// Close with 1002: RSV1 where RFC 7692 forbids it, or a compressed frame that breaks RFC 6455.
    #[error("a compressed frame where none may be")]
    Protocol,
    /// Close with 1007: the stream is no DEFLATE, ends early, refers to bytes before its message, or
    /// has more than 1,024 last blocks.
    #[error("a compressed message that does not inflate")]
    Corrupt,
    /// Close with 1009: the message is above the bound, compressed or inflated.
    #[error("a message above the bound")]
    TooBig,
}

impl InflateRefusal {
    /// The number of the Close frame.
    pub const fn close_code(self) -> u16 {
        match self {
            Self::Protocol => 1002,
            Self::Corrupt => 1007,
            Self::TooBig => 1009,
        }
    }
}

/// Inflaters that wait for a message: one pool for each worker.
#[derive(Debug, Default)]
pub struct InflaterPool {
    spare: Vec<Decompress>,
}

impl InflaterPool {
    /// Memory that waits, in bytes.
    pub fn held(&self) -> usize {
        self.spare.len() * INFLATER_BYTES
    }

    fn take(&mut self) -> Decompress {
        self.spare.pop().unwrap_or_else(|| Decompress::new(false))
    }

    fn put(&mut self, mut inflater: Decompress) {
        if self.spare.len() < SPARE_INFLATERS {
            inflater.reset(false);
            self.spare.push(inflater);
        }
    }
}

/// Where the stream of a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StreamState {
    Open,
    /// Its last block has ended. What follows is a stream of its own (RFC 7692 section 7.2.3.4).
    Ended,
}

/// A message that is being inflated.
#[derive(Debug)]
pub(crate) struct Inflation {
    inflater: Decompress,
    state: StreamState,
    /// Streams begun.
    streams: u32,
    compressed: usize,
    inflated: usize,
}

impl Inflation {
    pub(crate) fn begin(pool: &mut InflaterPool) -> Self {
        Self {
            inflater: pool.take(),
            state: StreamState::Open,
            streams: 1,
            compressed: 0,
            inflated: 0,
        }
    }

    /// Bytes inflated so far.
    pub(crate) fn inflated(&self) -> usize {
        self.inflated
    }

    /// Counts payload that came, before it is looked at.
    pub(crate) fn charge(&mut self, bytes: usize, limit: usize) -> Result<(), InflateRefusal> {
        self.compressed = self.compressed.saturating_add(bytes);
        if self.compressed > limit { Err(InflateRefusal::TooBig) } else { Ok(()) }
    }

    /// Appends what `input` inflates to. Fails as soon as the message has more than `limit` bytes.
    pub(crate) fn feed(
        &mut self,
        mut input: &[u8],
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), InflateRefusal> {
        loop {
            if self.state == StreamState::Ended {
                if input.is_empty() {
                    return Ok(());
                }
                if self.streams == MAX_STREAMS {
                    return Err(InflateRefusal::Corrupt);
                }
                self.streams += 1;
                self.inflater.reset(false);
                self.state = StreamState::Open;
            }
            let room = limit.saturating_sub(self.inflated).saturating_add(1);
            let (used, made) = self.step(input, room, out)?;
            input = &input[used..];
            self.inflated += made;
            if self.inflated > limit {
                return Err(InflateRefusal::TooBig);
            }
            if self.state == StreamState::Open {
                if input.is_empty() && made < room.min(STEP_BYTES) {
                    return Ok(());
                }
                if used == 0 && made == 0 {
                    return Err(InflateRefusal::Corrupt);
                }
            }
        }
    }

    /// Inflates at most a step and at most `room` bytes; how many bytes were used and made.
    fn step(
        &mut self,
        input: &[u8],
        room: usize,
        out: &mut Vec<u8>,
    ) -> Result<(usize, usize), InflateRefusal> {
        let at = out.len();
        grow(out, at + room.min(STEP_BYTES), at.saturating_add(room));
        let (used, made) = (self.inflater.total_in(), self.inflater.total_out());
        let status = self
            .inflater
            .decompress(input, &mut out[at..], FlushDecompress::Sync)
            .map_err(|_| InflateRefusal::Corrupt)?;
        let used = (self.inflater.total_in() - used) as usize;
        let made = (self.inflater.total_out() - made) as usize;
        out.truncate(at + made);
        if status == Status::StreamEnd {
            self.state = StreamState::Ended;
        }
        Ok((used, made))
    }

    /// The message has come: appends its rest, and gives its inflater back.
    pub(crate) fn finish(
        mut self,
        limit: usize,
        out: &mut Vec<u8>,
        pool: &mut InflaterPool,
    ) -> Result<(), InflateRefusal> {
        if self.state == StreamState::Open {
            self.feed(&MESSAGE_TAIL, limit, out)?;
            if self.state == StreamState::Open {
                return Err(InflateRefusal::Corrupt);
            }
        }
        pool.put(self.inflater);
        Ok(())
    }
}

/// Makes `out` so many bytes long. Its memory grows by half, and not beyond `ceiling`.
fn grow(out: &mut Vec<u8>, length: usize, ceiling: usize) {
    if out.capacity() < length {
        let roomy = out.capacity() + out.capacity() / 2;
        out.reserve_exact(roomy.min(ceiling).max(length) - out.len());
    }
    out.resize(length, 0);
}

#[cfg(test)]
mod tests;
