//! The socket of a connection, and the only place that knows what kind it is. The simulation's is
//! in memory, so that the whole way of a frame runs without a kernel.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;

#[cfg(test)]
use crate::simulation::Pipe;
use crate::tls::TlsSocket;

/// Where a connection's bytes go and come from. Nothing here waits but the two `poll_` methods.
#[derive(Debug)]
pub(crate) enum Socket {
    /// Plain TCP.
    Tcp(TcpStream),
    /// TLS over TCP. What it is given is encrypted for this connection alone: it may take bytes
    /// that the kernel has not, at most one record.
    Tls(Box<TlsSocket>),
    /// The simulation's: it carries bytes to the client only.
    #[cfg(test)]
    Memory(Pipe),
}

impl From<TcpStream> for Socket {
    fn from(socket: TcpStream) -> Self {
        Self::Tcp(socket)
    }
}

impl From<Box<TlsSocket>> for Socket {
    fn from(socket: Box<TlsSocket>) -> Self {
        Self::Tls(socket)
    }
}

impl Socket {
    /// Ready when there is something to read, the end or an error included.
    pub(crate) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Tcp(socket) => socket.poll_read_ready(context).map(|_| ()),
            Self::Tls(socket) => socket.poll_readable(context),
            #[cfg(test)]
            Self::Memory(_) => Poll::Pending,
        }
    }

    /// Ready when it takes bytes, or has failed.
    pub(crate) fn poll_writable(&self, context: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Tcp(socket) => socket.poll_write_ready(context).map(|_| ()),
            Self::Tls(socket) => socket.poll_writable(context),
            #[cfg(test)]
            Self::Memory(_) => Poll::Pending,
        }
    }

    /// Reads what is there now, in one system call; 0 at the end. [`io::ErrorKind::Interrupted`]:
    /// bytes came that say nothing yet; there may be more.
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.try_read(buffer),
            Self::Tls(socket) => socket.try_read(buffer),
            #[cfg(test)]
            Self::Memory(_) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Writes as much as it takes now, in one system call (with TLS one for each 16 KiB).
    pub(crate) fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match (self, slices) {
            (Self::Tcp(socket), [one]) => socket.try_write(one),
            (Self::Tcp(socket), many) => socket.try_write_vectored(many),
            (Self::Tls(socket), slices) => socket.try_write(slices),
            #[cfg(test)]
            (Self::Memory(pipe), slices) => pipe.try_write(slices),
        }
    }

    /// Memory of bytes that it took and the kernel has not; they go out before anything else.
    pub(crate) fn unsent_held(&self) -> usize {
        match self {
            Self::Tls(socket) => socket.unsent_held(),
            _ => 0,
        }
    }

    /// Memory of bytes that came and were not given out yet.
    pub(crate) fn inbound_held(&self) -> usize {
        match self {
            Self::Tls(socket) => socket.inbound_held(),
            _ => 0,
        }
    }

    /// Whether bytes have come that were not read. A system call: not for every frame.
    pub(crate) fn has_unread(&self) -> bool {
        match self {
            Self::Tcp(socket) => {
                let looked = SockRef::from(socket).peek(&mut [MaybeUninit::uninit()]);
                looked.is_ok_and(|count| count > 0)
            }
            Self::Tls(socket) => socket.has_unread(),
            #[cfg(test)]
            Self::Memory(_) => false,
        }
    }

    /// When it is dropped, the connection is reset: the kernel throws away what it still holds for
    /// this client.
    pub(crate) fn reset(&self) {
        match self {
            Self::Tcp(socket) => {
                let _best_effort = SockRef::from(socket).set_linger(Some(Duration::ZERO));
            }
            Self::Tls(socket) => socket.reset(),
            #[cfg(test)]
            Self::Memory(_) => {}
        }
    }

    /// Says that nothing more is written; it can still be read.
    pub(crate) fn shut_down(&self) {
        match self {
            Self::Tcp(socket) => {
                let _best_effort = SockRef::from(socket).shutdown(Shutdown::Write);
            }
            Self::Tls(socket) => socket.shut_down(),
            #[cfg(test)]
            Self::Memory(_) => {}
        }
    }
}
