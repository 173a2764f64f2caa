//! The WebSocket to a node: frames in and out, the goodbye. It reads and writes in one poll, so
//! that neither direction can hold up the other. `handshake` opens it.

use std::collections::VecDeque;
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::{Sink, StreamExt};
use http::Uri;
use roomcast_protocol::{CloseCode, Encoding, ErrorCode, ServerFrame};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::session::{Attempt, Failure, Input};

mod handshake;

pub(crate) use handshake::Greeting;

/// A goodbye that takes longer is cut off.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

type Opening = Pin<Box<dyn Future<Output = Result<ClientSocket, Failure>> + Send>>;

/// Whether the socket is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    On,
    Off,
}

/// The connection, if there is one.
pub(crate) enum Wire {
    None,
    Opening(Opening),
    Open(Box<ClientSocket>),
}

impl Wire {
    pub(crate) fn open(url: &Uri, greeting: &Greeting, attempt: Attempt) -> Self {
        Self::Opening(Box::pin(handshake::open(url.clone(), greeting.clone(), attempt)))
    }

    /// The next thing that comes from the node. Cancelling loses nothing.
    pub(crate) async fn next(&mut self, reading: Reading) -> Input {
        if let Self::Opening(opening) = self {
            match opening.await {
                Ok(socket) => *self = Self::Open(Box::new(socket)),
                Err(failure) => {
                    *self = Self::None;
                    return Input::Failed(failure);
                }
            }
        }
        let Self::Open(socket) = self else { return pending().await };
        let input = poll_fn(|cx| socket.poll(cx, reading)).await;
        if let Input::Closed { .. } = input {
            *self = Self::None;
        }
        input
    }

    /// Waits until it is open; what comes stays unread. Cancelling loses nothing.
    pub(crate) async fn opened(&mut self) -> Input {
        let Self::Opening(opening) = self else { return pending().await };
        let opened = opening.await;
        let is_open = opened.is_ok();
        *self = match opened {
            Ok(socket) => Self::Open(Box::new(socket)),
            Err(Failure { reason, .. }) => {
                tracing::debug!(%reason, "no connection to move to");
                Self::None
            }
        };
        Input::Prepared { is_open }
    }

    /// Puts a message in line; without a connection there is nobody to send it to.
    pub(crate) fn send(&mut self, message: Message) {
        if let Self::Open(socket) = self {
            socket.outgoing.push_back(message);
        }
    }

    /// Gives up the connection. What is returned closes it politely.
    pub(crate) fn give_up(&mut self, code: CloseCode) -> Option<impl Future<Output = ()> + use<>> {
        match std::mem::replace(self, Self::None) {
            Self::Open(socket) => Some(socket.close(code)),
            Self::None | Self::Opening(_) => None,
        }
    }
}

/// An open WebSocket.
pub(crate) struct ClientSocket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    encoding: Encoding,
    /// Not given to the stream yet. Bounded by the requests in flight and one `join` or `leave`
    /// per room.
    outgoing: VecDeque<Message>,
    writing: Writing,
}

#[derive(PartialEq)]
enum Writing {
    /// Everything was flushed.
    Done,
    /// The stream holds something to flush.
    Dirty,
    /// Writing failed. Reading tells why, perhaps with a Close frame that is still to be read.
    Broken,
}

impl ClientSocket {
    fn poll(&mut self, cx: &mut Context<'_>, reading: Reading) -> Poll<Input> {
        if self.writing != Writing::Broken
            && let Poll::Ready(Err(error)) = self.poll_write(cx)
        {
            tracing::debug!(%error, "writing to the node failed");
            self.writing = Writing::Broken;
        }
        match reading {
            Reading::On => self.poll_read(cx),
            Reading::Off => Poll::Pending,
        }
    }

    /// Writes until nothing is left or the peer takes no more.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let mut stream = Pin::new(&mut self.stream);
        while !self.outgoing.is_empty() {
            ready!(stream.as_mut().poll_ready(cx))?;
            if let Some(message) = self.outgoing.pop_front() {
                self.writing = Writing::Dirty;
                stream.as_mut().start_send(message)?;
            }
        }
        if self.writing == Writing::Dirty {
            ready!(stream.poll_flush(cx))?;
            self.writing = Writing::Done;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Input> {
        Poll::Ready(match ready!(self.stream.poll_next_unpin(cx)) {
            Some(Ok(Message::Text(text))) if self.encoding == Encoding::Json => {
                self.decode(text.as_bytes())
            }
            Some(Ok(Message::Binary(bytes))) if self.encoding == Encoding::MsgPack => {
                self.decode(&bytes)
            }
            Some(Ok(Message::Close(Some(CloseFrame { code, reason })))) => {
                closed(Some(code.into()), reason.as_str())
            }
            Some(Ok(Message::Close(None))) | None => closed(None, "the node closed the connection"),
            Some(Ok(_)) => Input::Heard,
            Some(Err(error)) => closed(None, &error.to_string()),
        })
    }

    /// A frame that cannot be read may be a message: going on would lose it in silence. Coming
    /// back with the position does not.
    fn decode(&self, bytes: &[u8]) -> Input {
        match ServerFrame::decode(self.encoding, bytes) {
            Ok(frame) => Input::Frame(frame),
            // A newer node says something that this client cannot want yet.
            Err(error) if error.code == ErrorCode::UnknownType => Input::Heard,
            Err(error) => closed(None, &format!("the node sent an unreadable frame: {error}")),
        }
    }

    async fn close(mut self: Box<Self>, code: CloseCode) {
        let reason = code.reason().into();
        let frame = CloseFrame { code: code.code().into(), reason };
        let goodbye = async {
            // What is still in line belongs to requests that have their answer already.
            self.stream.close(Some(frame)).await?;
            while self.stream.next().await.transpose()?.is_some() {}
            Ok::<(), Error>(())
        };
        // Whether the node heard it does not matter any more.
        let _ = timeout(CLOSE_TIMEOUT, goodbye).await;
    }
}

fn closed(code: Option<u16>, reason: &str) -> Input {
    Input::Closed { code, reason: reason.into() }
}
