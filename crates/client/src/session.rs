//! What a client does, as a plain value: inputs and the time go in, actions come out.
//!
//! No socket, clock, task or random source of the outside; `driver` supplies them all. `rooms`
//! knows memberships and positions, `requests` what is under way, this file the connection.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use roomcast_protocol::{ClientFrame, CloseCode, RequestId, RoomName};

use crate::backoff::Pauses;
use crate::{Event, FirstTry, Options};

mod input;
mod link;
#[cfg(test)]
mod model;
mod reader;
mod renewal;
mod request;
mod requests;
mod rooms;
mod take;
#[cfg(test)]
mod tests;
mod told;
mod watches;

pub use input::{Action, Attempt, Failure, Input, RetryVerdict};
use link::{SessionLink, Step};
use renewal::TokenRenewal;
pub use request::{ClientRequest, Showing};
use requests::Requests;
use rooms::Rooms;
use watches::Watches;

/// How long a client that was asked to move waits for its next connection, and then for the answers
/// it still expects, so that no publish without a key ends unknown just because a node drains.
const SETTLE_TIME: Duration = Duration::from_secs(2);

/// What a node that closes with 1013 is spared, besides the usual pause.
const PATIENCE: Duration = Duration::from_secs(1);

/// The state of one client.
#[derive(Debug)]
pub struct Session {
    link: SessionLink,
    /// The URLs as they are shown.
    urls: Box<[Box<str>]>,
    /// The URL to try next, or the one in use.
    url: usize,
    /// The URL that was tried last or is in use: not the one that is only prepared.
    used: usize,
    first_try: FirstTry,
    open_timeout: Duration,
    /// Tries so far, over the client's whole life.
    attempt: u32,
    /// The try that a node last said `connected` to; 0: none yet.
    connected: u32,
    /// Tries that failed since a node last said `connected`.
    failures: usize,
    /// A refused token was already replaced since a node last said `connected`.
    has_replaced: bool,
    renewal: TokenRenewal,
    pauses: Pauses,
    rooms: Rooms,
    requests: Requests,
    watches: Watches,
    last_id: RequestId,
    actions: VecDeque<Action>,
}

impl Session {
    /// A client that connects at its first `Tick`.
    pub fn new(options: &Options, seed: u64, now: Instant) -> Self {
        Self {
            link: SessionLink::Waiting { until: now },
            urls: options.shown_urls(),
            url: 0,
            used: 0,
            first_try: options.first_try,
            open_timeout: options.open_timeout,
            attempt: 0,
            connected: 0,
            failures: 0,
            has_replaced: false,
            renewal: TokenRenewal::new(options.token.is_some()),
            pauses: Pauses::new(options.backoff, seed),
            rooms: Rooms::default(),
            requests: Requests::default(),
            watches: Watches::default(),
            last_id: 0,
            actions: VecDeque::new(),
        }
    }

    /// A number for a new request.
    pub fn next_id(&mut self) -> RequestId {
        self.last_id += 1;
        self.last_id
    }

    /// The next thing to do; `None` until the next input.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When to give a `Tick` at the latest.
    pub fn next_deadline(&self) -> Option<Instant> {
        let link = self.link.next_deadline();
        let expiry = self.requests.next_expiry();
        let sending = self.link.sends().then(|| self.requests.next_repeat()).flatten();
        let joining = self.link.live().and_then(|_| self.rooms.next_join());
        let renewal = self.link.sends().then(|| self.renewal.next_deadline()).flatten();
        [link, expiry, sending, joining, renewal].into_iter().flatten().min()
    }

    /// The largest frame the node takes, in bytes.
    pub fn frame_limit(&self) -> Option<u64> {
        self.link.live().map(|live| live.limits.message_bytes)
    }

    /// Messages that came twice and were not told, over the client's life.
    pub fn duplicates(&self) -> u64 {
        self.rooms.duplicates()
    }

    /// Takes in what happened at `now`.
    pub fn handle(&mut self, now: Instant, input: Input) {
        if matches!(self.link, SessionLink::Ended) {
            self.refuse(input);
            return;
        }
        match input {
            Input::Frame(frame) => self.take(now, frame),
            Input::Heard | Input::Resumed => self.link.heard(now),
            Input::Paused => self.link.paused(),
            Input::Failed(failure) => self.failed(now, failure),
            Input::Closed { code, reason } => self.closed(now, code, reason),
            Input::Token(token) => self.take_token(now, token),
            Input::Prepared { is_open } => self.link.prepared(now, is_open),
            Input::Join { room, options } => self.rooms.join(room, options),
            Input::Leave { room } => self.leave(&room),
            Input::Ephemeral { room, frame } => self.send_now(&room, frame),
            Input::Watch { users } => self.watches.watch(users),
            Input::Unwatch { users } => self.watches.unwatch(users),
            Input::Request { id, request, deadline } => self.requests.add(id, request, deadline),
            Input::Unsendable { id, bytes, limit } => {
                self.requests.unsendable(id, bytes, limit, &mut self.actions);
            }
            Input::Close => {
                self.disconnect(CloseCode::Normal);
                self.end(Some(CloseCode::Normal.code()), "closed by the application".into());
            }
            Input::Tick => {}
        }
        self.advance(now);
    }

    /// After the end: requests that were on their way here get their answer.
    fn refuse(&mut self, input: Input) {
        if let Input::Request { id, request, deadline } = input {
            self.requests.add(id, request, deadline);
            self.requests.end(&mut self.actions);
        }
    }

    fn leave(&mut self, room: &RoomName) {
        self.last_id += 1;
        self.rooms.leave(room, self.last_id, &mut self.actions);
    }

    /// A frame that is worth nothing later: it is dropped if it cannot go out now.
    fn send_now(&mut self, room: &RoomName, frame: ClientFrame) {
        if self.link.sends() && self.rooms.admits(room) {
            self.actions.push_back(Action::Send(frame));
        }
    }

    fn failed(&mut self, now: Instant, failure: Failure) {
        match failure.verdict {
            RetryVerdict::GiveUp => self.end(None, failure.reason),
            RetryVerdict::ReplaceToken if self.has_replaced || !self.renewal.has_source() => {
                self.end(None, failure.reason);
            }
            RetryVerdict::ReplaceToken => {
                self.has_replaced = true;
                self.failures += 1;
                let pause = self.pauses.after_failure();
                self.wait(now, failure.reason, pause);
            }
            RetryVerdict::TryAgain => self.down(now, failure.reason, failure.retry_after),
        }
    }

    fn closed(&mut self, now: Instant, code: Option<u16>, reason: Box<str>) {
        if let Some(code) = code.filter(|&code| !CloseCode::reconnects(code)) {
            self.end(Some(code), reason);
            return;
        }
        let reason = match code {
            Some(code) => format!("closed with {code} {reason}").into(),
            None => reason,
        };
        let asks_patience = code == Some(CloseCode::TryAgain.code());
        self.down(now, reason, if asks_patience { PATIENCE } else { Duration::ZERO });
    }

    /// The connection or the attempt is over; wait for the next one.
    fn down(&mut self, now: Instant, reason: Box<str>, at_least: Duration) {
        let life = self.link.live().map(|live| now.saturating_duration_since(live.since));
        self.pauses.lived(life.unwrap_or_default());
        self.lose();
        self.url = (self.url + 1) % self.urls.len();
        self.failures += usize::from(life.is_none());
        let whole_round = self.failures.is_multiple_of(self.urls.len());
        if self.never_connected() && whole_round && self.first_try == FirstTry::Fail {
            self.end(None, reason);
            return;
        }
        // Within a round the other URLs are tried at once.
        let pause = if whole_round { self.pauses.after_failure() } else { Duration::ZERO };
        // Jitter comes on top of what the node asked for: it told everyone the same.
        self.wait(now, reason, pause + at_least);
    }

    fn wait(&mut self, now: Instant, reason: Box<str>, retry_in: Duration) {
        self.link = SessionLink::Waiting { until: now + retry_in };
        let url = self.urls[self.used].clone();
        self.actions.push_back(Action::Tell(Event::Disconnected { url, reason, retry_in }));
    }

    /// Leaves the connection because the node asked to. The node has spread its clients over time
    /// already: no pause of our own.
    fn change(&mut self, now: Instant, is_prepared: bool) {
        self.disconnect(CloseCode::Normal);
        self.lose();
        self.wait(now, "the node asked to move".into(), Duration::ZERO);
        if is_prepared {
            self.used = self.url;
            self.link = SessionLink::Opening { deadline: now + self.open_timeout };
            self.actions.push_back(Action::TakeOver);
        }
    }

    fn next_attempt(&mut self) -> Attempt {
        self.attempt += 1;
        let tries = if self.connected == 0 { 0 } else { self.attempt - self.connected };
        Attempt { number: self.attempt, tries }
    }

    fn never_connected(&self) -> bool {
        self.attempt as usize == self.failures
    }

    /// What a connection's end means for rooms and requests.
    fn lose(&mut self) {
        self.renewal.lost();
        self.requests.lost(&mut self.actions);
        self.rooms.lost(&mut self.actions);
        self.watches.lost();
    }

    fn disconnect(&mut self, code: CloseCode) {
        if !matches!(self.link, SessionLink::Waiting { .. }) {
            self.actions.push_back(Action::Disconnect { code });
        }
    }

    fn end(&mut self, code: Option<u16>, reason: Box<str>) {
        self.link = SessionLink::Ended;
        self.requests.end(&mut self.actions);
        let url = self.urls[self.used].clone();
        self.actions.push_back(Action::Tell(Event::Closed { url, code, reason }));
        self.actions.push_back(Action::Finish);
    }

    /// Does whatever is due at `now`.
    fn advance(&mut self, now: Instant) {
        self.requests.expire(now, &mut self.actions);
        match &self.link {
            SessionLink::Waiting { until } if *until <= now => {
                let (url, attempt) = (self.url, self.next_attempt());
                self.link = SessionLink::Opening { deadline: now + self.open_timeout };
                self.used = url;
                self.actions.push_back(Action::Connect { url, attempt });
            }
            SessionLink::Opening { deadline } if *deadline <= now => {
                self.disconnect(CloseCode::Normal);
                self.down(now, "the node did not answer in time".into(), Duration::ZERO);
            }
            SessionLink::Live(live) if live.dead_at().is_some_and(|at| at <= now) => {
                self.disconnect(CloseCode::Normal);
                self.down(now, "nothing was heard from the node".into(), Duration::ZERO);
            }
            SessionLink::Live(_) => self.advance_live(now),
            _ => {}
        }
    }

    fn advance_live(&mut self, now: Instant) {
        match self.link.step(now, self.requests.any_sent()) {
            Step::Stay => {}
            Step::Prepare => {
                self.url = (self.url + 1) % self.urls.len();
                let (url, attempt) = (self.url, self.next_attempt());
                self.actions.push_back(Action::Prepare { url, attempt });
            }
            Step::Move { is_prepared } => return self.change(now, is_prepared),
        }
        self.rooms.send_joins(now, &mut self.last_id, &mut self.actions);
        if self.link.sends() {
            self.watches.send(&mut self.last_id, &mut self.actions);
            self.requests.send(now, &mut self.actions);
            if self.renewal.begin(now) {
                self.actions.push_back(Action::FetchToken);
            }
        }
    }
}
