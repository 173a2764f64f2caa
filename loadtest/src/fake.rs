//! A tiny node for the tests of this crate: one thread per connection, rooms under one lock, and
//! faults on demand. It speaks enough of the wire for the load: connected, join, publish.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use roomcast_protocol::{
    ClientFrame, ConnectionId, Encoding, Epoch, ErrorCode, Heartbeat, Limits, Message, NodeId,
    RoomName, ServerFrame,
};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::reader::{Depth, Reader};
use crate::wire;

/// What the node does wrong with the third message of a room, towards its first member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// It is never delivered.
    Drop,
    /// It is delivered twice.
    Twice,
    /// It is delivered after the fourth.
    Late,
    /// The fourth's data is delivered in its place.
    Forge,
    /// The first publishes in a room are answered `overloaded`.
    Overload,
}

/// Publishes that `Fault::Overload` refuses in each room.
const REFUSALS: u32 = 5;

#[derive(Default)]
struct Room {
    seq: u64,
    members: Vec<(TcpStream, Encoding)>,
    /// A frame that the fault holds back.
    late: Vec<u8>,
    refused: u32,
}

type Rooms = Arc<Mutex<HashMap<RoomName, Room>>>;

/// A fake cluster: so many listeners over the same rooms.
pub(crate) fn nodes(count: usize, fault: Fault) -> Vec<SocketAddr> {
    let rooms = Rooms::default();
    let node = |_| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (addr, rooms) = (listener.local_addr().unwrap(), Arc::clone(&rooms));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, rooms) = (stream.unwrap(), Arc::clone(&rooms));
                // The test's clients go by reset: the thread ends with whatever error that gives.
                std::thread::spawn(move || serve(stream, &rooms, fault));
            }
        });
        addr
    };
    (0..count).map(node).collect()
}

fn serve(mut stream: TcpStream, rooms: &Rooms, fault: Fault) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while wire::head_end(&head).is_none() {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let encoding = match wire::field(&head, "sec-websocket-protocol").unwrap() {
        "roomcast.v1.json" => Encoding::Json,
        _ => Encoding::MsgPack,
    };
    let accept = derive_accept_key(wire::field(&head, "sec-websocket-key").unwrap().as_bytes());
    write!(stream, "HTTP/1.1 101 x\r\nSec-WebSocket-Accept: {accept}\r\n\r\n")?;
    stream.write_all(&bytes(&connected(), encoding))?;
    let (mut reader, mut buffer) = (Reader::default(), [0; 4096]);
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        let mut frames = Vec::new();
        let on = |frame: crate::reader::Frame<'_>| {
            let mut payload = frame.payload.to_vec();
            wire::unmask(&mut payload, frame.header.mask.unwrap());
            frames.push(ClientFrame::decode(encoding, &payload).unwrap());
        };
        reader.feed(&buffer[..read], Depth::Whole, on).unwrap();
        for frame in frames {
            let answer = answer(&frame, (&stream, encoding), rooms, fault);
            stream.write_all(&answer)?;
        }
    }
}

fn connected() -> ServerFrame {
    ServerFrame::Connected {
        connection: ConnectionId(1),
        user: None,
        node: NodeId::parse("fake").unwrap(),
        time: 0,
        expires: None,
        online: None,
        heartbeat: Heartbeat { interval_ms: 25_000, timeout_ms: 50_000 },
        limits: Limits { message_bytes: 65_536, rooms: 128 },
    }
}

fn answer(
    frame: &ClientFrame,
    (stream, encoding): (&TcpStream, Encoding),
    rooms: &Rooms,
    fault: Fault,
) -> Vec<u8> {
    let mut rooms = rooms.lock().unwrap();
    match frame {
        ClientFrame::Join { id, rooms: wanted } => {
            let mut answer = Vec::new();
            for join in wanted {
                let room = rooms.entry(join.room.clone()).or_default();
                room.members.push((stream.try_clone().unwrap(), encoding));
                let joined = ServerFrame::Joined {
                    id: *id,
                    room: join.room.clone(),
                    epoch: Epoch(1),
                    seq: room.seq,
                    recovered: None,
                    counts: None,
                    marks: None,
                    state: false,
                };
                answer.extend(bytes(&joined, encoding));
            }
            answer
        }
        ClientFrame::Publish(publish) => {
            let name = publish.room.clone();
            let room = rooms.entry(name.clone()).or_default();
            if fault == Fault::Overload && room.refused < REFUSALS {
                room.refused += 1;
                return bytes(&overloaded(publish.id), encoding);
            }
            room.seq += 1;
            let message = Message {
                seq: room.seq,
                time: 0,
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
                data: publish.data.clone(),
            };
            deliver(room, &name, &message, fault);
            let (epoch, seq) = (Epoch(1), room.seq);
            publish.id.map_or(Vec::new(), |id| {
                bytes(&ServerFrame::Ack { id, room: name, epoch, seq, time: 0 }, encoding)
            })
        }
        other => panic!("the load sent {other:?}"),
    }
}

fn deliver(room: &mut Room, name: &RoomName, message: &Message, fault: Fault) {
    for (number, (stream, encoding)) in room.members.iter_mut().enumerate() {
        let frame = |seq: u64| {
            let message = Arc::new(Message { seq, ..message.clone() });
            bytes(&ServerFrame::Message { room: name.clone(), message }, *encoding)
        };
        let frame_now = frame(message.seq);
        let out = match (fault, number, message.seq) {
            (Fault::Drop | Fault::Forge, 0, 3) => Vec::new(),
            (Fault::Twice, 0, 3) => [&frame_now[..], &frame_now[..]].concat(),
            (Fault::Late, 0, 3) => {
                room.late = frame_now;
                Vec::new()
            }
            (Fault::Late, 0, 4) => [&frame_now[..], &room.late[..]].concat(),
            (Fault::Forge, 0, 4) => [frame(3), frame_now].concat(),
            _ => frame_now,
        };
        // A member that is gone misses it, as it would anywhere.
        let _ = stream.write_all(&out);
    }
}

fn overloaded(id: Option<u64>) -> ServerFrame {
    let (code, message) = (ErrorCode::Overloaded, "try again".into());
    ServerFrame::Error { id, room: None, code, message, retry_after_ms: Some(1) }
}

fn bytes(frame: &ServerFrame, encoding: Encoding) -> Vec<u8> {
    let mut payload = Vec::new();
    frame.encode(encoding, &mut payload);
    let mut bytes = Vec::new();
    wire::push_server_frame(wire::TEXT, &payload, &mut bytes);
    bytes
}
