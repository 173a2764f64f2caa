//! A connection's frames as the reader of messages takes them: without compression. It owns the state
//! of a compressed message that is arriving; inflaters and buffers are the worker's.

use roomcast_deflate::{InboundInflate, InflateRefusal, UnfinishedMessage};
use roomcast_protocol::CloseCode;

use super::frame_role::measure;
use crate::form::FrameExtension;
use crate::worker::{FrameRole, InflateScratch};

/// One whole frame.
#[derive(Debug, Clone, Copy)]
pub(super) enum UnpackedFrame<'a> {
    AsItCame(&'a [u8]),
    /// It is of a compressed message, and had so many bytes of payload on the wire.
    Inflated {
        frame: &'a [u8],
        compressed: usize,
    },
}

impl<'a> UnpackedFrame<'a> {
    /// The frame to read.
    pub(super) fn bytes(self) -> &'a [u8] {
        match self {
            Self::AsItCame(frame) | Self::Inflated { frame, .. } => frame,
        }
    }

    /// What it is for the rates, and for how many bytes it counts: the larger of its sizes, as a
    /// frame that inflates to nothing costs CPU too.
    pub(super) fn measure(self) -> (FrameRole, usize) {
        let (role, payload) = measure(self.bytes());
        match self {
            Self::AsItCame(_) => (role, payload),
            Self::Inflated { compressed, .. } => (role, payload.max(compressed)),
        }
    }
}

/// The inflating side of one connection.
#[derive(Debug)]
pub(super) struct FrameUnpacker {
    /// There is one if compression was negotiated. Between messages it holds nothing.
    inflate: Option<InboundInflate>,
}

impl FrameUnpacker {
    /// A connection at the begin of a message.
    pub(super) fn new(extension: FrameExtension) -> Self {
        let inflate = match extension {
            FrameExtension::None => None,
            FrameExtension::Deflate => Some(InboundInflate::default()),
        };
        Self { inflate }
    }

    /// Unpacks a whole frame. `max_message` bounds a compressed message in bytes, as it came and
    /// inflated.
    pub(super) fn unpack<'a>(
        &mut self,
        frame: &'a [u8],
        max_message: usize,
        scratch: &'a mut InflateScratch,
    ) -> Result<UnpackedFrame<'a>, CloseCode> {
        let Some(inflate) = &mut self.inflate else { return Ok(UnpackedFrame::AsItCame(frame)) };
        let InflateScratch { pool, frame: out } = scratch;
        let mut left = frame;
        let read = inflate.next(&mut left, max_message, pool, out).map_err(code_of)?;
        debug_assert!(left.is_empty(), "one frame is taken at once");
        if std::ptr::eq(read, frame) {
            return Ok(UnpackedFrame::AsItCame(frame));
        }
        let (_, compressed) = measure(frame);
        Ok(UnpackedFrame::Inflated { frame: read, compressed })
    }

    /// The most that the reader and the inflater hold of the compressed message that is open, in
    /// bytes; `None` if there is none. `read_buffer` is what the reader's buffer has at least; it
    /// grows by doubling, as the collected message does.
    pub(super) fn collected(&self, read_buffer: usize) -> Option<usize> {
        let UnfinishedMessage { collected, largest, inflater } =
            self.inflate.as_ref()?.unfinished()?;
        Some(2 * (read_buffer + largest + collected) + inflater)
    }
}

fn code_of(refusal: InflateRefusal) -> CloseCode {
    match refusal {
        InflateRefusal::Protocol => CloseCode::Protocol,
        InflateRefusal::Corrupt => CloseCode::BadDeflate,
        InflateRefusal::TooBig => CloseCode::TooBig,
    }
}
