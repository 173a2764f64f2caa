//! A socket as hyper reads and writes it, which notes what this says of its requests' progress.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::progress::HttpProgress;
use crate::socket::Socket;
use crate::tls::TlsSocket;

/// What HTTP is spoken over.
pub(super) enum HttpTransport {
    Tcp(TokioIo<TcpStream>),
    Tls(TokioIo<Box<TlsSocket>>),
}

impl From<TcpStream> for HttpTransport {
    fn from(socket: TcpStream) -> Self {
        Self::Tcp(TokioIo::new(socket))
    }
}

impl From<TlsSocket> for HttpTransport {
    fn from(socket: TlsSocket) -> Self {
        Self::Tls(TokioIo::new(Box::new(socket)))
    }
}

/// A socket that speaks HTTP.
pub(super) struct HttpSocket {
    io: HttpTransport,
    progress: HttpProgress,
}

impl HttpSocket {
    pub(super) fn new(io: HttpTransport, progress: HttpProgress) -> Self {
        Self { io, progress }
    }

    /// The socket itself, once hyper has let go of it.
    pub(super) fn into_inner(self) -> Socket {
        match self.io {
            HttpTransport::Tcp(io) => io.into_inner().into(),
            HttpTransport::Tls(io) => io.into_inner().into(),
        }
    }
}

impl Read for HttpSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = match &mut self.io {
            HttpTransport::Tcp(io) => Pin::new(io).poll_read(context, buffer),
            HttpTransport::Tls(io) => Pin::new(io).poll_read(context, buffer),
        };
        if read.is_ready() {
            self.progress.note_read();
        }
        read
    }
}

impl Write for HttpSocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.io {
            HttpTransport::Tcp(io) => Pin::new(io).poll_write(context, bytes),
            HttpTransport::Tls(io) => Pin::new(io).poll_write(context, bytes),
        }
    }

    /// hyper flushes when its own buffer is empty.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = match &mut self.io {
            HttpTransport::Tcp(io) => Pin::new(io).poll_flush(context),
            HttpTransport::Tls(io) => Pin::new(io).poll_flush(context),
        };
        if flushed.is_ready() {
            self.progress.note_written();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            HttpTransport::Tcp(io) => Pin::new(io).poll_shutdown(context),
            HttpTransport::Tls(io) => Pin::new(io).poll_shutdown(context),
        }
    }
}
