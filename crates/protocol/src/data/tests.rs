//! Payloads: validation, and transcoding both ways. The properties run 2,000 cases each.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::Encoding;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// JSON to MessagePack, and back to another JSON text if it is not the same.
#[track_caller]
fn check(json: &str, msgpack: &str, back: &str) {
    let mut packed = Vec::new();
    Data::json(json.to_owned()).unwrap().write_msgpack(&mut packed);
    assert_eq!(hex(&packed), msgpack, "{json}");
    check_json(&packed, back);
}

#[track_caller]
fn check_json(msgpack: &[u8], json: &str) {
    let mut text = Vec::new();
    Data::msgpack(msgpack.to_vec()).unwrap().write_json(&mut text);
    assert_eq!(String::from_utf8(text).unwrap(), json, "{msgpack:x?}");
}

#[test]
fn json_becomes_messagepack_and_returns() {
    for (json, msgpack) in [
        ("null", "c0"),
        ("true", "c3"),
        ("0", "00"),
        ("127", "7f"),
        ("128", "cc80"),
        ("18446744073709551615", "cfffffffffffffffff"),
        ("-1", "ff"),
        ("-33", "d0df"),
        ("-9223372036854775808", "d38000000000000000"),
        ("0.5", "cb3fe0000000000000"),
        ("1.0", "cb3ff0000000000000"),
        ("\"\"", "a0"),
        ("[]", "90"),
        ("{}", "80"),
        (r#"{"a":[1,{"b":null}]}"#, "81a1619201" /* [1, */),
        (r#"{"$bin":"AAEC"}"#, "c403000102"),
        (r#"{"$bin":""}"#, "c400"),
        (r#"{"$ext":[-1,"AAAAAA=="]}"#, "d6ff00000000"),
        (r#"{"$ext":[5,""]}"#, "c70005"),
    ] {
        let msgpack = if json.starts_with("{\"a\"") {
            format!("{msgpack}81a162c0")
        } else {
            msgpack.to_owned()
        };
        check(json, &msgpack, json);
    }
    check(r#" {"$bin" : "\/\/8="} "#, "c402ffff", r#"{"$bin":"//8="}"#);
    check(r#""\u00e9\ud83d\ude00\n\/""#, "a8c3a9f09f98800a2f", "\"é😀\\n/\"");
    check("[ 1 ,\n2 ]", "920102", "[1,2]");
}

#[test]
fn what_only_looks_special_stays_an_object() {
    for json in [
        r#"{"$bin":"AAEC","more":1}"#,
        r#"{"$bin":"AAE"}"#,
        r#"{"$bin":"!!!!"}"#,
        r#"{"$bin":7}"#,
        r#"{"$bin":null}"#,
        r#"{"$ext":[128,""]}"#,
        r#"{"$ext":["",""]}"#,
        r#"{"$ext":[1]}"#,
        r#"{"$other":"AAEC"}"#,
        r#"{"a":1,"$bin":"AAEC"}"#,
    ] {
        let mut packed = Vec::new();
        Data::json(json).unwrap().write_msgpack(&mut packed);
        assert_eq!(packed[0] & 0xf0, 0x80, "{json}");
        check_json(&packed, json);
    }
}

#[test]
fn what_has_no_equal_takes_the_documented_form() {
    check("18446744073709551616", "cb43f0000000000000", "1.8446744073709552e+19");
    check("-9223372036854775809", "cbc3e0000000000000", "-9.223372036854776e+18");
    check("-0", "cb8000000000000000", "-0.0");
    check("1e400", "cb7ff0000000000000", "null");
    // A reader of JSON gets the author's escape, see `the_same_encoding_is_byte_for_byte`.
    check(
        r#"{"\ud800":1,"\udfff":2}"#,
        "82a3efbfbd01a3efbfbd02",
        "{\"\u{fffd}\":1,\"\u{fffd}\":2}",
    );
    check(r#""\ud800x\udc00""#, "a7efbfbd78efbfbd", "\"\u{fffd}x\u{fffd}\"");
    check_json(b"\xca\x3f\xc0\x00\x00", "1.5");
    check_json(b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00", "null");
    check_json(b"\xd3\x00\x00\x00\x00\x00\x00\x00\x05", "5");
    check_json(
        b"\x83\x01\x02\xc0\x03\xc4\x01\x00\x04",
        r#"{"1":2,"null":3,"{\"$bin\":\"AA==\"}":4}"#,
    );
    check_json(b"\x81\xa4$bin\xa4AAEC", r#"{"$bin":"AAEC"}"#);
}

#[test]
fn the_same_encoding_is_byte_for_byte() {
    let text = "{ \"a\" :\n1.50, \"a\":2}";
    let mut out = Vec::new();
    Data::json(format!(" {text}\n")).unwrap().write_json(&mut out);
    assert_eq!(out, text.as_bytes());
    let half = r#"{"\ud800":"\udfff"}"#;
    let mut out = Vec::new();
    Data::json(half).unwrap().write_json(&mut out);
    assert_eq!(out, half.as_bytes());
    let long_form = b"\xcf\x00\x00\x00\x00\x00\x00\x00\x01".to_vec();
    let mut out = Vec::new();
    Data::msgpack(long_form.clone()).unwrap().write_msgpack(&mut out);
    assert_eq!(out, long_form);
}

#[test]
fn long_containers_get_long_heads() {
    for len in [15usize, 16, 65_535, 65_536] {
        let json = format!("[{}]", vec!["1"; len].join(","));
        let mut packed = Vec::new();
        Data::json(json.clone()).unwrap().write_msgpack(&mut packed);
        let head = if len < 16 {
            1
        } else if len < 65_536 {
            3
        } else {
            5
        };
        assert_eq!(packed.len(), len + head);
        check_json(&packed, &json);
    }
}

/// Heads that are widened inside of each other, beside each other, and of both kinds.
#[test]
fn long_containers_in_long_containers() {
    let list = |inner: &str| format!("[{}{inner}]", "1,".repeat(20));
    let map = |inner: &str| {
        let keys: String = (0..17).map(|n| format!("\"k{n}\":[],")).collect();
        format!("{{{keys}\"last\":{inner}}}")
    };
    let mut text = "7".to_owned();
    for level in 0..60 {
        text = match level % 3 {
            0 => list(&format!(
                "{text},{{\"a\":[{}1]}}",
                "0,".repeat(70_000 * usize::from(level == 3))
            )),
            1 => map(&text),
            _ => format!("[{text},{}]", list("2")),
        };
    }
    let mut packed = b"before".to_vec();
    Data::json(text.clone()).unwrap().write_msgpack(&mut packed);
    assert_eq!(&packed[..6], b"before");
    check_json(&packed[6..], &text);
}

#[test]
fn nesting_is_bounded_alike_in_both_encodings() {
    let json = |depth: usize| Data::json(format!("{}1{}", "[".repeat(depth), "]".repeat(depth)));
    let msgpack = |depth: usize, leaf: &[u8]| Data::msgpack([&vec![0x91; depth], leaf].concat());
    assert!(json(64).is_ok());
    assert_eq!(json(65), Err(DataError::TooDeep));
    assert!(Data::json(format!("[\"{}\"]", "[\\\"".repeat(100))).is_ok());
    assert!(msgpack(64, b"\x01").is_ok());
    assert_eq!(msgpack(65, b"\x01"), Err(DataError::TooDeep));
    assert!(msgpack(63, b"\xc4\x00").is_ok());
    assert_eq!(msgpack(64, b"\xc4\x00"), Err(DataError::TooDeep));
    assert!(msgpack(62, b"\xd4\x01\x00").is_ok());
    assert_eq!(msgpack(63, b"\xd4\x01\x00"), Err(DataError::TooDeep));
    let mut out = Vec::new();
    msgpack(62, b"\xd4\x01\x00").unwrap().write_json(&mut out);
    assert!(Data::json(out).is_ok(), "the other form must be within the bound too");
}

#[test]
fn what_is_no_payload_is_refused_and_never_spreads() {
    assert_eq!(Data::json("1 2"), Err(DataError::NotJson));
    assert_eq!(Data::json(&b"\"\xff\""[..]), Err(DataError::BadUtf8));
    assert_eq!(Data::msgpack(&b"\x01\x01"[..]), Err(DataError::Trailing));
    assert_eq!(Data::msgpack(&b"\xa2a"[..]), Err(DataError::Truncated));
    assert_eq!(Data::msgpack(&b"\x81\x80\x01"[..]), Err(DataError::BadKey));
    let mut out = b"x".to_vec();
    Data::MsgPack(Bytes::from_static(b"\x92\x01")).write_json(&mut out);
    Data::Json(Bytes::from_static(b"[1,")).write_msgpack(&mut out);
    assert_eq!(out, b"xnull\xc0");
}

/// JSON texts whose transcoded form returns to the very text.
fn json_text() -> impl Strategy<Value = String> {
    let string = any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap());
    let float = any::<f64>().prop_filter("JSON has finite numbers", |f| f.is_finite());
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<u64>().prop_map(|value| value.to_string()),
        any::<i64>().prop_map(|value| value.to_string()),
        float.prop_map(|value| serde_json::to_string(&value).unwrap()),
        string.clone(),
    ];
    leaf.prop_recursive(6, 60, 20, move |inner| {
        let entry =
            (string.clone(), inner.clone()).prop_map(|(key, value)| format!("{key}:{value}"));
        prop_oneof![
            vec(inner, 0..20).prop_map(|items| format!("[{}]", items.join(","))),
            vec(entry, 0..20).prop_map(|items| format!("{{{}}}", items.join(","))),
        ]
    })
}

/// MessagePack values in shortest form, binary and extensions among them; not `f32`, which
/// returns as `f64`.
fn msgpack_value() -> impl Strategy<Value = Vec<u8>> {
    use rmp::encode as rmp;
    let made = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut out = Vec::new();
        write(&mut out);
        out
    };
    let string =
        any::<String>().prop_map(move |text| made(&|out| rmp::write_str(out, &text).unwrap()));
    let leaf = prop_oneof![
        any::<u64>().prop_map(move |v| made(&|out| {
            rmp::write_uint(out, v).unwrap();
        })),
        any::<i64>().prop_map(move |v| made(&|out| {
            rmp::write_sint(out, v).unwrap();
        })),
        any::<f64>()
            .prop_filter("others become null", |f| f.is_finite())
            .prop_map(move |v| made(&|out| rmp::write_f64(out, v).unwrap())),
        string.clone(),
        vec(any::<u8>(), 0..300).prop_map(move |v| made(&|out| rmp::write_bin(out, &v).unwrap())),
        (any::<i8>(), vec(any::<u8>(), 0..300)).prop_map(move |(kind, bytes)| {
            made(&|out| {
                rmp::write_ext_meta(out, bytes.len() as u32, kind).unwrap();
                out.extend_from_slice(&bytes);
            })
        }),
    ];
    leaf.prop_recursive(6, 60, 20, move |inner| {
        let entry = (string.clone(), inner.clone()).prop_map(|(key, value)| [key, value].concat());
        prop_oneof![
            vec(inner, 0..20).prop_map(move |items| {
                let mut out = made(&|out| {
                    rmp::write_array_len(out, items.len() as u32).unwrap();
                });
                items.iter().for_each(|item| out.extend_from_slice(item));
                out
            }),
            // Two entries at least: `{"$bin": …}` of one entry would be taken for what it says.
            vec(entry, 2..20).prop_map(move |items| {
                let mut out = made(&|out| {
                    rmp::write_map_len(out, items.len() as u32).unwrap();
                });
                items.iter().for_each(|item| out.extend_from_slice(item));
                out
            }),
        ]
    })
}

/// Any payload of an encoding that its own encoder would write.
pub(crate) fn payload(encoding: Encoding) -> BoxedStrategy<Data> {
    match encoding {
        Encoding::Json => json_text().prop_map(|text| Data::json(text).unwrap()).boxed(),
        Encoding::MsgPack => msgpack_value().prop_map(|v| Data::msgpack(v).unwrap()).boxed(),
    }
}

proptest! {
    // More if PROPTEST_CASES asks for more.
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(2000)))]

    #[test]
    fn json_returns_as_it_went(text in json_text()) {
        let mut packed = Vec::new();
        Data::json(text.clone()).unwrap().write_msgpack(&mut packed);
        let mut back = Vec::new();
        Data::msgpack(packed).unwrap().write_json(&mut back);
        prop_assert_eq!(String::from_utf8(back).unwrap(), text);
    }

    #[test]
    fn messagepack_returns_as_it_went(value in msgpack_value()) {
        let mut text = Vec::new();
        Data::msgpack(value.clone()).unwrap().write_json(&mut text);
        let mut back = Vec::new();
        Data::json(text).unwrap().write_msgpack(&mut back);
        prop_assert_eq!(back, value);
    }

    #[test]
    fn any_valid_messagepack_becomes_valid_json(bytes in vec(any::<u8>(), 1..60)) {
        let mut reader = MsgPackReader::new(&bytes);
        if let Ok(value) = reader.value(MAX_DATA_DEPTH) {
            let mut text = Vec::new();
            Data::msgpack(value.to_vec()).unwrap().write_json(&mut text);
            prop_assert!(Data::json(text).is_ok());
        }
    }
}
