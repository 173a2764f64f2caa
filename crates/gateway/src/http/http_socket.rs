//! A socket as hyper reads and writes it, which notes what this says of its requests' progress.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::progress::HttpProgress;

/// A socket that speaks HTTP.
pub(super) struct HttpSocket {
    io: TokioIo<TcpStream>,
    progress: HttpProgress,
}

impl HttpSocket {
    pub(super) fn new(socket: TcpStream, progress: HttpProgress) -> Self {
        Self { io: TokioIo::new(socket), progress }
    }

    /// The socket itself, once hyper has let go of it.
    pub(super) fn into_inner(self) -> TcpStream {
        self.io.into_inner()
    }
}

impl Read for HttpSocket {
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

impl Write for HttpSocket {
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
