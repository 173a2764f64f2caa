//! Each kind of malformed frame, with the code and the message it is answered with.

use super::super::object::MAX_FIELDS;
use crate::{ClientFrame, Encoding, ErrorCode};

#[track_caller]
fn check(text: &str, code: ErrorCode, message: &str) {
    let error = ClientFrame::decode(Encoding::Json, text.as_bytes()).unwrap_err();
    assert_eq!((error.code, &*error.message), (code, message), "{text}");
}

#[track_caller]
fn check_msgpack(bytes: &[u8], message: &str) {
    let error = ClientFrame::decode(Encoding::MsgPack, bytes).unwrap_err();
    assert_eq!((error.code, &*error.message), (ErrorCode::BadFrame, message), "{bytes:x?}");
}

#[test]
fn what_is_no_map_of_fields() {
    let bad = |text, message| check(text, ErrorCode::BadFrame, message);
    bad("", "cannot read the frame: EOF while parsing a value at line 1 column 0");
    bad(
        "[]",
        "cannot read the frame: invalid type: sequence, expected a map of fields at line 1 column 0",
    );
    bad(
        "5",
        "cannot read the frame: invalid type: integer `5`, expected a map of fields at line 1 column 1",
    );
    bad("{", "cannot read the frame: EOF while parsing an object at line 1 column 1");
    bad(r#"{"type":"ping"} x"#, "cannot read the frame: trailing characters at line 1 column 17");
    bad(r#"{"type":"ping","id":1,}"#, "cannot read the frame: trailing comma at line 1 column 23");
    bad(
        r#"{"type":"ping","type":"ping"}"#,
        "cannot read the frame: `type` appears twice at line 1 column 29",
    );
    bad(
        r#"{"type":"publish","room":"a","data":1,"data":2}"#,
        "cannot read the frame: `data` appears twice at line 1 column 47",
    );
    let error = ClientFrame::decode(Encoding::Json, b"{\"type\":\"\xff\"}").unwrap_err();
    assert_eq!(&*error.message, "the frame is not UTF-8");
}

#[test]
fn what_is_no_messagepack_map() {
    const PING: &[u8] = b"\x81\xa4type\xa4ping";
    assert_eq!(ClientFrame::decode(Encoding::MsgPack, PING), Ok(ClientFrame::Ping { id: None }));
    check_msgpack(b"", "cannot read the frame: the value ends early");
    check_msgpack(b"\x90", "cannot read the frame: it is no map of fields");
    check_msgpack(b"\xc1", "cannot read the frame: 0xc1 is no MessagePack");
    check_msgpack(&[PING, b"\xc0"].concat(), "cannot read the frame: bytes follow the value");
    check_msgpack(&PING[..10], "cannot read the frame: `type`: the value ends early");
    check_msgpack(b"\x81\x01\x01", "cannot read the frame: a field's name must be a string");
    check_msgpack(b"\x81\xa4type\xa1\xff", "cannot read the frame: `type`: a string is not UTF-8");
    check_msgpack(
        b"\x81\xa4type\xdd\xff\xff\xff\xff",
        "cannot read the frame: `type`: the value ends early",
    );
    check_msgpack(
        b"\x81\xa4data\x81\x90\x01",
        "cannot read the frame: `data`: a map key must not be a map or an array",
    );
    check_msgpack(b"\x82\xa4data\x01\xa4data\x01", "cannot read the frame: `data` appears twice");
    let deep = [&b"\x81\xa4data"[..], &[0x91; 65], b"\x01"].concat();
    check_msgpack(&deep, "cannot read the frame: `data`: nested deeper than 64 levels");
}

#[test]
fn fields_that_are_missing_or_wrong() {
    let bad = |text, message| check(text, ErrorCode::BadFrame, message);
    bad("{}", "`type` is missing");
    bad(r#"{"type":null}"#, "`type` is missing");
    bad(r#"{"type":5}"#, "`type` must be a string");
    for id in ["0", "-1", "1.5", "1.0", "\"1\"", "9007199254740992", "true", "[]"] {
        let text = format!(r#"{{"type":"ping","id":{id}}}"#);
        check(&text, ErrorCode::BadFrame, "`id` must be an integer from 1 to 9007199254740991");
    }
    bad(r#"{"type":"leave"}"#, "`room` is missing");
    bad(r#"{"type":"leave","room":7}"#, "`room` must be a string");
    bad(r#"{"type":"publish","room":"a"}"#, "`data` is missing");
    bad(r#"{"type":"publish","room":"a","data":1,"echo":1}"#, "`echo` must be true or false");
    bad(
        r#"{"type":"publish","room":"a","data":1,"event":"a b"}"#,
        "`event` is wrong: the event has printable characters only, and no blanks",
    );
    bad(
        r#"{"type":"publish","room":"a","data":1,"key":""}"#,
        "`key` is wrong: the key must not be empty",
    );
    bad(
        r#"{"type":"publish","room":"a","data":1,"if_seq":1}"#,
        "`epoch` is missing: `if_seq` requires it",
    );
    bad(
        r#"{"type":"publish","room":"a","data":1,"if_seq":1,"epoch":"x"}"#,
        "`epoch` must be a string of 16 lower-case hex digits",
    );
    bad(
        r#"{"type":"publish","room":"a","data":1,"traceparent":"ü"}"#,
        "`traceparent` must have 1 to 128 characters of visible ASCII",
    );
    bad(r#"{"type":"signal","room":"a"}"#, "`event` is missing");
    bad(r#"{"type":"typing","room":"a","active":"no"}"#, "`active` must be true or false");
    bad(
        r#"{"type":"history","room":"a","after":1,"before":9}"#,
        "`after` and `before` exclude each other",
    );
    bad(
        r#"{"type":"history","room":"a","after":-1}"#,
        "`after` must be an integer from 0 to 9007199254740991",
    );
    bad(r#"{"type":"history","room":"a","limit":0}"#, "`limit` must be an integer from 1 to 1000");
    bad(
        r#"{"type":"history","room":"a","limit":1001}"#,
        "`limit` must be an integer from 1 to 1000",
    );
    bad(r#"{"type":"presence","room":"a"}"#, "`info` and `status` are both missing: give one");
    bad(
        r#"{"type":"presence","room":"a","status":"gone"}"#,
        "`status` must be \"active\" or \"away\"",
    );
    bad(r#"{"type":"refresh"}"#, "`token` is missing");
    let deep =
        format!(r#"{{"type":"publish","room":"a","data":{}1{}}}"#, "[".repeat(65), "]".repeat(65));
    check(&deep, ErrorCode::BadFrame, "`data` is wrong: nested deeper than 64 levels");
}

#[test]
fn joins_that_are_wrong() {
    let bad = |text, message| check(text, ErrorCode::BadFrame, message);
    bad(r#"{"type":"join"}"#, "`room` is missing");
    bad(r#"{"type":"join","rooms":[]}"#, "`rooms` must have 1 to 1024 entries");
    for no_list in ["\"a\"", "1", "-1", "1.5", "true", "{}", "{\"a\":[{}]}"] {
        let text = format!(r#"{{"type":"join","rooms":{no_list}}}"#);
        check(&text, ErrorCode::BadFrame, "`rooms` must be a list");
    }
    let null = r#"{"type":"join","room":"a","rooms":null}"#;
    assert!(ClientFrame::decode(Encoding::Json, null.as_bytes()).is_ok());
    check_msgpack(b"\x82\xa4type\xa4join\xa5rooms\x81\x01\x02", "`rooms` must be a list");
    bad(
        r#"{"type":"join","rooms":["a"]}"#,
        "`rooms` is wrong: invalid type: string \"a\", expected a map of fields at line 1 column 3",
    );
    bad(
        r#"{"type":"join","rooms":[{"room":"a"}],"room":"b"}"#,
        "`room` belongs into the entries of `rooms`",
    );
    bad(
        r#"{"type":"join","rooms":[{"room":"a"}],"since":{}}"#,
        "`since` belongs into the entries of `rooms`",
    );
    bad(
        r#"{"type":"join","room":"a","since":5}"#,
        "`since` is wrong: invalid type: integer `5`, expected a map of fields at line 1 column 1",
    );
    bad(r#"{"type":"join","room":"a","since":{"seq":1}}"#, "`since.epoch` is missing");
    bad(
        r#"{"type":"join","room":"a","since":{"epoch":"00000000000000ff"}}"#,
        "`since.seq` is missing",
    );
    bad(
        r#"{"type":"join","room":"a","history":1001}"#,
        "`history` must be an integer from 0 to 1000",
    );
    bad(r#"{"type":"join","room":"a","presence":"yes"}"#, "`presence` must be true or false");
    bad(r#"{"type":"join","room":"a","token":1}"#, "`token` must be a string");
}

/// The bound itself is good, one more is refused; the request is known if its `id` came before.
#[test]
fn counts_are_bounded_in_both_encodings() {
    let join = |count: usize| {
        let rooms = vec![r#"{"room":"a"}"#; count].join(",");
        format!(r#"{{"id":7,"type":"join","rooms":[{rooms}],"room":null}}"#)
    };
    let packed = |count: u16| {
        let rooms = b"\x81\xa4room\xa1a".repeat(count.into());
        let head = b"\x83\xa2id\x07\xa4type\xa4join\xa5rooms\xdc";
        [&head[..], &count.to_be_bytes(), &rooms].concat()
    };
    let count = |frame| match frame {
        Ok(ClientFrame::Join { rooms, .. }) => rooms.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!(count(ClientFrame::decode(Encoding::Json, join(1024).as_bytes())), 1024);
    assert_eq!(count(ClientFrame::decode(Encoding::MsgPack, &packed(1024))), 1024);
    let text = join(1025);
    for (encoding, bytes) in [(Encoding::Json, text.as_bytes()), (Encoding::MsgPack, &packed(1025))]
    {
        let error = ClientFrame::decode(encoding, bytes).unwrap_err();
        assert_eq!((error.code, error.id), (ErrorCode::BadFrame, Some(7)));
        let message = "cannot read the frame: `rooms` has more than 1024 entries";
        assert!(error.message.starts_with(message), "{}", error.message);
    }

    let fields = |count: usize| {
        let other: String = (2..=count).map(|n| format!(",\"x{n}\":{{}}")).collect();
        let mut packed = [&b"\xde\x00"[..], &[count as u8], b"\xa4type\xa4ping"].concat();
        (2..=count).for_each(|_| packed.extend(b"\xa1x\x80"));
        (format!(r#"{{"type":"ping"{other}}}"#), packed)
    };
    let (text, bytes) = fields(MAX_FIELDS);
    assert!(ClientFrame::decode(Encoding::Json, text.as_bytes()).is_ok());
    assert!(ClientFrame::decode(Encoding::MsgPack, &bytes).is_ok());
    let (text, bytes) = fields(MAX_FIELDS + 1);
    check_msgpack(&bytes, "cannot read the frame: it has more than 64 fields");
    let error = ClientFrame::decode(Encoding::Json, text.as_bytes()).unwrap_err();
    assert!(error.message.starts_with("cannot read the frame: it has more than 64 fields"));
}

/// Data of a list's entry nests as deep as that of a frame, in both encodings.
#[test]
fn info_in_a_list_nests_as_deep_as_data() {
    for (depth, good) in [(64, true), (65, false)] {
        let info = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        let text = format!(r#"{{"type":"join","rooms":[{{"room":"a","info":{info}}}]}}"#);
        assert_eq!(ClientFrame::decode(Encoding::Json, text.as_bytes()).is_ok(), good);
        let head = b"\x82\xa4type\xa4join\xa5rooms\x91\x82\xa4room\xa1a\xa4info";
        let packed = [&head[..], &vec![0x91; depth], b"\x01"].concat();
        assert_eq!(ClientFrame::decode(Encoding::MsgPack, &packed).is_ok(), good);
    }
}

/// Half of a surrogate pair is no character: two names would be taken for the same one.
#[test]
fn half_a_surrogate_pair_is_no_text() {
    let problem = "must be text: it escapes one half of a surrogate pair";
    for half in ["\\ud800", "\\udfff", "\\ud83d\\ud83d\\ude00", "\\ude00\\ud83d", "\\ud83dx"] {
        for (field, rest) in [
            ("room", r#""type":"leave""#),
            ("event", r#""type":"signal","room":"a""#),
            ("key", r#""type":"publish","room":"a","data":1"#),
            ("traceparent", r#""type":"publish","room":"a","data":1"#),
            ("page", r#""type":"members","room":"a""#),
            ("token", r#""type":"refresh""#),
            ("status", r#""type":"presence","room":"a""#),
            ("type", r#""room":"a""#),
        ] {
            let text = format!(r#"{{{rest},"{field}":"x{half}"}}"#);
            check(&text, ErrorCode::BadFrame, &format!("`{field}` {problem}"));
        }
        let text = format!(r#"{{"type":"join","rooms":[{{"room":"x{half}"}}]}}"#);
        check(&text, ErrorCode::BadFrame, &format!("`room` {problem}"));
    }
    let pair = br#"{"type":"leave","room":"\ud83d\ude00"}"#;
    assert!(ClientFrame::decode(Encoding::Json, pair).is_ok());
}

#[test]
fn types_and_rooms_have_codes_of_their_own() {
    check(r#"{"type":"shout"}"#, ErrorCode::UnknownType, "there is no frame of type \"shout\"");
    check(r#"{"type":"Ping"}"#, ErrorCode::UnknownType, "there is no frame of type \"Ping\"");
    check(
        r#"{"type":"leave","room":""}"#,
        ErrorCode::BadRoom,
        "`room` is wrong: the room name must not be empty",
    );
    check(
        r#"{"type":"leave","room":"a b"}"#,
        ErrorCode::BadRoom,
        "`room` is wrong: the room name has printable characters only, and no blanks",
    );
    check(
        r#"{"type":"leave","room":"$a"}"#,
        ErrorCode::BadRoom,
        "`room` is wrong: room names that begin with \"$\" or \"@\" are reserved",
    );
    let long = format!(r#"{{"type":"leave","room":"{}"}}"#, "a".repeat(129));
    check(&long, ErrorCode::BadRoom, "`room` is wrong: the room name has at most 128 bytes");
    check(
        r#"{"type":"join","rooms":[{"room":"a"},{"room":"b c"}]}"#,
        ErrorCode::BadRoom,
        "`room` is wrong: the room name has printable characters only, and no blanks",
    );
}

/// The answer carries what could be read, even from a frame that breaks off.
#[test]
fn errors_tell_the_request_and_the_room() {
    #[track_caller]
    fn check(text: &str, id: Option<u64>, room: Option<&str>) {
        let error = ClientFrame::decode(Encoding::Json, text.as_bytes()).unwrap_err();
        assert_eq!((error.id, error.room.as_deref()), (id, room), "{text}");
    }
    check(r#"{"type":"shout","id":3,"room":"a"}"#, Some(3), Some("a"));
    check(r#"{"id":3,"room":"a","type":"publish"}"#, Some(3), Some("a"));
    check(r#"{"id":3,"room":"a","type":"publish","data":"#, Some(3), Some("a"));
    check(r#"{"id":0,"room":"a b","type":"leave"}"#, None, Some("a b"));
    check(r#"{"id":3,"type":"join","rooms":[{"room":"a"},{"room":"b c"}]}"#, Some(3), Some("b c"));
    check(r#"{"id":3,"type":"join","rooms":[{"room":"b","history":-1}]}"#, Some(3), Some("b"));
    check(&format!(r#"{{"id":3,"type":"leave","room":"{}"}}"#, "a".repeat(500)), Some(3), None);
    let error =
        ClientFrame::decode(Encoding::MsgPack, b"\x83\xa2id\x03\xa4room\xa1a\xa4data").unwrap_err();
    assert_eq!((error.id, error.room.as_deref()), (Some(3), Some("a")));
}

#[test]
fn null_stands_for_an_absent_option_but_is_a_payload() {
    let text = r#"{"type":"publish","id":null,"room":"a","event":null,"echo":null,"data":null}"#;
    let ClientFrame::Publish(publish) =
        ClientFrame::decode(Encoding::Json, text.as_bytes()).unwrap()
    else {
        panic!("a publish")
    };
    assert_eq!((publish.id, publish.event, publish.echo), (None, None, true));
    assert_eq!(publish.data, crate::Data::Json("null".into()));
}
