//! Payloads in Redis: all values come back, and no bytes make the decoder panic.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::api::{Retention, Signal, StateBounds, StateChange, TypingWord, Writer};

/// How much state a room of these tests keeps.
const BOUNDS: StateBounds =
    StateBounds { keys: 10, bytes: 1000, points: 0, age: Duration::from_secs(1) };

fn change((key, ttl_ms, removes): (Option<String>, Option<u64>, bool)) -> StateChange {
    let key = key.map(|key| StateKey::parse(&key).unwrap());
    let action = if removes { StateAction::Remove } else { StateAction::Set };
    StateChange { key, ttl_ms, action, if_key_seq: None, bounds: BOUNDS }
}

fn publications() -> impl Strategy<Value = Publication> {
    let name = || proptest::option::of("[!-~]{1,60}");
    let data = (any::<bool>(), proptest::collection::vec(any::<u8>(), 1..300)).prop_map(
        |(json, bytes)| match json {
            true => Data::Json(bytes.into()),
            false => Data::MsgPack(bytes.into()),
        },
    );
    let state = proptest::option::of((
        proptest::option::of("[!-~]{1,128}"),
        proptest::option::of(any::<u64>()),
        any::<bool>(),
    ));
    let ids = (proptest::option::of(any::<u64>()), any::<bool>());
    (name(), name(), name(), name(), ids, state, data).prop_map(
        |(user, event, key, traceparent, (connection, echo), state, data)| Publication {
            state: state.map(change),
            user: user.map(|user| UserName::parse(&user).unwrap()),
            client: None,
            api_key: None,
            connection: connection.map(ConnectionId),
            event: event.map(|event| EventName::parse(&event).unwrap()),
            key: key.map(|key| PublishKey::parse(&key).unwrap()),
            if_seq: None,
            echo,
            traceparent: traceparent.map(Box::from),
            data,
            retention: Retention {
                history_size: 1,
                history_age: Duration::from_secs(1),
                repair_window: 1,
                replicas: 0,
                keys_per_user: 10_000,
                keys_per_room: 250_000,
            },
            info: None,
            keys_age: std::time::Duration::ZERO,
            room_rate: 0,
        },
    )
}

fn message(publication: Publication, seq: Seq, time: u64) -> Message {
    let Publication { user, connection, event, key, echo, traceparent, data, .. } =
        publication.clone();
    let state = publication.state;
    Message {
        seq,
        time,
        user,
        connection,
        event,
        key,
        echo,
        traceparent,
        state_key: state.as_ref().and_then(|state| state.key.clone()),
        ttl_ms: state.as_ref().and_then(|state| state.ttl_ms),
        remove: state.is_some_and(|state| state.action != StateAction::Set),
        info: None,
        data,
    }
}

proptest! {
    #[test]
    fn no_seq_follows_the_highest(group in proptest::collection::vec(publications(), 1..8)) {
        let mut push = format!("M {} 1700000000000 {}\n", Epoch(1), u64::MAX).into_bytes();
        group.iter().for_each(|publication| push.extend(encode(publication)));
        prop_assert_eq!(decode_push(&push.into()), RoomPush::Unreadable);
    }

    #[test]
    fn a_push_carries_a_group_unchanged(
        group in proptest::collection::vec(publications(), 1..8),
        first in 1u64..1 << 53,
        epoch in any::<u64>(),
    ) {
        let mut push = format!("M {} 1700000000000 {first}\n", Epoch(epoch)).into_bytes();
        group.iter().for_each(|publication| push.extend(encode(publication)));
        let RoomPush::Messages(read, messages) = decode_push(&push.into()) else {
            panic!("unreadable")
        };
        prop_assert_eq!(read, Epoch(epoch));
        prop_assert_eq!(messages.len(), group.len());
        for ((message_read, publication), seq) in messages.iter().zip(group).zip(first..) {
            prop_assert_eq!(&**message_read, &message(publication, seq, 1_700_000_000_000));
        }
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes.clone().into(), 1, 1);
        let mut push = b"M 0000000000000001 1 1\n".to_vec();
        push.extend(bytes);
        let _ = decode_push(&push.into());
    }

    #[test]
    fn a_damaged_payload_is_an_error_or_another_value(
        publication in publications(), at in any::<usize>(), byte in any::<u8>(),
    ) {
        let mut payload = encode(&publication);
        let at = at % payload.len();
        payload[at] = byte;
        let _ = decode(&payload.clone().into(), 1, 1);
        payload.truncate(at);
        prop_assert_eq!(decode(&payload.into(), 1, 1), Err(BadPayload));
    }
}

#[test]
fn unknown_kinds_are_ignored_or_missing() {
    let read = |push: &'static [u8]| decode_push(&Bytes::from_static(push));
    for ephemeral in [&b"t"[..], b"t 1 2\n\x00\xff", b"typing\n", b"zz who knows"] {
        assert_eq!(read(ephemeral), RoomPush::Ignored, "{ephemeral:?}");
    }
    for numbered in [&b""[..], b" ", b"P 1 2 3\n", b"M", b"M\n", b"Mm 1", b"0000000000000001 1 1\n"]
    {
        assert_eq!(read(numbered), RoomPush::Unreadable, "{numbered:?}");
    }
    let empty = RoomPush::Messages(Epoch(1), Vec::new());
    assert_eq!(read(b"M 0000000000000001 1 1\n"), empty);
}

#[test]
fn what_is_ephemeral_is_read_as_it_was_sent() {
    let user = UserName::parse("ann").ok();
    let event = roomcast_protocol::EventName::parse("wave").unwrap();
    let connection = Some(ConnectionId(7));
    let json = Some(Data::Json("{\"n\":1}".into()));
    let packed = Some(Data::MsgPack(vec![0x81, 0xa1, b'n', 0xcc, 0xff].into()));
    let mut all = Vec::new();
    for data in [None, json, packed] {
        for (user, connection) in [(user.clone(), connection), (None, None)] {
            let (event, data) = (event.clone(), data.clone());
            all.push(Ephemeral::Signal(Signal { user, connection, event, data }));
        }
    }
    for active in [true, false] {
        for writer in [Writer::User(user.clone().unwrap()), Writer::Connection(ConnectionId(7))] {
            all.push(Ephemeral::Typing(TypingWord { writer, active }));
        }
    }
    for ephemeral in all {
        let push = encode_ephemeral(&ephemeral).into();
        assert_eq!(decode_push(&push), RoomPush::Ephemeral(ephemeral));
    }
}
