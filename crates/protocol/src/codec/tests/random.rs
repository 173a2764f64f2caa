//! Properties: arbitrary frames survive both encodings, arbitrary bytes never panic. 2,000 cases
//! each.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use crate::data::tests::payload;
use crate::{
    ClientFrame, ConnectionId, Data, Encoding, Epoch, ErrorCode, EventName, HistoryQuery, JoinRoom,
    Member, Message, OnlineUser, Position, PresenceCounts, PresenceStatus, Publish, PublishKey,
    ReadMarks, RoomName, ServerFrame, Since, StateEntry, StateKey, StatePoint, UserEvent, UserName,
};

const CASES: u32 = 2000;
const MAX_SAFE: u64 = (1 << 53) - 1;

fn encoding() -> impl Strategy<Value = Encoding> {
    prop_oneof![Just(Encoding::Json), Just(Encoding::MsgPack)]
}

fn room() -> impl Strategy<Value = RoomName> {
    r#"[a-zA-Z0-9:"\\ü€😀]{1,20}"#.prop_map(|text| RoomName::parse(&text).unwrap())
}

fn id() -> impl Strategy<Value = Option<u64>> {
    of(1..=MAX_SAFE)
}

fn text() -> impl Strategy<Value = Box<str>> {
    any::<String>().prop_map(Into::into)
}

fn event() -> impl Strategy<Value = EventName> {
    "[a-z.]{1,20}".prop_map(|text| EventName::parse(&text).unwrap())
}

fn key() -> impl Strategy<Value = PublishKey> {
    "[!-~]{1,64}".prop_map(|text| PublishKey::parse(&text).unwrap())
}

fn user() -> impl Strategy<Value = UserName> {
    "[a-z@.é]{1,20}".prop_map(|text| UserName::parse(&text).unwrap())
}

fn position() -> impl Strategy<Value = Position> {
    (any::<u64>(), 0..=MAX_SAFE).prop_map(|(epoch, seq)| Position { epoch: Epoch(epoch), seq })
}

fn connection() -> impl Strategy<Value = ConnectionId> {
    any::<u64>().prop_map(ConnectionId)
}

fn status() -> impl Strategy<Value = PresenceStatus> {
    prop_oneof![Just(PresenceStatus::Active), Just(PresenceStatus::Away)]
}

fn state_key() -> impl Strategy<Value = StateKey> {
    "[!-~]{1,128}".prop_map(|text| StateKey::parse(&text).unwrap())
}

fn since() -> impl Strategy<Value = Since> {
    prop_oneof![position().prop_map(Since::Position), (0..=MAX_SAFE).prop_map(Since::Time)]
}

fn counts() -> impl Strategy<Value = PresenceCounts> {
    any::<(u64, u64, u64, u64)>().prop_map(|(count, users, rev, epoch)| PresenceCounts {
        count,
        users,
        rev,
        rev_epoch: Epoch(epoch),
    })
}

fn marks() -> impl Strategy<Value = ReadMarks> {
    any::<(u64, u64, u64)>().prop_map(|(received, read, unread)| ReadMarks {
        received,
        read,
        unread,
    })
}

fn state_entry(encoding: Encoding) -> impl Strategy<Value = StateEntry> {
    let point = (any::<(u64, u64)>(), payload(encoding))
        .prop_map(|((seq, time), data)| StatePoint { seq, time, data });
    (of(state_key()), any::<(u64, u64)>(), of(user()), payload(encoding), of(vec(point, 0..3)))
        .prop_map(|(key, (seq, time), user, data, points)| StateEntry {
            key,
            seq,
            time,
            user,
            data,
            points,
        })
}

fn join_room(encoding: Encoding) -> impl Strategy<Value = JoinRoom> {
    let options =
        (of(since()), of(0..=1000u32), any::<(bool, bool)>(), of(payload(encoding)), of(text()));
    (room(), options).prop_map(|(room, (since, history, (presence, strict), info, token))| {
        JoinRoom { room, since, history, presence, strict, info, token }
    })
}

fn publish(encoding: Encoding) -> impl Strategy<Value = ClientFrame> {
    let options = (of(event()), of(key()), of(position()), any::<bool>(), of("[!-~]{1,128}"));
    let state = (of(state_key()), of(100..=1_000_000u64), any::<(bool, bool)>(), of(0..=MAX_SAFE));
    (id(), room(), payload(encoding), options, state).prop_map(
        |(
            id,
            room,
            data,
            (event, key, if_seq, echo, traceparent),
            (state_key, ttl_ms, (remove, receipts), key_seq),
        )| {
            let traceparent = traceparent.map(Into::into);
            // Both conditions count in one epoch.
            let epoch = if_seq.map_or(Epoch(9), |position| position.epoch);
            let if_key_seq = key_seq.map(|seq| Position { epoch, seq });
            ClientFrame::Publish(Publish {
                id,
                room,
                data,
                event,
                key,
                if_seq,
                if_key_seq,
                state_key,
                ttl_ms,
                remove,
                receipts,
                echo,
                traceparent,
            })
        },
    )
}

fn client_frame(encoding: Encoding) -> impl Strategy<Value = ClientFrame> {
    prop_oneof![
        (id(), vec(join_room(encoding), 1..4))
            .prop_map(|(id, rooms)| ClientFrame::Join { id, rooms }),
        (id(), room()).prop_map(|(id, room)| ClientFrame::Leave { id, room }),
        publish(encoding),
        (id(), room(), event(), of(payload(encoding)))
            .prop_map(|(id, room, event, data)| ClientFrame::Signal { id, room, event, data }),
        (id(), room(), any::<bool>()).prop_map(|(id, room, active)| ClientFrame::Typing {
            id,
            room,
            active
        }),
        (id(), room(), of((any::<bool>(), 0..=MAX_SAFE)), 1..=1000u32).prop_map(
            |(id, room, side, limit)| {
                let after = side.and_then(|(after, seq)| after.then_some(seq));
                let before = side.and_then(|(after, seq)| (!after).then_some(seq));
                ClientFrame::History(HistoryQuery { id, room, after, before, limit })
            }
        ),
        (id(), room(), payload(encoding), of(status())).prop_map(|(id, room, info, status)| {
            ClientFrame::Presence { id, room, info: Some(info), status }
        }),
        (id(), room(), of("[!-~]{1,256}")).prop_map(|(id, room, page)| ClientFrame::State {
            id,
            room,
            page: page.map(Into::into)
        }),
        (id(), vec(room(), 1..4)).prop_map(|(id, rooms)| ClientFrame::Room { id, rooms }),
        (id(), room(), position(), any::<bool>()).prop_map(
            |(id, room, Position { epoch, seq }, read)| ClientFrame::Received {
                id,
                room,
                epoch,
                seq,
                read
            }
        ),
        (id(), vec(user(), 1..4)).prop_map(|(id, users)| ClientFrame::Watch { id, users }),
        (id(), vec(user(), 1..4)).prop_map(|(id, users)| ClientFrame::Unwatch { id, users }),
        (id(), text()).prop_map(|(id, token)| ClientFrame::Refresh { id, token }),
        id().prop_map(|id| ClientFrame::Ping { id }),
    ]
}

fn message(encoding: Encoding) -> impl Strategy<Value = Arc<Message>> {
    let author = (of(user()), of(connection()), of(event()));
    let state = (of(state_key()), of(any::<u64>()), any::<bool>(), of(payload(encoding)));
    (any::<u64>(), any::<u64>(), author, payload(encoding), state).prop_map(
        |(seq, time, (user, connection, event), data, (state_key, ttl_ms, remove, info))| {
            let (key, echo, traceparent) = (None, true, None);
            Arc::new(Message {
                seq,
                time,
                user,
                connection,
                event,
                key,
                echo,
                traceparent,
                state_key,
                ttl_ms,
                remove,
                info,
                data,
            })
        },
    )
}

fn member(encoding: Encoding) -> impl Strategy<Value = Member> {
    (of(connection()), of(user()), of(payload(encoding)), of(status()))
        .prop_map(|(connection, user, info, status)| Member { connection, user, info, status })
}

fn server_frame(encoding: Encoding) -> impl Strategy<Value = ServerFrame> {
    prop_oneof![
        (room(), message(encoding))
            .prop_map(|(room, message)| ServerFrame::Message { room, message }),
        (id(), room(), position(), (of(any::<bool>()), of(counts()), of(marks()), any::<bool>()))
            .prop_map(|(id, room, Position { epoch, seq }, (recovered, counts, marks, state))| {
                ServerFrame::Joined { id, room, epoch, seq, recovered, counts, marks, state }
            }),
        (id(), room(), any::<u64>(), vec(message(encoding), 0..4), any::<bool>()).prop_map(
            |(id, room, epoch, messages, more)| {
                ServerFrame::History { id, room, epoch: Epoch(epoch), messages, more }
            }
        ),
        (id(), room(), vec(member(encoding), 0..4), counts(), of(text())).prop_map(
            |(id, room, members, counts, more)| {
                ServerFrame::Members { id, room, members, counts, more }
            }
        ),
        (id(), room(), position(), vec(state_entry(encoding), 0..4), any::<bool>(), of(text()))
            .prop_map(|(id, room, Position { epoch, seq }, entries, more, page)| {
                ServerFrame::State { id, room, epoch, seq, entries, more, page }
            }),
        (id(), room(), position(), of(counts()), of(marks()), of(any::<u64>())).prop_map(
            |(id, room, Position { epoch, seq }, counts, marks, time)| {
                ServerFrame::Room { id, room, epoch, seq, counts, marks, time }
            }
        ),
        (id(), vec((user(), any::<bool>()), 0..4)).prop_map(|(id, users)| {
            let users = users.into_iter().map(|(user, online)| OnlineUser { user, online });
            ServerFrame::Watching { id, users: users.collect() }
        }),
        (room(), any::<(u64, u64, bool, bool)>()).prop_map(
            |(room, (from, to, conflated, state))| ServerFrame::Gap {
                room,
                from,
                to,
                conflated,
                state
            }
        ),
        (room(), user(), of(payload(encoding)), any::<u64>()).prop_map(
            |(room, user, info, time)| {
                ServerFrame::UserLeft(UserEvent {
                    room,
                    user,
                    info,
                    time,
                    count: time,
                    users: time,
                    rev: time,
                })
            }
        ),
        (id(), of(room()), 0..ErrorCode::ALL.len(), text(), of(any::<u64>())).prop_map(
            |(id, room, code, message, retry_after_ms)| {
                let code = ErrorCode::ALL[code];
                ServerFrame::Error { id, room, code, message, retry_after_ms }
            }
        ),
    ]
}

/// A valid frame with one byte changed, cut out or doubled, or an early end.
fn broken(frame: Vec<u8>, at: usize, kind: u8, byte: u8) -> Vec<u8> {
    let mut frame = frame;
    let at = at % frame.len();
    match kind % 4 {
        0 => frame[at] = byte,
        1 => drop(frame.remove(at)),
        2 => frame.insert(at, byte),
        _ => frame.truncate(at),
    }
    frame
}

/// Decodes as both kinds of frame; what is read must be writable, and readable again.
fn survives(encoding: Encoding, bytes: &[u8]) {
    for other in Encoding::ALL {
        let mut out = Vec::new();
        match ClientFrame::decode(encoding, bytes) {
            Ok(frame) => {
                frame.encode(other, &mut out);
                ClientFrame::decode(other, &out).unwrap();
            }
            Err(error) => assert!(error.message.len() <= 512, "{}", error.message),
        }
        out.clear();
        if let Ok(frame) = ServerFrame::decode(encoding, bytes) {
            frame.encode(other, &mut out);
            ServerFrame::decode(other, &out).unwrap();
        }
        if let Ok(data) = Data::json(bytes.to_vec()) {
            data.write_msgpack(&mut out);
        }
        if let Ok(data) = Data::msgpack(bytes.to_vec()) {
            data.write_json(&mut out);
        }
    }
}

proptest! {
    // More if PROPTEST_CASES asks for more.
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(CASES)))]

    #[test]
    fn client_frames_survive((encoding, frame) in encoding().prop_flat_map(|e| (Just(e), client_frame(e)))) {
        let mut bytes = Vec::new();
        frame.encode(encoding, &mut bytes);
        prop_assert_eq!(ClientFrame::decode(encoding, &bytes), Ok(frame));
    }

    #[test]
    fn server_frames_survive((encoding, frame) in encoding().prop_flat_map(|e| (Just(e), server_frame(e)))) {
        let mut bytes = Vec::new();
        frame.encode(encoding, &mut bytes);
        prop_assert_eq!(ServerFrame::decode(encoding, &bytes), Ok(frame));
    }

    #[test]
    fn arbitrary_bytes_never_panic(encoding in encoding(), bytes in vec(any::<u8>(), 0..200)) {
        survives(encoding, &bytes);
    }

    /// Bytes most of which are heads of MessagePack containers and strings, with lengths of any size.
    #[test]
    fn heads_without_their_bytes_never_panic(
        parts in vec(prop_oneof![
            (0x80..=0xbfu8).prop_map(|head| vec![head]),
            (0xc0..=0xdfu8, any::<u32>()).prop_map(|(head, len)| {
                [&[head][..], &(len >> (len % 32)).to_be_bytes()].concat()
            }),
            Just(b"\xa4type\xa4join".to_vec()),
            Just(b"\xa5rooms".to_vec()),
            Just(b"\xa4room\xa1a".to_vec()),
        ], 0..40),
    ) {
        survives(Encoding::MsgPack, &parts.concat());
        survives(Encoding::MsgPack, &[&b"\x82\xa4type\xa4join\xa5rooms"[..], &parts.concat()].concat());
    }

    /// Texts made of the tokens of JSON.
    #[test]
    fn tokens_of_json_never_panic(
        tokens in vec(prop::sample::select(vec![
            "{", "}", "[", "]", ",", ":", "\"type\"", "\"join\"", "\"rooms\"", "\"room\"", "\"a\"", "1",
            "null", "\"\\ud800\"", "\"\\", " ", "{\"type\":\"join\",\"rooms\":[", "-0", "1e999",
        ]), 0..40),
    ) {
        survives(Encoding::Json, tokens.concat().as_bytes());
    }

    #[test]
    fn broken_frames_never_panic(
        (encoding, client, server) in encoding().prop_flat_map(|e| (Just(e), client_frame(e), server_frame(e))),
        (at, kind, byte) in any::<(usize, u8, u8)>(),
    ) {
        let mut bytes = Vec::new();
        client.encode(encoding, &mut bytes);
        survives(encoding, &broken(bytes, at, kind, byte));
        let mut bytes = Vec::new();
        server.encode(encoding, &mut bytes);
        survives(encoding, &broken(bytes, at, kind, byte));
    }
}
