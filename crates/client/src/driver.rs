//! The task behind a client: it owns the socket, the clock and the queues, and lets the session
//! decide. One loop: perform what the session wants, wait for the next input, hand it over.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use http::Uri;
use roomcast_protocol::{ClientFrame, ErrorCode, RequestId, RoomName};
use rustls::ClientConfig;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::task::JoinSet;
use tokio::time::sleep_until;

use crate::answer::ClientAnswer;
use crate::client::{Command, DriverEnds, ReplySlot};
use crate::session::{Action, ClientRequest, Input, Session};
use crate::socket::{Greeting, Reading, Wire};
use crate::token::{FetchedToken, PendingToken};
use crate::{Ack, Event, Options, PublishFailure, RequestFailure, TokenSource};

/// Events that may wait beside the application's queue before its wishes wait too. Only leaving
/// rooms while the queue is full makes them grow at all: one event each.
const OUTBOX: usize = 1024;

/// Everything that runs a client.
pub(crate) struct Driver {
    session: Session,
    greeting: Greeting,
    urls: Vec<Uri>,
    wire: Wire,
    /// The next connection, opened before this one is left.
    spare: Wire,
    /// Connections that only have to say goodbye; each has a deadline of its own.
    farewells: JoinSet<()>,
    handles: DriverEnds,
    token: Option<TokenSource>,
    /// The token that the application fetches for the connection in use.
    fetching: Option<PendingToken>,
    /// Told by the session, not yet taken by the application's queue. While it holds anything the
    /// socket is not read; requests are still taken and answered, at the latest by their deadline.
    outbox: VecDeque<Event>,
    reading: Reading,
    publishes: HashMap<RequestId, ReplySlot<Result<Ack, PublishFailure>>>,
    questions: HashMap<RequestId, ReplySlot<Result<ClientAnswer, RequestFailure>>>,
}

/// Whether the loop goes on.
#[derive(PartialEq)]
enum Going {
    On,
    Ended,
}

impl Driver {
    pub(crate) fn new(
        options: Options,
        (urls, tls): (Vec<Uri>, Option<Arc<ClientConfig>>),
        handles: DriverEnds,
    ) -> Self {
        Self {
            session: Session::new(&options, rand::random(), Instant::now()),
            greeting: Greeting::new(&options, tls),
            urls,
            wire: Wire::None,
            spare: Wire::None,
            farewells: JoinSet::new(),
            handles,
            token: options.token,
            fetching: None,
            outbox: VecDeque::new(),
            reading: Reading::On,
            publishes: HashMap::new(),
            questions: HashMap::new(),
        }
    }

    pub(crate) async fn run(mut self) {
        self.session.handle(Instant::now(), Input::Tick);
        while self.perform() == Going::On {
            let input = self.next_input().await;
            self.session.handle(Instant::now(), input);
        }
        self.finish().await;
    }

    /// Waits until something happens. Every input makes the session look at its timers too, so
    /// a busy socket does not starve them, and what was received is seen before a late tick.
    async fn next_input(&mut self) -> Input {
        if self.outbox.is_empty() != (self.reading == Reading::On) {
            return self.turn_reading();
        }
        let behind = !self.outbox.is_empty();
        let accepting = self.outbox.len() < OUTBOX;
        let deadline = self.session.next_deadline();
        let command = tokio::select! {
            biased;
            () = self.handles.closing.notified() => return Input::Close,
            input = deliver(&self.handles.events, &mut self.outbox), if behind => return input,
            command = self.handles.commands.recv(), if accepting => command,
            input = self.wire.next(self.reading) => return input,
            input = self.spare.opened() => return input,
            token = fetched(&mut self.fetching) => return Input::Token(token.map(Into::into)),
            () = until(deadline) => return Input::Tick,
        };
        self.command(command)
    }

    fn turn_reading(&mut self) -> Input {
        match self.reading {
            Reading::On => {
                self.reading = Reading::Off;
                Input::Paused
            }
            Reading::Off => {
                self.reading = Reading::On;
                Input::Resumed
            }
        }
    }

    fn command(&mut self, command: Option<Command>) -> Input {
        match command {
            Some(Command::Join { room, options }) => Input::Join { room, options },
            Some(Command::Leave { room }) => Input::Leave { room },
            Some(Command::Publish { publish, deadline, reply }) => {
                let id = self.session.next_id();
                self.publishes.insert(id, reply);
                Input::Request { id, request: ClientRequest::Publish(publish), deadline }
            }
            Some(Command::Ask { request, deadline, reply }) => {
                let id = self.session.next_id();
                self.questions.insert(id, reply);
                Input::Request { id, request, deadline }
            }
            Some(Command::Ephemeral { room, frame }) => Input::Ephemeral { room, frame },
            Some(Command::Watch { users }) => Input::Watch { users },
            Some(Command::Unwatch { users }) => Input::Unwatch { users },
            // The last handle is gone.
            None => Input::Close,
        }
    }

    /// Does all that the session wants done.
    fn perform(&mut self) -> Going {
        while let Some(action) = self.session.next_action() {
            match action {
                Action::Connect { url, attempt } => {
                    self.spare = Wire::None;
                    self.wire = Wire::open(&self.urls[url], &self.greeting, attempt);
                }
                Action::Prepare { url, attempt } => {
                    self.spare = Wire::open(&self.urls[url], &self.greeting, attempt);
                }
                Action::TakeOver => self.wire = std::mem::replace(&mut self.spare, Wire::None),
                Action::Disconnect { code } => {
                    while self.farewells.try_join_next().is_some() {}
                    if let Some(farewell) = self.wire.give_up(code) {
                        self.farewells.spawn(farewell);
                    }
                }
                Action::FetchToken => self.fetching = self.token.as_ref().map(TokenSource::fetch),
                Action::Send(frame) => self.send(frame),
                Action::Tell(event) => self.tell(event),
                Action::Published { id, result } => {
                    if let Some(reply) = self.publishes.remove(&id) {
                        reply.send(result);
                    }
                }
                Action::Answered { id, result } => {
                    if let Some(reply) = self.questions.remove(&id) {
                        reply.send(result);
                    }
                }
                Action::Finish => return Going::Ended,
            }
        }
        Going::On
    }

    fn tell(&mut self, event: Event) {
        if !self.outbox.is_empty() {
            self.outbox.push_back(event);
        } else if let Err(TrySendError::Full(event)) = self.handles.events.try_send(event) {
            // Were it closed instead, the command queue would be too, which ends the client.
            self.outbox.push_back(event);
        }
    }

    fn send(&mut self, frame: ClientFrame) {
        let message = self.greeting.encode(&frame);
        let bytes = message.len() as u64;
        match (frame.id(), self.session.frame_limit()) {
            (Some(id), Some(limit)) if bytes > limit && self.is_awaited(id) => {
                let input = Input::Unsendable { id, bytes, limit };
                self.session.handle(Instant::now(), input);
            }
            (None, Some(limit)) if bytes > limit => {
                let message = format!("{bytes} bytes are above the limit of {limit}").into();
                let (room, code) = (room_of(&frame), ErrorCode::TooLarge);
                self.tell(Event::Error { room, code, message, retry_in: None });
            }
            _ => self.wire.send(message),
        }
    }

    /// Whether a caller waits for the answer to this request.
    fn is_awaited(&self, id: RequestId) -> bool {
        self.publishes.contains_key(&id) || self.questions.contains_key(&id)
    }

    /// Says goodbye to node and application, in this order: `Client::close` waits for the first.
    async fn finish(mut self) {
        while self.farewells.join_next().await.is_some() {}
        self.handles.commands.close();
        while let Some(command) = self.handles.commands.recv().await {
            let input = self.command(Some(command));
            self.session.handle(Instant::now(), input);
            self.perform();
        }
        tracing::debug!(duplicates = self.session.duplicates(), "client ended");
        for event in self.outbox {
            if self.handles.events.send(event).await.is_err() {
                return;
            }
        }
    }
}

/// The room of a frame that has no answer.
fn room_of(frame: &ClientFrame) -> Option<RoomName> {
    match frame {
        ClientFrame::Signal { room, .. } | ClientFrame::Typing { room, .. } => Some(room.clone()),
        _ => None,
    }
}

/// Gives one event to the application as soon as its queue has a place.
async fn deliver(events: &mpsc::Sender<Event>, outbox: &mut VecDeque<Event>) -> Input {
    match events.reserve().await {
        Ok(place) => {
            if let Some(event) = outbox.pop_front() {
                place.send(event);
            }
            Input::Tick
        }
        Err(_) => {
            outbox.clear();
            Input::Close
        }
    }
}

/// Waits for the token that is being fetched. Cancelling loses nothing.
async fn fetched(fetching: &mut Option<PendingToken>) -> FetchedToken {
    match fetching {
        Some(pending) => {
            let token = pending.await;
            *fetching = None;
            token
        }
        None => std::future::pending().await,
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
