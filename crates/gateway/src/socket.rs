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

/// Where a connection's bytes go and come from. Nothing here waits but the two `poll_` methods.
#[derive(Debug)]
pub(crate) enum Socket {
    /// Plain TCP.
    Tcp(TcpStream),
    /// The simulation's: it carries bytes to the client only.
    #[cfg(test)]
    Memory(Pipe),
}

impl From<TcpStream> for Socket {
    fn from(socket: TcpStream) -> Self {
        Self::Tcp(socket)
    }
}

impl Socket {
    /// Ready when there is something to read, the end or an error included.
    pub(crate) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Tcp(socket) => socket.poll_read_ready(context).map(|_| ()),
            #[cfg(test)]
            Self::Memory(_) => Poll::Pending,
        }
    }

    /// Ready when it takes bytes, or has failed.
    pub(crate) fn poll_writable(&self, context: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Tcp(socket) => socket.poll_write_ready(context).map(|_| ()),
            #[cfg(test)]
            Self::Memory(_) => Poll::Pending,
        }
    }

    /// Reads what is there now, in one system call; 0 at the end.
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.try_read(buffer),
            #[cfg(test)]
            Self::Memory(_) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Writes as much as it takes now, in one system call.
    pub(crate) fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match (self, slices) {
            (Self::Tcp(socket), [one]) => socket.try_write(one),
            (Self::Tcp(socket), many) => socket.try_write_vectored(many),
            #[cfg(test)]
            (Self::Memory(pipe), slices) => pipe.try_write(slices),
        }
    }

    /// Whether bytes have come that were not read. A system call: not for every frame.
    pub(crate) fn has_unread(&self) -> bool {
        match self {
            Self::Tcp(socket) => {
                let looked = SockRef::from(socket).peek(&mut [MaybeUninit::uninit()]);
                looked.is_ok_and(|count| count > 0)
            }
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
            #[cfg(test)]
            Self::Memory(_) => {}
        }
    }
}
