//! The application in the model: it fails the run if it is told anything that does not follow.

use std::collections::BTreeMap;

use roomcast_protocol::{Data, Position, RequestId, RoomName, Seq};

use crate::{Ack, Event, PublishFailure, StateValues};

/// What the application knows and is owed.
#[derive(Default)]
pub(super) struct App {
    pub(super) rooms: BTreeMap<RoomName, AppRoom>,
    /// Payload and answer of each publish.
    pub(super) asked: BTreeMap<RequestId, (u64, Option<Result<Ack, PublishFailure>>)>,
    pub(super) closed: bool,
}

#[derive(Default)]
pub(super) struct AppRoom {
    pub(super) wanted: bool,
    pub(super) at: Option<Position>,
    /// A join that did not recover: the next thing told must be a gap or a reset.
    pub(super) owed: bool,
    pub(super) seen: Vec<(u64, Position)>,
    /// What it knows of the state, in the room that keeps some.
    pub(super) values: StateValues,
    /// A snapshot is to come, or has begun: nothing but its parts, and what begins another one.
    awaits: bool,
    /// Parts of it that have come.
    parts: u32,
}

impl App {
    pub(super) fn told(&mut self, event: Event) {
        if let Event::Message { room, .. } | Event::State { room, .. } = &event {
            self.rooms.entry(room.clone()).or_default().values.hear(&event);
        }
        match event {
            Event::Joined { room, state: true, recovered, .. } => {
                let app = self.rooms.entry(room).or_default();
                assert_eq!((app.at, recovered), (None, None), "resumed without a position");
                app.awaits = true;
            }
            Event::Joined { room, position, recovered, .. } => {
                let app = self.rooms.entry(room).or_default();
                app.awaits = false;
                match recovered {
                    Some(true) => assert_eq!(app.at, Some(position), "recovered elsewhere"),
                    Some(false) => {
                        assert_eq!(app.at, Some(position), "moved past a hole without a name");
                        app.owed = true;
                    }
                    None => assert_eq!(app.at, None, "resumed without a position"),
                }
                app.at = Some(position);
            }
            Event::Message { room, position, message } => {
                let app = self.rooms.entry(room).or_default();
                let at = app.at.expect("joined first");
                assert!(!app.owed, "a message before the hole was named");
                assert!(!app.awaits, "a message within a snapshot");
                assert_eq!(position, Position { epoch: at.epoch, seq: next(at.seq) });
                let Data::Json(bytes) = &message.data else { panic!("the model speaks JSON") };
                let payload = std::str::from_utf8(bytes).unwrap().parse().unwrap();
                assert_eq!(message.seq, position.seq);
                app.at = Some(position);
                app.seen.push((payload, position));
            }
            Event::Gap { room, state: true, .. } | Event::Reset { room, state: true, .. } => {
                let app = self.rooms.entry(room).or_default();
                (app.awaits, app.owed) = (true, false);
            }
            Event::State { room, is_first, more, position, .. } => {
                let app = self.rooms.entry(room).or_default();
                assert!(app.awaits, "a part of a snapshot that was not announced");
                assert!(is_first || app.parts > 0, "a snapshot without its first part");
                app.parts = if is_first { 1 } else { app.parts + 1 };
                if !more {
                    (app.at, app.awaits, app.parts) = (Some(position), false, 0);
                }
            }
            Event::Gap { room, from, to, position, .. } => {
                let app = self.rooms.entry(room).or_default();
                let at = app.at.as_mut().expect("joined first");
                assert_eq!(from, next(at.seq), "a gap elsewhere");
                at.seq = to;
                assert_eq!(*at, position);
                app.owed = false;
            }
            Event::Reset { room, position, .. } => {
                let app = self.rooms.entry(room).or_default();
                app.at = Some(position);
                app.owed = false;
            }
            Event::Left { .. } => {}
            Event::Error { retry_in, .. } => assert!(retry_in.is_some(), "only passing refusals"),
            Event::Closed { .. } => self.closed = true,
            Event::Connected { .. } | Event::Disconnected { .. } => {}
            other => panic!("not part of this model: {other:?}"),
        }
    }
}

fn next(seq: Seq) -> Seq {
    seq + 1
}
