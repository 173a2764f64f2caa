//! What the task of a connection does with its socket: it waits, reads, shuts down and resets.

use std::io;
use std::task::{Context, Poll, Waker};

use super::Connection;

impl Connection {
    /// Ready when there is something to read, the end or an error included.
    pub(crate) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<()> {
        self.socket.poll_readable(context)
    }

    /// Ready when the socket takes bytes, or has failed.
    pub(crate) fn poll_writable(&self, context: &mut Context<'_>) -> Poll<()> {
        self.socket.poll_writable(context)
    }

    /// Reads what is there now; 0 at the end. [`io::ErrorKind::Interrupted`]: bytes came that say
    /// nothing yet; there may be more.
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let unsent = self.socket.unsent_held();
        let read = self.socket.try_read(buffer);
        if self.note_unsent(unsent) > 0 {
            // TLS answers by itself, as to a change of keys.
            self.gate.borrow_mut().block();
        }
        read
    }

    /// Memory of bytes that came and cannot be read yet: a part of a record of TLS.
    pub(crate) fn sealed_held(&self) -> usize {
        self.socket.inbound_held()
    }

    /// Whether bytes have come that were not read.
    pub(crate) fn has_unread(&self) -> bool {
        self.socket.has_unread()
    }

    /// Says that nothing more is written.
    pub(crate) fn shut_down(&self) {
        self.socket.shut_down();
    }

    /// When it is dropped, the client gets a reset.
    pub(crate) fn reset(&self) {
        self.socket.reset();
    }

    /// Lets its task look again.
    pub(crate) fn wake(&self) {
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }

    /// Remembers its task.
    pub(crate) fn remember(&self, waker: &Waker) {
        let mut known = self.waker.borrow_mut();
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
    }
}
