//! The node in the model: its rooms, and what it answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use roomcast_protocol::{
    ClientFrame, Data, Epoch, ErrorCode, JoinRoom, Message, Position, Publish, ServerFrame, Since,
    StateEntry, StateKey,
};

use super::super::tests::{message, room};
use super::*;

#[derive(Debug, Default)]
pub(super) struct NodeRoom {
    pub(super) epoch: u64,
    /// Everything of the current epoch, by seq from 1: (payload, epoch it was stored in).
    pub(super) log: Vec<u64>,
    /// Seqs up to this one are forgotten, but for the state.
    pub(super) forgotten: u64,
    pub(super) member: bool,
}

impl NodeRoom {
    pub(super) fn state(&self) -> BTreeMap<Option<StateKey>, StateEntry> {
        let entry = |(index, &payload): (usize, &u64)| {
            let message = said(STATE_ROOM, index as u64 + 1, payload);
            let (key, seq) = (message.state_key.clone(), message.seq);
            let (data, points) = (message.data.clone(), None);
            (key.clone(), StateEntry { key, seq, time: message.time, user: None, data, points })
        };
        self.log.iter().enumerate().map(entry).collect()
    }
}

impl World {
    pub(super) fn node_takes(&mut self, frame: ClientFrame, mood: Mood) {
        let refusal = |id, room: &RoomName, code| {
            let (room, message) = (Some(room.clone()), "no".into());
            ServerFrame::Error { id, room, code, message, retry_after_ms: None }
        };
        match (frame, mood) {
            (ClientFrame::Join { id, rooms }, Mood::Overloaded) => {
                for join in rooms {
                    self.say(refusal(id, &join.room, ErrorCode::Overloaded));
                }
            }
            (ClientFrame::Join { id, rooms }, _) => {
                rooms.into_iter().for_each(|join| self.node_joins(id, join));
            }
            (ClientFrame::Leave { id, room }, _) => {
                self.rooms[index(&room)].member = false;
                self.say(ServerFrame::Left { id, room, reason: None });
            }
            (ClientFrame::Publish(publish), Mood::Overloaded) => {
                self.say(refusal(publish.id, &publish.room, ErrorCode::Overloaded));
            }
            (ClientFrame::Publish(publish), Mood::Forbidding) => {
                self.say(refusal(publish.id, &publish.room, ErrorCode::Forbidden));
            }
            (ClientFrame::Publish(publish), mood) => {
                let (id, room) = (publish.id.expect("asks for an ack"), publish.room.clone());
                let Position { epoch, seq } = self.store(&publish);
                self.say(match mood {
                    Mood::Unsure => refusal(Some(id), &room, ErrorCode::PublishUnknown),
                    _ => ServerFrame::Ack { id, room, epoch, seq, time: 0 },
                });
            }
            (frame, _) => panic!("not sent by this model: {frame:?}"),
        }
    }

    fn store(&mut self, publish: &Publish) -> Position {
        let key = publish.key.as_ref().map(|key| key.to_string());
        if let Some(position) = key.as_ref().and_then(|key| self.keys.get(key)) {
            return *position;
        }
        let Data::Json(bytes) = &publish.data else { panic!("the model speaks JSON") };
        let payload = std::str::from_utf8(bytes).unwrap().parse().unwrap();
        let position = self.append(index(&publish.room), payload);
        self.keys.extend(key.map(|key| (key, position)));
        position
    }

    pub(super) fn append(&mut self, at: usize, payload: u64) -> Position {
        *self.stored.entry(payload).or_default() += 1;
        let node = &mut self.rooms[at];
        node.log.push(payload);
        let seq = node.log.len() as u64;
        let position = Position { epoch: Epoch(node.epoch), seq };
        if node.member {
            let (room, message) = (room(ROOMS[at]), said(at, seq, payload));
            self.say(ServerFrame::Message { room, message });
        }
        position
    }

    fn node_joins(&mut self, id: Option<RequestId>, join: JoinRoom) {
        let at = index(&join.room);
        let node = &mut self.rooms[at];
        assert!(!node.member, "joined twice");
        node.member = true;
        let (room, epoch, last) = (join.room, Epoch(node.epoch), node.log.len() as u64);
        let log = node.log.clone();
        let since = join.since.and_then(Since::position);
        let good = since.filter(|since| since.epoch == epoch && since.seq <= last);
        let from = good.map_or(last, |since| since.seq);
        let oldest = node.forgotten.max(from);
        let recovered = join.since.map(|_| good.is_some() && oldest == from);
        let state = at == STATE_ROOM && join.since.is_none();
        let joined = ServerFrame::Joined {
            id,
            room: room.clone(),
            epoch,
            seq: from,
            recovered,
            counts: None,
            marks: None,
            state,
        };
        self.say(joined);
        if state {
            return self.snapshot();
        }
        if join.since.is_some() && good.is_none() {
            return self.reset(at, Position { epoch, seq: from }, 1);
        }
        if oldest > from && at == STATE_ROOM {
            let (from, to) = (from + 1, last);
            self.say(ServerFrame::Gap { room, from, to, conflated: false, state: true });
            return self.snapshot();
        }
        if oldest > from {
            self.say(ServerFrame::gap(room.clone(), (from + 1, oldest)));
        }
        for seq in oldest + 1..=last {
            let message = said(at, seq, log[seq as usize - 1]);
            self.say(ServerFrame::Message { room: room.clone(), message });
        }
    }

    pub(super) fn reset(&mut self, at: usize, to: Position, lost: u64) {
        let (room, state) = (room(ROOMS[at]), at == STATE_ROOM);
        let Position { epoch, seq } = to;
        self.say(ServerFrame::Reset { room, epoch, seq, lost, state });
        if state {
            self.snapshot();
        }
    }

    /// The whole state as it is, in parts of one value each.
    fn snapshot(&mut self) {
        let node = &self.rooms[STATE_ROOM];
        let (epoch, seq) = (Epoch(node.epoch), node.log.len() as u64);
        let mut entries: Vec<_> = node.state().into_values().collect();
        loop {
            let part: Vec<_> = entries.pop().into_iter().collect();
            let (room, more) = (room(ROOMS[STATE_ROOM]), !entries.is_empty());
            let (id, page) = (None, None);
            self.say(ServerFrame::State { id, room, epoch, seq, entries: part, more, page });
            if !more {
                return;
            }
        }
    }
}

/// A message of this room.
pub(super) fn said(at: usize, seq: u64, payload: u64) -> Arc<Message> {
    let mut message = message(seq, payload);
    if at == STATE_ROOM {
        let key = StateKey::parse(&format!("k{}", payload % KEYS)).unwrap();
        Arc::make_mut(&mut message).state_key = Some(key);
    }
    message
}
