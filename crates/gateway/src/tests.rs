//! What the unit tests of several modules share: messages, rooms, connections over a loopback
//! pair, and a reader of outgoing frames.

use std::cell::RefCell;
use std::io::Cursor;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use flate2::{Decompress, FlushDecompress};
use roomcast_bus::{Bus, MemoryOptions};
use roomcast_metrics::Metrics;
use roomcast_protocol::{
    ConnectionId, Data, Encoding, Epoch, Lineage, Message, NodeId, Position, PublishKey, RoomName,
    Seq, ServerFrame,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data as DataOpCode, OpCode};

use crate::config::Config;
use crate::connection::{Connection, RoomId};
use crate::form::{Form, FrameExtension};
use crate::hub::HubHandle;
use crate::identity::Hello;
use crate::room::{MemberReader, Room, RoomMember, RoomState};
use crate::room_log::{Batch, Budget, LogEntry};
use crate::settings::Settings;
use crate::traces::Tracer;
use crate::worker::Worker;

/// Rooms that were made without a worker.
static ROOMS_MADE: AtomicU32 = AtomicU32::new(0);

/// The epoch of rooms that begin.
pub(crate) const EPOCH: Epoch = Epoch(1);

pub(crate) fn room_name() -> RoomName {
    RoomName::parse("lobby").unwrap()
}

/// A position in [`EPOCH`].
pub(crate) fn at(seq: Seq) -> Position {
    Position { epoch: EPOCH, seq }
}

/// A message with `size` bytes of data (at least 2) that tell its seq.
pub(crate) fn message(seq: Seq, size: usize) -> Message {
    let digits = seq.to_string();
    let padding = "0".repeat(size.saturating_sub(digits.len() + 2));
    Message {
        seq,
        time: seq * 10,
        user: None,
        connection: None,
        event: None,
        key: None,
        echo: true,
        traceparent: None,
        state_key: None,
        ttl_ms: None,
        remove: false,
        info: None,
        data: Data::json(format!("\"{padding}{digits}\"")).unwrap(),
    }
}

/// The same as an entry of a log.
pub(crate) fn entry(seq: Seq, size: usize) -> LogEntry {
    LogEntry::Message(Arc::new(message(seq, size)))
}

/// A batch of one message of so many bytes.
pub(crate) fn batch(size: usize) -> Arc<Batch> {
    Arc::new(Batch::new(room_name(), at(0), vec![entry(1, size)], &Budget::default()))
}

/// A reset to a first epoch of its own kind.
pub(crate) fn reset(epoch: Epoch, seq: Seq) -> LogEntry {
    LogEntry::Reset { lineage: Arc::new(Lineage::new(epoch)), seq, lost: 0 }
}

pub(crate) fn key() -> PublishKey {
    PublishKey::parse("once").unwrap()
}

/// What a reader is told, without what does not matter here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// A message; `keyed` if its key is shown.
    Message {
        seq: Seq,
        keyed: bool,
        data: Data,
    },
    Gap {
        from: Seq,
        to: Seq,
    },
    Reset {
        epoch: Epoch,
        seq: Seq,
    },
}

impl Seen {
    /// A message that tells no key, as a reader of this form gets it.
    pub(crate) fn message(message: &Message, keyed: bool, form: Form) -> Self {
        let mut bytes = Vec::new();
        let data = match form.encoding() {
            Encoding::Json => {
                message.data.write_json(&mut bytes);
                Data::json(bytes).unwrap()
            }
            Encoding::MsgPack => {
                message.data.write_msgpack(&mut bytes);
                Data::msgpack(bytes).unwrap()
            }
        };
        Self::Message { seq: message.seq, keyed, data }
    }

    /// An entry as readers see it that are not its author.
    pub(crate) fn entry(entry: &LogEntry, form: Form) -> Self {
        match entry {
            LogEntry::Message(message) => Self::message(message, false, form),
            LogEntry::Gap { from, to } | LogEntry::Conflated { from, to } => {
                Self::Gap { from: *from, to: *to }
            }
            LogEntry::State(_) => panic!("no log has a snapshot"),
            LogEntry::Reset { lineage, seq, .. } => Self::Reset { epoch: lineage.epoch, seq: *seq },
        }
    }
}

/// Reads a stream of whole outgoing frames, which must be unmasked, unfragmented and of the right
/// kind; panics if anything is torn.
#[track_caller]
pub(crate) fn seen(mut bytes: &[u8], form: Form) -> Vec<Seen> {
    let encoding = form.encoding();
    let kind = match encoding {
        Encoding::Json => OpCode::Data(DataOpCode::Text),
        Encoding::MsgPack => OpCode::Data(DataOpCode::Binary),
    };
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let mut cursor = Cursor::new(bytes);
        let (header, length) = FrameHeader::parse(&mut cursor).unwrap().expect("a whole header");
        assert!(header.is_final && header.mask.is_none(), "{header:?}");
        assert_eq!(header.opcode, kind);
        assert!(!header.rsv1 || form.extension() == FrameExtension::Deflate, "{header:?}");
        let start = cursor.position() as usize;
        let end = start + length as usize;
        assert!(end <= bytes.len(), "a torn frame");
        let payload = match header.rsv1 {
            true => inflated(&bytes[start..end]),
            false => bytes[start..end].to_vec(),
        };
        all.push(match ServerFrame::decode(encoding, &payload).unwrap() {
            ServerFrame::Message { message, .. } => Seen::Message {
                seq: message.seq,
                keyed: message.key.is_some(),
                data: message.data.clone(),
            },
            ServerFrame::Gap { from, to, .. } => Seen::Gap { from, to },
            ServerFrame::Reset { epoch, seq, .. } => Seen::Reset { epoch, seq },
            other => panic!("unexpected {other:?}"),
        });
        bytes = &bytes[end..];
    }
    all
}

/// The payload of a compressed frame, inflated.
#[track_caller]
pub(crate) fn inflated(payload: &[u8]) -> Vec<u8> {
    let mut inflater = Decompress::new(false);
    let mut out = Vec::with_capacity(1 << 20);
    let whole = [payload, &[0, 0, 0xff, 0xff]].concat();
    inflater.decompress_vec(&whole, &mut out, FlushDecompress::Sync).expect("it inflates");
    assert_eq!(inflater.total_in(), whole.len() as u64, "all of it");
    out
}

/// Settings with the defaults and these changes, such as `limits.rooms_per_connection=3`.
pub(crate) fn settings(changes: &[&str]) -> Settings {
    Settings::new(&Config::from_settings(changes).unwrap(), 1000, &Metrics::new())
}

/// A room without members, with an empty log. Each has an id of its own.
pub(crate) fn room() -> Rc<Room> {
    let name = room_name();
    let namespace = RefCell::new(settings(&[]).namespace_of(&name).clone());
    let id = RoomId { index: ROOMS_MADE.fetch_add(1, Ordering::Relaxed), generation: 0 };
    Rc::new(Room { id, name, namespace, state: RefCell::new(RoomState::asked(1)) })
}

/// A worker without connections, on a bus in memory.
pub(crate) fn worker(settings: Settings, hub: HubHandle) -> Worker {
    let (replies, _) = mpsc::unbounded_channel();
    let (bus, _) = Bus::memory(MemoryOptions::default());
    let (named, means) = ((0, NodeId::parse("n").unwrap()), (bus, hub, replies));
    Worker::new(
        named,
        means,
        Arc::new(settings),
        (Metrics::new(), Tracer::default()),
        Arc::default(),
    )
}

/// A connection and the client's end of it.
pub(crate) async fn connection(id: u64) -> (Rc<Connection>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (socket, _) = listener.accept().await.unwrap();
    let id = ConnectionId(id);
    (
        Rc::new(Connection::new(id, Hello::default(), Form::WebSocketJson, socket, &Rc::default())),
        client,
    )
}

/// Makes a connection a member of a room, as a worker does; its slot.
pub(crate) fn enter(connection: &Rc<Connection>, room: &Rc<Room>, reader: MemberReader) -> u32 {
    let membership = connection.enter(room.id);
    let mut state = room.state.borrow_mut();
    let member = RoomMember {
        connection: Some(connection.clone()),
        membership,
        author: false,
        listens: false,
        reader: reader.clone(),
    };
    let slot = state.members.add(member);
    connection.moved(membership, slot);
    state.place(slot, reader);
    slot
}

/// Takes a connection out of a room.
pub(crate) fn leave(connection: &Rc<Connection>, room: &Rc<Room>) {
    let (membership, slot) = connection.membership_in(room.id).expect("it is a member");
    connection.exit(membership);
    room.state.borrow_mut().members.remove(slot);
}
