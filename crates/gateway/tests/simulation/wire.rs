//! The client's end of a connection: bytes become frames, and each membership is checked against
//! what really happened, whatever the client makes of it.

use std::io::Cursor;

use roomcast_protocol::{ConnectionId, Data, Encoding, Message, Position, ServerFrame};
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, OpCode};

use super::truth::{Id, Truth};
use super::{ROOMS, room_index};

/// One frame from the node.
#[derive(Debug)]
pub(super) enum Frame {
    Server(Box<ServerFrame>),
    Ping,
    Close(u16),
}

/// Takes the whole frames off the front of `bytes`.
pub(super) fn parse(bytes: &mut Vec<u8>, encoding: Encoding) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut start = 0;
    loop {
        let mut cursor = Cursor::new(&bytes[start..]);
        let Some((header, length)) = FrameHeader::parse(&mut cursor).expect("a WebSocket frame")
        else {
            break;
        };
        let begin = start + cursor.position() as usize;
        let end = begin + length as usize;
        let Some(payload) = bytes.get(begin..end) else { break };
        frames.push(match header.opcode {
            OpCode::Data(_) => {
                let frame = ServerFrame::decode(encoding, payload).expect("a frame of the node");
                Frame::Server(Box::new(frame))
            }
            OpCode::Control(Control::Close) => {
                Frame::Close(u16::from_be_bytes([payload[0], payload[1]]))
            }
            OpCode::Control(_) => Frame::Ping,
        });
        start = end;
    }
    bytes.drain(..start);
    frames
}

/// The number that a message carries.
pub(super) fn id_of(message: &Message) -> Id {
    number(&message.data)
}

/// A payload that tells a message's number: short or long, in either encoding.
pub(super) fn payload(id: Id, least: usize) -> Data {
    let width = if id.is_multiple_of(5) { 300 } else { 1 }.max(least);
    let json = Data::Json(format!("\"{id:0width$}\"").into());
    if !id.is_multiple_of(3) {
        return json;
    }
    let mut value = Vec::new();
    json.write_msgpack(&mut value);
    Data::MsgPack(value.into())
}

/// The number that a payload tells.
pub(super) fn number(data: &Data) -> Id {
    let mut json = Vec::new();
    data.write_json(&mut json);
    let text = std::str::from_utf8(&json).expect("JSON").trim_matches('"');
    text.parse().expect("a number of the model")
}

/// Where the frames of one membership have come to.
#[derive(Debug, Clone, Copy)]
struct Membership {
    at: Position,
    /// It was not recovered: what is missing must be named first.
    owed: bool,
    /// Where the snapshot is that follows.
    snapshot: Option<Position>,
}

impl Membership {
    /// What was missing has a name; if a snapshot follows, the client goes on after it.
    fn go_on(&mut self, at: Position, has_snapshot: bool) {
        self.owed = false;
        self.snapshot = has_snapshot.then_some(at);
        if !has_snapshot {
            self.at = at;
        }
    }
}

/// All memberships of one connection, as its frames tell them.
#[derive(Debug)]
pub(super) struct Witness {
    id: ConnectionId,
    rooms: [Option<Membership>; ROOMS],
    /// The room that keeps state, if one does: there each hole is named in its place.
    state_room: Option<usize>,
}

impl Witness {
    pub(super) fn new(id: ConnectionId, state_room: Option<usize>) -> Self {
        Self { id, rooms: [None; ROOMS], state_room }
    }

    /// P1, P2 and P4 on the wire: the next message, or a name for what is missing.
    pub(super) fn hear(&mut self, frame: &ServerFrame, truth: &Truth) {
        match frame {
            ServerFrame::Joined { room, epoch, seq, recovered, state, .. } => {
                let member = &mut self.rooms[room_index(room)];
                assert!(member.is_none(), "joined twice");
                let at = Position { epoch: *epoch, seq: *seq };
                let (owed, snapshot) = (*recovered == Some(false), state.then_some(at));
                *member = Some(Membership { at, owed, snapshot });
            }
            ServerFrame::Left { room, .. } => self.rooms[room_index(room)] = None,
            ServerFrame::Message { room, message } => {
                let (id, keeps_state) = (self.id, self.state_room == Some(room_index(room)));
                let member = self.member(room);
                member.owed &= !keeps_state;
                assert!(!member.owed, "a message before the hole was named");
                assert!(member.snapshot.is_none(), "a message within a snapshot");
                let at = Position { seq: message.seq, ..member.at };
                expect_next(truth, id, member.at, message.seq);
                assert_eq!(truth.at(at), Some(id_of(message)), "another message at {at:?}");
                assert!(!truth.is_skipped(at, id), "its own without echo");
                member.at = at;
            }
            ServerFrame::Gap { room, from, to, state, .. } => {
                let id = self.id;
                let member = self.member(room);
                assert!(from <= to && *to > member.at.seq, "{from} to {to} after {:?}", member.at);
                // One that begins earlier names more than is missing: this node has none of it.
                expect_next(truth, id, member.at, (*from).max(member.at.seq + 1));
                let after = Position { seq: *to, ..member.at };
                member.go_on(after, *state);
            }
            ServerFrame::Reset { room, epoch, seq, state, .. } => {
                let at = Position { epoch: *epoch, seq: *seq };
                self.member(room).go_on(at, *state);
            }
            ServerFrame::State { id: None, room, epoch, seq, more, .. } => {
                let at = Position { epoch: *epoch, seq: *seq };
                let member = self.member(room);
                assert!(!member.owed, "a snapshot before the hole was named");
                assert_eq!(member.snapshot, Some(at), "another snapshot");
                if !more {
                    member.go_on(at, false);
                }
            }
            _ => {}
        }
    }

    fn member(&mut self, room: &roomcast_protocol::RoomName) -> &mut Membership {
        self.rooms[room_index(room)].as_mut().expect("a frame of a room it is not in")
    }
}

/// `seq` follows `at`, but for the reader's own messages without echo.
pub(super) fn expect_next(truth: &Truth, reader: ConnectionId, at: Position, seq: u64) {
    assert!(seq > at.seq, "{seq} comes again after {at:?}");
    for between in at.seq + 1..seq {
        let between = Position { seq: between, ..at };
        assert!(truth.is_skipped(between, reader), "{between:?} is missing in silence");
    }
}
