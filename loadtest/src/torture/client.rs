//! Members that use the Rust client, which reconnects and resumes by itself. What it tells goes to
//! the checker in the words of the wire.

use std::collections::{HashMap, HashSet};
use std::sync::mpsc::Sender;
use std::time::Duration;

use roomcast_client::{Backoff, Client, Event, JoinOptions, Options};
use roomcast_protocol::{Encoding, Message, Position, RoomName};

use super::checker::MemberId;
use super::journal::{Content, Entry};
use crate::dialect::text_of;

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

/// What a client told of one membership, or why it must not have happened.
pub(super) type Told = (MemberId, Result<Entry, String>);

/// One client's way into the run.
pub(super) struct Seat {
    pub(super) urls: Vec<String>,
    pub(super) encoding: Encoding,
    pub(super) rooms: Vec<(MemberId, RoomName)>,
}

/// Runs a client until the runtime ends.
pub(super) async fn run(seat: Seat, told: Sender<Told>) {
    let mut options = Options::new(seat.urls);
    options.encoding = seat.encoding;
    (options.backoff, options.open_timeout, options.events) = (BACKOFF, OPEN, EVENTS);
    let ids: HashMap<RoomName, MemberId> =
        seat.rooms.iter().map(|(id, room)| (room.clone(), *id)).collect();
    let mut scribe = Scribe { ids, told, joined: HashSet::new(), unnamed: HashSet::new() };
    let client = match Client::connect(options) {
        Ok(client) => client,
        Err(error) => return scribe.wrong_everywhere(&error.to_string()),
    };
    for (_, room) in seat.rooms {
        if client.join(room, JoinOptions::default()).await.is_err() {
            return scribe.wrong_everywhere("the client ended");
        }
    }
    while let Some(event) = client.next().await {
        scribe.write(event);
    }
}

struct Scribe {
    ids: HashMap<RoomName, MemberId>,
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
            Event::Joined { room, position, recovered } => {
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
            Event::Gap { room, from, to, position } => {
                self.named(&room, Position { seq: from - 1, ..position });
                self.note(&room, Entry::Gap { from, to });
            }
            Event::Reset { room, position, lost } => {
                self.named(&room, position);
                self.note(&room, Entry::Reset { at: position, lost });
            }
            Event::Disconnected { .. } => {
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
        if let Some(&id) = self.ids.get(room) {
            // Nobody listens any more when the run is over.
            let _ = self.told.send((id, Ok(entry)));
        }
    }

    fn wrong(&self, room: &RoomName, what: &str) {
        if let Some(&id) = self.ids.get(room) {
            let _ = self.told.send((id, Err(what.to_owned())));
        }
    }

    fn wrong_everywhere(&self, what: &str) {
        self.ids.keys().for_each(|room| self.wrong(room, what));
    }
}

fn content(message: &Message) -> Option<Content> {
    text_of(&message.data).ok().and_then(Content::of)
}
