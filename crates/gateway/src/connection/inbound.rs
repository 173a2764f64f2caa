//! Reading: bytes of the socket become messages, through tungstenite. Its state exists only while
//! a message is arriving, so that an idle connection holds none.

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

use super::boundary::Boundary;

/// tungstenite's read buffer: zero-filled at every read, so small; a larger frame grows it.
const READ_BUFFER: usize = 2 * 1024;

/// What arrived.
#[derive(Debug)]
pub(super) enum Arrival {
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

/// Whether a message is on its way when the socket has nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arriving {
    /// None is.
    Nothing,
    /// One is, and its first byte came with the last read.
    Begun,
    /// One is that began earlier.
    Still,
}

/// The reading side of one connection.
#[derive(Debug, Default)]
pub(super) struct Inbound {
    open: Option<Box<Open>>,
}

#[derive(Debug)]
struct Open {
    context: WebSocketContext,
    boundary: Boundary,
    share: InboundShare,
}

impl Inbound {
    /// Begins to read `bytes`, the next of the stream; then call [`Self::next`] until it pauses.
    pub(super) fn begin(&mut self, bytes: &[u8], max_message: usize, held: &Rc<Cell<usize>>) {
        let open = self.open.get_or_insert_with(|| {
            let config = WebSocketConfig::default()
                .read_buffer_size(READ_BUFFER)
                .write_buffer_size(0)
                .max_write_buffer_size(64 * 1024)
                .max_message_size(Some(max_message))
                .max_frame_size(Some(max_message));
            Box::new(Open {
                context: WebSocketContext::new(Role::Server, Some(config)),
                boundary: Boundary::default(),
                share: InboundShare::new(held),
            })
        });
        open.boundary.follow(bytes);
        open.share.hold(open.boundary.unfinished());
    }

    /// The next message out of `input`, of which what was read is cut off. Answers to control
    /// frames are appended to `control`.
    pub(super) fn next(&mut self, input: &mut &[u8], control: &mut Vec<u8>) -> Arrival {
        let Some(open) = &mut self.open else { return Arrival::Pause };
        let mut wire = Wire { input, control };
        loop {
            return match open.context.read(&mut wire) {
                Ok(Message::Text(text)) => Arrival::Text(text),
                Ok(Message::Binary(bytes)) => Arrival::Binary(bytes),
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => continue,
                Ok(Message::Close(Some(close))) if is_tungstenites_own(&close) => {
                    Arrival::Broken(CloseCode::Protocol)
                }
                Ok(Message::Close(_)) => {
                    // Writes the answer; that the connection is over is what we want to hear.
                    let _over = open.context.flush(&mut wire);
                    Arrival::Close
                }
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    Arrival::Pause
                }
                Err(Error::ConnectionClosed | Error::AlreadyClosed) => Arrival::Close,
                Err(error) => Arrival::Broken(code_of(&error)),
            };
        }
    }

    /// After a pause: drops the reading state if nothing is arriving.
    pub(super) fn rest(&mut self) -> Arriving {
        match &self.open {
            Some(open) if open.boundary.is_between_messages() => {
                self.open = None;
                Arriving::Nothing
            }
            Some(open) if open.boundary.has_begun() => Arriving::Begun,
            Some(_) => Arriving::Still,
            None => Arriving::Nothing,
        }
    }
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

/// What one connection holds of the worker's bound on messages that are arriving, in bytes.
#[derive(Debug)]
pub(crate) struct InboundShare {
    held: usize,
    all: Rc<Cell<usize>>,
}

impl InboundShare {
    fn new(all: &Rc<Cell<usize>>) -> Self {
        Self { held: 0, all: all.clone() }
    }

    /// So many bytes are unfinished now.
    fn hold(&mut self, bytes: usize) {
        self.all.set(self.all.get() - self.held + bytes);
        self.held = bytes;
    }
}

impl Drop for InboundShare {
    fn drop(&mut self) {
        self.all.set(self.all.get() - self.held);
    }
}

#[cfg(test)]
mod tests;
