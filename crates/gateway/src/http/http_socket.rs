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
pub(super) struct HttpSocket<T = HttpTransport> {
    io: T,
    progress: HttpProgress,
}

impl<T> HttpSocket<T> {
    pub(super) fn new(io: T, progress: HttpProgress) -> Self {
        Self { io, progress }
    }
}

impl HttpSocket {
    /// The socket itself, once hyper has let go of it.
    pub(super) fn into_inner(self) -> Socket {
        match self.io {
            HttpTransport::Tcp(io) => io.into_inner().into(),
            HttpTransport::Tls(io) => io.into_inner().into(),
        }
    }
}

impl<T: Read + Unpin> Read for HttpSocket<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.io).poll_read(context, buffer);
        if read.is_ready() {
            self.progress.note_read();
        }
        read
    }
}

impl<T: Write + Unpin> Write for HttpSocket<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    /// hyper flushes when its own buffer is empty.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(context);
        if flushed.is_ready() {
            self.progress.note_written();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

impl Read for HttpTransport {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io).poll_read(context, buffer),
            Self::Tls(io) => Pin::new(io).poll_read(context, buffer),
        }
    }
}

impl Write for HttpTransport {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io).poll_write(context, bytes),
            Self::Tls(io) => Pin::new(io).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io).poll_flush(context),
            Self::Tls(io) => Pin::new(io).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io).poll_shutdown(context),
            Self::Tls(io) => Pin::new(io).poll_shutdown(context),
        }
    }
}
