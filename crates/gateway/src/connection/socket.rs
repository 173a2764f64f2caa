//! The socket of a connection. The simulation's is in memory, so that the whole way of a frame runs
//! without a kernel.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;

use socket2::SockRef;
use tokio::net::TcpStream;

#[cfg(test)]
use crate::simulation::Pipe;

/// Where a connection's bytes go and come from.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    #[cfg(test)]
    Memory(Pipe),
}

impl From<TcpStream> for Socket {
    fn from(socket: TcpStream) -> Self {
        Self::Tcp(socket)
    }
}

impl Socket {
    /// Writes as much as it takes now, in one system call.
    pub(super) fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match (self, slices) {
            (Self::Tcp(socket), [one]) => socket.try_write(one),
            (Self::Tcp(socket), many) => socket.try_write_vectored(many),
            #[cfg(test)]
            (Self::Memory(pipe), slices) => pipe.try_write(slices),
        }
    }

    /// Whether bytes have come that were not read. A system call: not for every frame.
    pub(super) fn has_unread(&self) -> bool {
        match self {
            Self::Tcp(socket) => {
                let looked = SockRef::from(socket).peek(&mut [MaybeUninit::uninit()]);
                looked.is_ok_and(|count| count > 0)
            }
            #[cfg(test)]
            Self::Memory(_) => false,
        }
    }

    /// The TCP socket, for the connection's own task.
    pub(super) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Tcp(socket) => socket,
            #[cfg(test)]
            Self::Memory(_) => unreachable!("the simulation runs no tasks"),
        }
    }
}
