//! A client's frames, with compressed messages inflated, for a reader that knows no extension. It
//! knows where in a message it is, and nothing of sockets. Whoever calls it cuts the stream into
//! whole frames and closes the connection.

use crate::frame::{FrameKind, USUAL_HEADER, WholeFrame, ZeroMaskHeader};
use crate::inflate::{INFLATER_BYTES, InflateRefusal, InflaterPool, Inflation};

/// Memory that the output keeps from one compressed frame to the next, in bytes.
const KEPT_OUTPUT: usize = 64 * 1024;
/// Bytes that are unmasked at a time, on the stack; a multiple of the masking key's four.
const UNMASK_BYTES: usize = 2 * 1024;

/// What an unfinished compressed message has the reader hold, and what its inflater holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnfinishedMessage {
    /// Inflated payload that the reader has collected, in bytes.
    pub collected: usize,
    /// Inflated payload of its largest fragment, in bytes.
    pub largest: usize,
    /// Memory of the inflater, in bytes.
    pub inflater: usize,
}

/// The inflating side of one connection that negotiated the extension. Between messages it holds
/// nothing.
#[derive(Debug, Default)]
pub struct InboundInflate {
    open: OpenMessage,
}

/// The fragmented message whose last fragment has not come.
#[derive(Debug, Default)]
enum OpenMessage {
    #[default]
    None,
    Plain,
    Compressed(Box<Fragmented>),
}

#[derive(Debug)]
struct Fragmented {
    inflation: Inflation,
    largest: usize,
}

/// The frame that comes next.
enum NextFrame<'a> {
    Plain(WholeFrame<'a>),
    Compressed(WholeFrame<'a>),
}

impl InboundInflate {
    /// Takes frames off `frames`, which holds whole frames only; the bytes that the reader gets for
    /// them. Call it until that is empty. Frames that are not compressed are given as they are, as
    /// many as follow each other; a compressed one is given alone, written into `out`.
    ///
    /// `limit` bounds the payload of a compressed message in bytes, as it came and inflated, also
    /// while it is unfinished. After a refusal the connection must be closed.
    pub fn next<'wire: 'out, 'out>(
        &mut self,
        frames: &mut &'wire [u8],
        limit: usize,
        pool: &mut InflaterPool,
        out: &'out mut Vec<u8>,
    ) -> Result<&'out [u8], InflateRefusal> {
        let all = *frames;
        while !frames.is_empty() {
            let plain = &all[..all.len() - frames.len()];
            let frame = match self.look(frames) {
                Ok(NextFrame::Plain(frame)) => frame,
                // What comes before is read first; then this frame is looked at again.
                _ if !plain.is_empty() => return Ok(plain),
                Ok(NextFrame::Compressed(frame)) => {
                    *frames = &frames[frame.length..];
                    self.rewrite(&frame, limit, pool, out)?;
                    return Ok(out);
                }
                Err(refusal) => return Err(refusal),
            };
            self.pass(&frame);
            *frames = &frames[frame.length..];
        }
        Ok(all)
    }

    /// What is held for a compressed message that is unfinished.
    pub fn unfinished(&self) -> Option<UnfinishedMessage> {
        let OpenMessage::Compressed(fragmented) = &self.open else { return None };
        Some(UnfinishedMessage {
            collected: fragmented.inflation.inflated(),
            largest: fragmented.largest,
            inflater: INFLATER_BYTES + size_of::<Fragmented>(),
        })
    }

    /// Looks at the frame at the begin of `bytes`. Fails if it may not stand here; other faults of a
    /// frame without RSV1 are the reader's to find.
    fn look<'a>(&self, bytes: &'a [u8]) -> Result<NextFrame<'a>, InflateRefusal> {
        let frame = WholeFrame::read(bytes).ok_or(InflateRefusal::Protocol)?;
        match (frame.kind(), &self.open, frame.has_rsv1()) {
            (FrameKind::Control | FrameKind::Continuation, _, true)
            | (FrameKind::Data, OpenMessage::Plain | OpenMessage::Compressed(_), _) => {
                Err(InflateRefusal::Protocol)
            }
            (FrameKind::Data, OpenMessage::None, true)
            | (FrameKind::Continuation, OpenMessage::Compressed(_), false) => {
                Ok(NextFrame::Compressed(frame))
            }
            _ => Ok(NextFrame::Plain(frame)),
        }
    }

    /// Follows a frame that is given as it is.
    fn pass(&mut self, frame: &WholeFrame<'_>) {
        if frame.kind() != FrameKind::Control {
            self.open = if frame.is_final() { OpenMessage::None } else { OpenMessage::Plain };
        }
    }

    /// Writes a frame of a compressed message into `out`, inflated.
    fn rewrite(
        &mut self,
        frame: &WholeFrame<'_>,
        limit: usize,
        pool: &mut InflaterPool,
        out: &mut Vec<u8>,
    ) -> Result<(), InflateRefusal> {
        let is_first = frame.kind() == FrameKind::Data;
        let key = frame.key.filter(|_| !frame.has_unknown_bits());
        let key = key.ok_or(InflateRefusal::Protocol)?;
        let (mut inflation, mut largest) = match std::mem::take(&mut self.open) {
            OpenMessage::None if is_first && frame.is_text_or_binary() => {
                (Inflation::begin(pool), 0)
            }
            OpenMessage::Compressed(fragmented) if !is_first => {
                (fragmented.inflation, fragmented.largest)
            }
            _ => return Err(InflateRefusal::Protocol),
        };
        if out.capacity() > KEPT_OUTPUT {
            *out = Vec::new();
        }
        out.clear();
        out.resize(USUAL_HEADER, 0);
        inflation.charge(frame.payload.len(), limit)?;
        for masked in frame.payload.chunks(UNMASK_BYTES) {
            let mut chunk = [0; UNMASK_BYTES];
            let chunk = &mut chunk[..masked.len()];
            for (at, (byte, masked)) in chunk.iter_mut().zip(masked).enumerate() {
                *byte = masked ^ key[at % 4];
            }
            inflation.feed(chunk, limit, out)?;
        }
        if frame.is_final() {
            inflation.finish(limit, out, pool)?;
        } else {
            largest = largest.max(out.len() - USUAL_HEADER);
            self.open = OpenMessage::Compressed(Box::new(Fragmented { inflation, largest }));
        }
        let header = ZeroMaskHeader::new(frame.plain_first(), out.len() - USUAL_HEADER);
        out.splice(..USUAL_HEADER, header.as_bytes().iter().copied());
        Ok(())
    }
}

#[cfg(test)]
mod tests;
