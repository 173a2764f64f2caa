//! Members that use the Rust client, which reconnects and resumes by itself. What it tells goes to
//! the checker in the words of the wire.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use roomcast_client::{Backoff, Client, Event, JoinOptions, Options};
use roomcast_protocol::{Encoding, Message, Position, RoomName};

use super::checker::MemberId;
use super::journal::{Content, Entry};
use super::turned_away::is_turned_away;
use crate::dialect::text_of;
use crate::door::Door;

/// Shorter than the client's own, so that it is back while the fault after the next is not yet.
const BACKOFF: Backoff = Backoff {
    min: Duration::from_millis(50),
    max: Duration::from_millis(800),
    reset_after: Duration::from_secs(2),
};
/// From the TCP connect to `connected`; a stopped node takes connects and answers nothing.
const OPEN: Duration = Duration::from_secs(3);
/// Events on their way to the checker.
const EVENTS: usize = 1_024;

/// What Rust clients tell.
#[derive(Debug)]
pub(super) enum Told {
    /// A membership noted something.
    Noted(MemberId, Entry),
    /// A publisher began all messages before this one.
    Begun { publisher: u32, next: u32 },
    /// A message was acknowledged.
    Acked { room: usize, content: Content, at: Position },
    /// A message was given up by the client, and is published again.
    Again,
    /// All messages of a publisher are acknowledged.
    Finished { publisher: u32 },
    /// Something must not have happened.
    Wrong { room: usize, who: String, what: String },
    /// A client was refused or ended at the door.
    TurnedAway { room: usize, who: String, what: String },
}

/// Where a client connects, and how it talks.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) addrs: Vec<SocketAddr>,
    pub(super) door: Arc<Door>,
    pub(super) user: String,
    pub(super) encoding: Encoding,
}

impl Line {
    /// The options of a client on it.
    pub(super) fn options(&self) -> Options {
        let mut options = self.door.options(&self.addrs, &self.user);
        options.encoding = self.encoding;
        (options.backoff, options.open_timeout, options.events) = (BACKOFF, OPEN, EVENTS);
        options
    }
}

/// One member's place in the run.
pub(super) struct Seat {
    pub(super) line: Line,
    pub(super) rooms: Vec<(MemberId, usize, RoomName)>,
}

/// Runs a client until the runtime ends.
pub(super) async fn run(seat: Seat, told: Sender<Told>) {
    let options = seat.line.options();
    let ids = seat.rooms.iter().map(|(id, room, name)| (name.clone(), (*id, *room))).collect();
    let mut scribe = Scribe { ids, told, joined: HashSet::new(), unnamed: HashSet::new() };
    let client = match Client::connect(options) {
        Ok(client) => client,
        Err(error) => return scribe.wrong_everywhere(&error.to_string()),
    };
    for (_, _, room) in seat.rooms {
        if client.join(room, JoinOptions::default()).await.is_err() {
            return scribe.wrong_everywhere("the client ended");
        }
    }
    while let Some(event) = client.next().await {
        scribe.write(event);
    }
}

struct Scribe {
    /// Each room's membership and number.
    ids: HashMap<RoomName, (MemberId, usize)>,
    told: Sender<Told>,
    joined: HashSet<RoomName>,
    /// Rooms whose join did not recover: what the client keeps to itself until then is where the
    /// room goes on, which the next event tells.
    unnamed: HashSet<RoomName>,
}

impl Scribe {
    fn write(&mut self, event: Event) {
        match event {
            Event::Joined { room, recovered: Some(false), .. } => {
                self.joined.insert(room.clone());
                self.unnamed.insert(room);
            }
            Event::Joined { room, position, recovered, .. } => {
                self.note(&room, Entry::Joined { at: position, recovered });
                self.joined.insert(room);
            }
            Event::Message { room, position, message } => match content(&message) {
                Some(content) => {
                    self.named(&room, Position { seq: position.seq - 1, ..position });
                    self.note(&room, Entry::Message { seq: message.seq, content });
                }
                None => self.wrong(&room, "a payload nobody sent"),
            },
            Event::Gap { room, from, to, position, .. } => {
                self.named(&room, Position { seq: from - 1, ..position });
                self.note(&room, Entry::Gap { from, to });
            }
            Event::Reset { room, position, lost, .. } => {
                self.named(&room, position);
                self.note(&room, Entry::Reset { at: position, lost });
            }
            Event::Disconnected { reason, .. } => {
                if is_turned_away(&reason) {
                    self.turned_away(&reason);
                }
                for room in std::mem::take(&mut self.joined) {
                    self.note(&room, Entry::Lost);
                }
                self.unnamed.clear();
            }
            Event::Connected { .. } | Event::Error { retry_in: Some(_), .. } => {}
            other => self.wrong_everywhere(&format!("{other:?}")),
        }
    }

    /// Now it is known where a room goes on.
    fn named(&mut self, room: &RoomName, at: Position) {
        if self.unnamed.remove(room) {
            self.note(room, Entry::Joined { at, recovered: Some(false) });
        }
    }

    fn note(&self, room: &RoomName, entry: Entry) {
        if let Some(&(id, _)) = self.ids.get(room) {
            // Nobody listens any more when the run is over.
            let _ = self.told.send(Told::Noted(id, entry));
        }
    }

    fn wrong(&self, room: &RoomName, what: &str) {
        if let Some(&(id, room)) = self.ids.get(room) {
            let (who, what) = (format!("the Rust client of membership {id}"), what.to_owned());
            let _ = self.told.send(Told::Wrong { room, who, what });
        }
    }

    fn turned_away(&self, what: &str) {
        if let Some(&(id, room)) = self.ids.values().next() {
            let (who, what) = (format!("the Rust client of membership {id}"), what.to_owned());
            let _ = self.told.send(Told::TurnedAway { room, who, what });
        }
    }

    fn wrong_everywhere(&self, what: &str) {
        self.ids.keys().for_each(|room| self.wrong(room, what));
    }
}

fn content(message: &Message) -> Option<Content> {
    text_of(&message.data).ok().and_then(Content::of)
}
