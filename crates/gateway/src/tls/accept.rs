//! The handshake of a socket, before anything is read of it. Only what has come is worked on, and
//! one handshake at a time in each round of the worker's tasks: a crowd that arrives at once delays
//! the others by one signature, not by one for each client.

use std::future::poll_fn;
use std::io;

use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::session::TlsSession;
use super::{TlsServer, TlsSocket};

/// What a client that speaks HTTP instead of TLS is answered.
const SPEAK_TLS: &str = "HTTP/1.1 400 Bad Request\r\nContent-Type: application/problem+json\r\n\
    Content-Length: 124\r\nConnection: close\r\n\r\n{\"type\":\"about:blank\",\"title\":\"Bad Request\",\
    \"status\":400,\"code\":\"bad_request\",\"detail\":\"this port speaks TLS: https or wss\"}";

/// The turn of one handshake among those of a worker.
#[derive(Debug)]
pub(crate) struct HandshakeTurn(Semaphore);

impl Default for HandshakeTurn {
    fn default() -> Self {
        Self(Semaphore::new(1))
    }
}

impl HandshakeTurn {
    /// Runs a step when its turn has come. The next one's turn comes in another round of the
    /// worker's tasks.
    async fn take<T>(&self, step: impl FnOnce() -> T) -> T {
        let _turn = self.0.acquire().await;
        let done = step();
        tokio::task::yield_now().await;
        done
    }
}

impl TlsServer {
    /// Does the handshake of a socket. The caller bounds how long this may take.
    pub(crate) async fn accept(
        &self,
        tcp: TcpStream,
        turn: &HandshakeTurn,
    ) -> io::Result<TlsSocket> {
        let session = TlsSession::new(self.rules()).map_err(io::Error::other)?;
        let socket = TlsSocket::new(tcp, session);
        let mut is_first = true;
        while socket.is_handshaking() {
            poll_fn(|context| socket.poll_readable(context)).await;
            if std::mem::take(&mut is_first) && speaks_http(socket.tcp()).await {
                let _courtesy = socket.tcp().try_write(SPEAK_TLS.as_bytes());
                return Err(io::Error::new(io::ErrorKind::InvalidData, "HTTP instead of TLS"));
            }
            // Plaintext that comes with the end of the handshake is kept by the session.
            match turn.take(|| socket.try_read(&mut [])).await {
                Ok(0) if socket.is_handshaking() => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if !is_passing(&error) => return Err(error),
                Ok(_) | Err(_) => {}
            }
            while !socket.try_flush()? {
                poll_fn(|context| socket.poll_writable(context)).await;
            }
        }
        Ok(socket)
    }
}

/// Whether a read only found nothing to give.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Whether the first bytes are those of a request: its method is in capitals, and no record of TLS
/// begins so.
async fn speaks_http(tcp: &TcpStream) -> bool {
    let mut first = [0; 1];
    matches!(tcp.peek(&mut first).await, Ok(1)) && first[0].is_ascii_uppercase()
}
