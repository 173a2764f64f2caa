//! What a client knows of a room with state: its map and its position, by the rules of the documents,
//! checked with each frame.

use std::collections::BTreeMap;

use roomcast_protocol::{JoinRoom, Position, Seq, ServerFrame};

use super::{TestClient, plain, text};

/// The values of a room by key (empty: the room's own), each with its seq.
pub type StateValues = BTreeMap<String, (Seq, String)>;

/// The map of one client.
#[derive(Debug)]
pub struct StateMap {
    pub room: String,
    /// What the client would resume from; `None` before its first snapshot.
    pub at: Option<Position>,
    pub values: StateValues,
    /// What was left out as newer values stand for it.
    pub conflated: Vec<(Seq, Seq)>,
    /// Frames of snapshots.
    pub parts: usize,
    /// Snapshots that came to their end.
    pub snapshots: usize,
    /// Messages that removed a value.
    pub removals: Vec<Seq>,
    /// A snapshot was announced, and its last frame has not come.
    is_waiting: bool,
    /// Frames of it have come.
    in_snapshot: Option<Position>,
}

impl StateMap {
    /// A client that is not in the room.
    pub fn new(room: &str) -> Self {
        Self {
            room: room.to_owned(),
            at: None,
            values: StateValues::new(),
            conflated: Vec::new(),
            parts: 0,
            snapshots: 0,
            removals: Vec::new(),
            is_waiting: false,
            in_snapshot: None,
        }
    }

    /// A client that joins as one without a position, or resumes from the one that it has.
    pub async fn join(&mut self, client: &mut TestClient) -> Option<bool> {
        self.is_waiting = false;
        self.in_snapshot = None;
        let id = client.next_id();
        let join = JoinRoom { since: self.at.map(Into::into), ..plain(&self.room) };
        let frame = roomcast_protocol::ClientFrame::Join { id: Some(id), rooms: vec![join] };
        let joined = client.ask(&frame).await;
        let ServerFrame::Joined { recovered, .. } = &joined else { panic!("{joined:?}") };
        let recovered = *recovered;
        self.take(joined);
        recovered
    }

    /// Takes the next frame.
    pub fn take(&mut self, frame: ServerFrame) {
        match frame {
            ServerFrame::Joined { epoch, seq, state, recovered, .. } => match state {
                true => self.is_waiting = true,
                false => {
                    assert!(
                        self.at.is_some() && recovered.is_some(),
                        "a first join has a snapshot"
                    );
                    let at = Position { epoch, seq };
                    if let Some(known) = self.at {
                        assert!(at.seq <= known.seq, "{at:?} after {known:?}");
                    }
                    self.at = Some(at);
                }
            },
            ServerFrame::State { id: None, epoch, seq, entries, more, page, .. } => {
                assert!(self.is_waiting && page.is_none(), "a snapshot is announced");
                let at = Position { epoch, seq };
                match self.in_snapshot {
                    None => self.values.clear(),
                    Some(known) => assert_eq!(known, at, "all parts are of one position"),
                }
                self.in_snapshot = Some(at);
                self.parts += 1;
                for entry in entries {
                    let key = entry.key.map_or_else(String::new, |key| key.as_str().to_owned());
                    let value = (entry.seq, text(&entry.data));
                    assert!(entry.seq <= seq, "a value of the snapshot's position");
                    assert!(self.values.insert(key, value).is_none(), "each key once");
                }
                if !more {
                    (self.at, self.in_snapshot) = (Some(at), None);
                    self.is_waiting = false;
                    self.snapshots += 1;
                }
            }
            ServerFrame::Message { message, .. } => {
                assert!(!self.is_waiting, "no message before the end of a snapshot");
                self.move_to(message.seq, message.seq);
                let key = message.state_key.as_ref().map_or("", |key| key.as_str()).to_owned();
                if message.remove {
                    self.removals.push(message.seq);
                    self.values.remove(&key);
                } else {
                    self.values.insert(key, (message.seq, text(&message.data)));
                }
            }
            ServerFrame::Gap { from, to, conflated, state: false, .. } => {
                assert!(conflated && !self.is_waiting, "a state room hides nothing");
                self.move_to(from, to);
                self.conflated.push((from, to));
            }
            ServerFrame::Gap { from, to, state: true, .. } => {
                let at = self.at.expect("a position");
                assert!(from == at.seq + 1 && from <= to, "{from} to {to} after {at:?}");
                (self.is_waiting, self.in_snapshot) = (true, None);
            }
            ServerFrame::Reset { epoch, state, .. } => {
                assert!(state && self.at.is_none_or(|at| at.epoch != epoch));
                (self.is_waiting, self.in_snapshot) = (true, None);
            }
            ServerFrame::Ack { .. } => {}
            other => panic!("{other:?}"),
        }
    }

    /// The position moves from right before `from` to `to`.
    fn move_to(&mut self, from: Seq, to: Seq) {
        let at = self.at.as_mut().expect("a position");
        assert!(from == at.seq + 1 && to >= from, "{from} to {to} after {at:?}");
        at.seq = to;
    }

    /// Takes frames until the map is that of `seq` or later.
    pub async fn until(&mut self, client: &mut TestClient, seq: Seq) {
        while self.is_waiting || self.at.is_none_or(|at| at.seq < seq) {
            let frame = client.frame().await;
            self.take(frame);
        }
    }

    /// Takes frames until the map is in another epoch than `epoch`.
    pub async fn until_reset(&mut self, client: &mut TestClient, epoch: roomcast_protocol::Epoch) {
        while self.is_waiting || self.at.is_none_or(|at| at.epoch == epoch) {
            let frame = client.frame().await;
            self.take(frame);
        }
    }

    /// The map as one line.
    pub fn shown(&self) -> String {
        let shown = self.values.iter().map(|(key, (seq, text))| format!("{key}={text}@{seq}"));
        shown.collect::<Vec<_>>().join(" ")
    }
}
