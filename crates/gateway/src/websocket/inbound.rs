//! Reading: bytes of the socket become messages, through tungstenite. Its state exists only while
//! a message is arriving, so that an idle connection holds none. tungstenite is given whole frames;
//! what is held of others is what has come of them.

use std::borrow::Cow;
use std::cell::Cell;
use std::io::{self, Read, Write};
use std::rc::Rc;

use bytes::Bytes;
use roomcast_protocol::CloseCode;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode as PeerCode;
use tokio_tungstenite::tungstenite::protocol::{
    CloseFrame, Role, WebSocketConfig, WebSocketContext,
};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::boundary::{Ahead, Boundary};
use super::frame_unpacker::{FrameUnpacker, UnpackedFrame};
use super::inbound_share::InboundShare;
use super::turn::ReadTurn;
use crate::connection::Arriving;
use crate::form::FrameExtension;
use crate::worker::InflateScratch;

/// tungstenite's read buffer: zero-filled at every read, so small; a larger frame grows it.
const READ_BUFFER: usize = 2 * 1024;
/// What arrived.
#[derive(Debug)]
pub(super) enum InboundEvent {
    /// A text message, valid UTF-8.
    Text(Utf8Bytes),
    /// A binary message.
    Binary(Bytes),
    /// Nothing more for now.
    Pause,
    /// The client's Close; its answer is in the control bytes.
    Close,
    /// The client broke the protocol; close with this code.
    Broken(CloseCode),
}

/// The reading side of one connection.
#[derive(Debug)]
pub(super) struct Inbound {
    extension: FrameExtension,
    open: Option<Box<Open>>,
    /// A part of a record of TLS that the socket holds.
    sealed: Option<InboundShare>,
}

#[derive(Debug)]
struct Open {
    /// There is one from a turn's first whole frame on, and longer while a message is fragmented.
    context: Option<WebSocketContext>,
    boundary: Boundary,
    unpacker: FrameUnpacker,
    /// What has come of a frame that is not whole.
    part: Vec<u8>,
    /// Bytes that the frame in `part` has at least.
    needs: usize,
    /// Bytes that were read and wait for a later turn.
    postponed: Bytes,
    /// Memory that `postponed` keeps.
    postponed_held: usize,
    /// What is unfinished began in the bytes that were taken in last.
    begun: bool,
    /// A header that no frame may have: nothing after it is read.
    refused: Option<CloseCode>,
    share: InboundShare,
}

impl Inbound {
    /// The reading side of a connection whose frames may be what its handshake settled.
    pub(super) fn new(extension: FrameExtension) -> Self {
        Self { extension, open: None, sealed: None }
    }

    /// Begins a turn: then take frames with [`Self::run`], have each unpacked, and call [`Self::settle`] at its
    /// end. `held` counts what all connections of the worker hold.
    pub(super) fn begin(&mut self, held: &Rc<Cell<usize>>) {
        let extension = self.extension;
        let open = self.open.get_or_insert_with(|| {
            Box::new(Open {
                context: None,
                boundary: Boundary::new(extension),
                unpacker: FrameUnpacker::new(extension),
                part: Vec::new(),
                needs: 0,
                postponed: Bytes::new(),
                postponed_held: 0,
                begun: true,
                refused: None,
                share: InboundShare::new(held),
            })
        });
        open.begun = !open.is_unfinished();
    }

    /// The next whole frame of `input`, which is cut off it: unpack it, and give it to
    /// [`Self::next`] until that pauses. What has come of an unfinished frame is kept. None if the input or the turn is over,
    /// or the frame that comes next is refused.
    pub(super) fn run<'a>(
        &mut self,
        input: &mut &'a [u8],
        max_message: usize,
        turn: &mut ReadTurn,
    ) -> Option<Cow<'a, [u8]>> {
        let open = self.open.as_mut()?;
        if input.is_empty() || turn.frames() == 0 || open.refused.is_some() {
            return None;
        }
        if !open.part.is_empty() {
            let whole = open.complete(input, max_message)?;
            turn.take_frames(1);
            return Some(Cow::Owned(whole));
        }
        let length = match open.boundary.take(input, max_message) {
            Ahead::Whole(bytes) => bytes,
            Ahead::Part(needs) => {
                (open.part, open.needs) = (input.to_vec(), needs);
                *input = &[];
                return None;
            }
            Ahead::Refused(code) => {
                open.refused = Some(code);
                return None;
            }
        };
        open.begun |= !open.boundary.is_fragmented();
        turn.take_frames(1);
        let (run, rest) = input.split_at(length);
        *input = rest;
        Some(Cow::Borrowed(run))
    }

    /// A whole frame as [`Self::next`] takes it: one of a compressed message is inflated, into
    /// `scratch`. An error ends the connection.
    pub(super) fn unpack<'a>(
        &mut self,
        frame: &'a [u8],
        max_message: usize,
        scratch: &'a mut InflateScratch,
    ) -> Result<UnpackedFrame<'a>, CloseCode> {
        match &mut self.open {
            Some(open) => open.unpacker.unpack(frame, max_message, scratch),
            None => Ok(UnpackedFrame::AsItCame(frame)),
        }
    }

    /// The next message out of a run, of which what was read is cut off. Answers to control frames
    /// are appended to `control`.
    pub(super) fn next(
        &mut self,
        run: &mut &[u8],
        max_message: usize,
        control: &mut Vec<u8>,
    ) -> InboundEvent {
        let Some(open) = &mut self.open else { return InboundEvent::Pause };
        let context = open.context.get_or_insert_with(|| context(max_message));
        let mut wire = Wire { input: run, control };
        loop {
            return match context.read(&mut wire) {
                Ok(Message::Text(text)) => InboundEvent::Text(text),
                Ok(Message::Binary(bytes)) => InboundEvent::Binary(bytes),
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => continue,
                Ok(Message::Close(Some(close))) if is_tungstenites_own(&close) => {
                    InboundEvent::Broken(CloseCode::Protocol)
                }
                Ok(Message::Close(_)) => {
                    // Writes the answer; that the connection is over is what we want to hear.
                    let _over = context.flush(&mut wire);
                    InboundEvent::Close
                }
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    InboundEvent::Pause
                }
                Err(Error::ConnectionClosed | Error::AlreadyClosed) => InboundEvent::Close,
                Err(error) => InboundEvent::Broken(code_of(&error)),
            };
        }
    }

    /// Why the frame that comes next is refused, if it is: after the frames before it.
    pub(super) fn refused(&self) -> Option<CloseCode> {
        self.open.as_ref()?.refused
    }

    /// Keeps frames for a later turn. Nothing more is read until they were handled.
    pub(super) fn postpone(&mut self, bytes: Bytes, held: usize) {
        if let Some(open) = &mut self.open {
            (open.postponed, open.postponed_held) = (bytes, held);
        }
    }

    /// Whether frames wait for a later turn.
    pub(super) fn has_postponed(&self) -> bool {
        self.open.as_ref().is_some_and(|open| !open.postponed.is_empty())
    }

    /// The frames that waited for this turn, and the memory that they keep.
    pub(super) fn take_postponed(&mut self) -> (Bytes, usize) {
        let Some(open) = &mut self.open else { return (Bytes::new(), 0) };
        (std::mem::take(&mut open.postponed), std::mem::take(&mut open.postponed_held))
    }

    /// Counts what the socket holds of a record of TLS that has not come whole.
    pub(super) fn hold_sealed(&mut self, bytes: usize, all: &Rc<Cell<usize>>) {
        match (&mut self.sealed, bytes) {
            (_, 0) => self.sealed = None,
            (Some(share), bytes) => share.hold(bytes),
            (none, bytes) => none.insert(InboundShare::new(all)).hold(bytes),
        }
    }

    /// Whether such a record was held at the last count.
    pub(super) fn has_sealed(&self) -> bool {
        self.sealed.is_some()
    }

    /// Ends a turn: counts what is held, and drops the reading state if nothing is.
    pub(super) fn settle(&mut self) -> Arriving {
        let Some(open) = &mut self.open else { return Arriving::Nothing };
        if !open.boundary.is_fragmented() {
            open.context = None;
        }
        let arriving = match (open.is_unfinished(), open.begun) {
            (true, true) => Arriving::Begun,
            (true, false) => Arriving::Still,
            (false, _) if open.postponed.is_empty() => Arriving::Nothing,
            (false, _) => Arriving::Postponed,
        };
        if arriving == Arriving::Nothing {
            self.open = None;
        } else {
            open.share.hold(open.held());
        }
        arriving
    }
}

impl Open {
    /// Whether a message is arriving.
    fn is_unfinished(&self) -> bool {
        !self.part.is_empty() || self.boundary.is_fragmented() || self.refused.is_some()
    }

    /// Moves bytes of `input` to the frame that is not whole; the frame, if it is whole then.
    fn complete(&mut self, input: &mut &[u8], max_message: usize) -> Option<Vec<u8>> {
        loop {
            let missing = self.needs - self.part.len();
            let (more, rest) = input.split_at(missing.min(input.len()));
            self.append(more);
            *input = rest;
            if self.part.len() < self.needs {
                return None;
            }
            match self.boundary.take(&self.part, max_message) {
                Ahead::Whole(_) => {
                    self.begun |= !self.boundary.is_fragmented();
                    return Some(std::mem::take(&mut self.part));
                }
                Ahead::Part(needs) => self.needs = needs,
                Ahead::Refused(code) => {
                    self.part = Vec::new();
                    self.refused = Some(code);
                    return None;
                }
            }
        }
    }

    /// Grows by half of what came, and never beyond the frame: by what a header claims alone,
    /// nothing.
    fn append(&mut self, bytes: &[u8]) {
        let length = self.part.len() + bytes.len();
        if self.part.capacity() < length {
            let roomy = self.part.capacity() + self.part.capacity() / 2;
            self.part.reserve_exact(roomy.min(self.needs).max(length) - self.part.len());
        }
        self.part.extend_from_slice(bytes);
    }

    /// All memory that is held until the next turn, in bytes.
    fn held(&self) -> usize {
        let inflated = self.unpacker.collected(READ_BUFFER);
        let collected = inflated.unwrap_or_else(|| self.boundary.collected(READ_BUFFER));
        size_of::<Self>() + self.part.capacity() + self.postponed_held + collected
    }
}

fn context(max_message: usize) -> WebSocketContext {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(64 * 1024)
        .max_message_size(Some(max_message))
        .max_frame_size(Some(max_message));
    WebSocketContext::new(Role::Server, Some(config))
}

/// Whether tungstenite put this in place of a Close whose code must not be sent (RFC 6455, section
/// 7.4). Its answer has a reason of its own and is not flushed; the node's names the documented one.
fn is_tungstenites_own(close: &CloseFrame) -> bool {
    close.code == PeerCode::Protocol && close.reason.as_str() == "Protocol violation"
}

fn code_of(error: &Error) -> CloseCode {
    match error {
        Error::Capacity(CapacityError::MessageTooLong { .. }) => CloseCode::TooBig,
        Error::Utf8(_) => CloseCode::BadUtf8,
        _ => CloseCode::Protocol,
    }
}

/// What tungstenite takes for the socket.
struct Wire<'a, 'b> {
    input: &'a mut &'b [u8],
    control: &'a mut Vec<u8>,
}

impl Read for Wire<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.input.read(buffer)
    }
}

impl Write for Wire<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.control.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
