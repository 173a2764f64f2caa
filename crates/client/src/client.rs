//! The handle an application holds. Everything is done by the driver's task; this file only hands
//! wishes over and waits for answers.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use roomcast_protocol::{ClientFrame, Publish, RoomName, UserName};
use tokio::sync::{Mutex, Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::answer::ClientAnswer;
use crate::driver::Driver;
use crate::session::ClientRequest;
use crate::{
    Ack, ClientClosed, Event, JoinOptions, Options, OptionsError, PublishFailure, RequestFailure,
};

mod people;
mod questions;

/// Wishes on their way to the driver, which takes them at once: a few, so that a burst of joins
/// need not wait for its next turn.
const COMMANDS: usize = 16;

/// A client: one connection, kept up until `close` or until the last clone is dropped.
///
/// Events wait in a bounded queue. While it is full the socket is not read, acks included: an
/// application that awaits a publish must leave `next` to another task, or have few events.
#[derive(Debug, Clone)]
pub struct Client {
    commands: mpsc::Sender<Command>,
    events: Arc<Mutex<mpsc::Receiver<Event>>>,
    closing: Arc<Notify>,
    in_flight: Arc<Semaphore>,
    request_timeout: Duration,
}

/// What a handle asks of the driver.
#[derive(Debug)]
pub(crate) enum Command {
    Join { room: RoomName, options: JoinOptions },
    Leave { room: RoomName },
    Publish { publish: Publish, deadline: Instant, reply: ReplySlot<Result<Ack, PublishFailure>> },
    Ask { request: ClientRequest, deadline: Instant, reply: ReplySlot<QuestionResult> },
    Ephemeral { room: RoomName, frame: ClientFrame },
    Watch { users: Vec<UserName> },
    Unwatch { users: Vec<UserName> },
}

/// The driver's ends of what connects it to its handles.
pub(crate) struct DriverEnds {
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) closing: Arc<Notify>,
}

type QuestionResult = Result<ClientAnswer, RequestFailure>;

/// Where an answer goes. Its place among the requests in flight is free again afterwards, also
/// if nobody waits for the answer any more.
#[derive(Debug)]
pub(crate) struct ReplySlot<T> {
    sender: oneshot::Sender<T>,
    _place: OwnedSemaphorePermit,
}

impl<T> ReplySlot<T> {
    pub(crate) fn send(self, answer: T) {
        // An error means that the application has stopped waiting, which is its right.
        let _ = self.sender.send(answer);
    }
}

/// An ack that will come, or the reason why it will not. Dropping it does not stop the publish.
#[derive(Debug)]
pub struct PendingAck(oneshot::Receiver<Result<Ack, PublishFailure>>);

impl Future for PendingAck {
    type Output = Result<Ack, PublishFailure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // The driver answers everything; only the end of its runtime can keep it from that.
        Pin::new(&mut self.0).poll(cx).map(|answer| answer.unwrap_or(Err(PublishFailure::Unknown)))
    }
}

impl Client {
    /// Starts a client on the current tokio runtime and returns at once; `Event::Connected` tells
    /// when a node has taken it. Fails only if the options are wrong.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn connect(options: Options) -> Result<Self, OptionsError> {
        let urls = options.validate()?;
        let tls = options.tls(&urls)?;
        let (commands, wishes) = mpsc::channel(COMMANDS);
        let (news, events) = mpsc::channel(options.events);
        let closing = Arc::new(Notify::new());
        let client = Self {
            commands,
            events: Arc::new(Mutex::new(events)),
            closing: Arc::clone(&closing),
            in_flight: Arc::new(Semaphore::new(options.in_flight)),
            request_timeout: options.request_timeout,
        };
        let ends = DriverEnds { commands: wishes, events: news, closing };
        tokio::spawn(Driver::new(options, (urls, tls), ends).run());
        Ok(client)
    }

    /// What happens next; `None` after `Event::Closed`. Clones share one queue: each event goes to
    /// one of them. Cancelling loses nothing.
    pub async fn next(&self) -> Option<Event> {
        self.events.lock().await.recv().await
    }

    /// Wants to be in a room from now on, over every reconnect. `Event::Joined` or `Event::Error`
    /// tells what came of it. A room that is wanted already stays as it is.
    pub async fn join(&self, room: RoomName, options: JoinOptions) -> Result<(), ClientClosed> {
        self.ask(Command::Join { room, options }).await
    }

    /// Wants to be out of a room; `Event::Left` confirms it.
    pub async fn leave(&self, room: RoomName) -> Result<(), ClientClosed> {
        self.ask(Command::Leave { room }).await
    }

    /// Publishes and waits for the outcome, at most `request_timeout` once it is under way.
    ///
    /// With a key it is sent again after a lost connection or a passing refusal, and stored once.
    /// Without one a lost connection ends it as `PublishFailure::Unknown`. The frame's own `id` is
    /// chosen by the client.
    pub async fn publish(&self, publish: Publish) -> Result<Ack, PublishFailure> {
        match self.start_publish(publish).await {
            Ok(ack) => ack.await,
            Err(ClientClosed) => Err(PublishFailure::Closed),
        }
    }

    /// Puts a publish in line, waiting only for a place in it. Several started one after the other
    /// are sent in that order, also when sent again; one that the node turned away for a while may
    /// come after those that it took.
    pub async fn start_publish(&self, publish: Publish) -> Result<PendingAck, ClientClosed> {
        let (reply, answer) = self.reply().await?;
        let deadline = Instant::now() + self.request_timeout;
        self.ask(Command::Publish { publish, deadline, reply }).await?;
        Ok(PendingAck(answer))
    }

    /// Ends the client: what is in flight is answered, the connection closed with 1000. Returns
    /// when that is done, within a second or so.
    pub async fn close(&self) {
        // Not a command: those wait while the application is behind, and this must not.
        self.closing.notify_one();
        self.commands.closed().await;
    }

    async fn ask(&self, command: Command) -> Result<(), ClientClosed> {
        self.commands.send(command).await.map_err(|_| ClientClosed)
    }

    async fn reply<T>(&self) -> Result<(ReplySlot<T>, oneshot::Receiver<T>), ClientClosed> {
        let place = Arc::clone(&self.in_flight).acquire_owned().await.map_err(|_| ClientClosed)?;
        let (sender, receiver) = oneshot::channel();
        Ok((ReplySlot { sender, _place: place }, receiver))
    }
}
