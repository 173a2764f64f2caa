//! Whole rules: what is loaded, what is refused, and where.

use std::sync::Arc;

use super::*;
use crate::event_schema::MAX_SCHEMA_BYTES;

const TEXT_SCHEMA: &[u8] = br##"{
    "type": "object",
    "properties": {
        "text": {"type": "string", "maxLength": 5},
        "kind": {"enum": ["a", "b"]},
        "list": {"type": "array", "items": {"$ref": "#/$defs/item"}},
        "code": {"pattern": "^[a-z]+$"}
    },
    "required": ["text"],
    "additionalProperties": false,
    "$defs": {"item": {"type": "integer", "minimum": 0}}
}"##;

fn event(name: &str) -> EventName {
    EventName::parse(name).unwrap()
}

fn rules(source: RuleSource<'_>) -> PayloadRules {
    PayloadRules::load(source).unwrap()
}

fn with_schema(schema: &[u8]) -> Result<PayloadRules, SchemaError> {
    PayloadRules::load(RuleSource { schemas: vec![("text.json", schema)], ..Default::default() })
}

/// Judges the JSON text, and its MessagePack form.
#[track_caller]
fn check(rules: &PayloadRules, name: Option<&str>, json: &str, expected: Result<(), (&str, &str)>) {
    let name = name.map(event);
    let data = Data::json(json.to_owned()).unwrap();
    let mut packed = Vec::new();
    data.write_msgpack(&mut packed);
    for data in [data, Data::msgpack(packed).unwrap()] {
        let got = rules.judge(name.as_ref(), &data);
        let got = got.as_ref().copied().map_err(|bad| (bad.path.as_str(), bad.reason.as_str()));
        assert_eq!(got, expected, "{json} {data:?}");
    }
}

#[test]
fn without_rules_all_is_accepted() {
    let none = PayloadRules::default();
    check(&none, None, r#"{"any":"thing"}"#, Ok(()));
    check(&none, Some("any"), "null", Ok(()));
}

#[test]
fn only_listed_events_are_accepted() {
    let rules = rules(RuleSource { events: vec![event("text"), event("x")], ..Default::default() });
    check(&rules, Some("text"), "1", Ok(()));
    check(&rules, Some("other"), "1", Err(("/event", "the namespace does not take this event")));
    check(&rules, None, "1", Err(("/event", "the namespace asks for an event")));
}

#[test]
fn an_event_is_judged_by_its_schema() {
    let rules = with_schema(TEXT_SCHEMA).unwrap();
    let text = Some("text");
    check(&rules, text, r#"{"text":"hello","kind":"a","list":[1,2],"code":"abc"}"#, Ok(()));
    check(&rules, Some("other"), r#""anything""#, Ok(()));
    check(&rules, None, r#""anything""#, Ok(()));
    for (json, path, reason) in [
        ("1", "/data", "the value is not of type \"object\""),
        ("{}", "/data", "\"text\" is a required property"),
        (r#"{"text":"hello!"}"#, "/data/text", "the value is longer than 5 characters"),
        (
            r#"{"text":"a","list":[0,-1]}"#,
            "/data/list/1",
            "the value is less than the minimum of 0",
        ),
        (r#"{"text":"a","code":"A"}"#, "/data/code", "the value does not match \"^[a-z]+$\""),
        (r#"{"text":"a","kind":"c"}"#, "/data/kind", "the value is not one of \"a\" or \"b\""),
        (
            r#"{"text":"a","secret":"b"}"#,
            "/data",
            "breaks \"additionalProperties\" of the event's schema",
        ),
    ] {
        check(&rules, text, json, Err((path, reason)));
    }
}

#[test]
fn long_strings_are_refused_with_and_without_a_schema() {
    let schemas = vec![("text.json", TEXT_SCHEMA)];
    let rules = rules(RuleSource { schemas, max_text: 8, ..Default::default() });
    let long = r#"{"list":[{"text":"123456789"}]}"#;
    for name in [None, Some("text"), Some("other")] {
        check(&rules, name, long, Err(("/data/list/0/text", "the string has more than 8 bytes")));
    }
    check(&rules, None, r#"{"list":[{"text":"12345678"}]}"#, Ok(()));
    // Binary of MessagePack is base64 in its JSON form.
    let binary = [&[0xc4, 7][..], &[0; 7]].concat();
    let bad = rules.judge(None, &Data::msgpack(binary).unwrap()).unwrap_err();
    assert_eq!(bad.path, "/data/$bin");
}

#[test]
fn what_serves_as_no_tree_is_refused() {
    let rules = with_schema(b"true").unwrap();
    for json in ["1e999", r#""\ud800""#] {
        let bad = rules.judge(Some(&event("text")), &Data::json(json).unwrap()).unwrap_err();
        assert_eq!(bad.path, "/data");
    }
}

#[test]
fn refusals_do_not_repeat_the_payload() {
    let schema = br#"{
        "additionalProperties": {"oneOf": [{"type": "number"}, {"const": 1}]},
        "propertyNames": {"maxLength": 20},
        "unevaluatedProperties": false
    }"#;
    for schema in
        [&schema[..], TEXT_SCHEMA, br#"{"not": {}}"#, br#"{"type":"array","items":false}"#]
    {
        let rules = with_schema(schema).unwrap();
        let secret = "s3cr3t".repeat(20);
        for json in [
            format!("{{\"a\":\"{secret}\"}}"),
            format!("{{\"{secret}\":1}}"),
            format!("[\"{secret}\"]"),
            format!("\"{secret}\""),
            format!("{{\"text\":\"{secret}\"}}"),
        ] {
            let Err(bad) = rules.judge(Some(&event("text")), &Data::json(json).unwrap()) else {
                continue;
            };
            assert!(!bad.to_string().contains("s3cr3t"), "{bad}");
            assert!(bad.path.len() <= 256 && bad.reason.len() <= 160);
        }
    }
}

#[test]
fn schemas_that_cannot_be_loaded_are_refused() {
    use SchemaError::{BadName, NotJson, NotSchema, TooLarge, Twice};
    assert!(matches!(with_schema(b"{"), Err(NotJson { .. })));
    assert!(matches!(with_schema(b"1"), Err(NotSchema { .. })));
    assert!(matches!(with_schema(br#"{"type":"text"}"#), Err(NotSchema { .. })));
    let large = vec![b' '; MAX_SCHEMA_BYTES + 1];
    assert!(matches!(with_schema(&large), Err(TooLarge { .. })));
    let load = |schemas| PayloadRules::load(RuleSource { schemas, ..Default::default() });
    for file in ["text", "a b.json", ".json"] {
        assert!(matches!(load(vec![(file, b"true")]), Err(BadName { .. })), "{file}");
    }
    let twice = vec![("a.json", &b"true"[..]), ("a.json", b"true")];
    assert!(matches!(load(twice), Err(Twice { .. })));
    let names: Vec<_> = (0..=MAX_SCHEMAS).map(|at| format!("e{at}.json")).collect();
    let many = names.iter().map(|name| (name.as_str(), &b"true"[..])).collect();
    assert_eq!(load(many).unwrap_err(), SchemaError::TooMany { most: MAX_SCHEMAS });
}

#[test]
fn references_lead_nowhere_else() {
    for reference in [
        "https://example.com/schema.json",
        "http://127.0.0.1:1/schema.json",
        "file:///etc/hostname",
        "other.json",
        "#/$defs/missing",
    ] {
        for schema in [
            format!(r#"{{"$ref":"{reference}"}}"#),
            format!(r#"{{"$defs":{{"unused":{{"$ref":"{reference}"}}}}}}"#),
        ] {
            let outcome = with_schema(schema.as_bytes());
            let is_unused_gap = reference.starts_with('#') && schema.contains("unused");
            assert!(outcome.is_err() || is_unused_gap, "{schema}");
        }
    }
}

#[test]
fn patterns_take_linear_time() {
    for pattern in ["(?=a)b", r"(a)\\1", "((a{200}){200}){200}"] {
        let schema = format!(r#"{{"pattern":"{pattern}"}}"#);
        assert!(matches!(with_schema(schema.as_bytes()), Err(SchemaError::NotSchema { .. })));
    }
    // An engine that backtracks would not end here.
    let rules = with_schema(br#"{"pattern":"^(a|a?)+$"}"#).unwrap();
    let text = format!("\"{}!\"", "a".repeat(10_000));
    let bad = rules.judge(Some(&event("text")), &Data::json(text).unwrap()).unwrap_err();
    assert_eq!(bad.path, "/data");
}

#[test]
fn a_recursive_schema_is_judged_as_a_whole() {
    // Explaining this takes four times as long with every second level.
    let rules = with_schema(
        br##"{"$ref": "#/$defs/node", "$defs": {"node": {"anyOf": [
            {"type": "array", "items": {"$ref": "#/$defs/node"}},
            {"type": "array", "items": {"$ref": "#/$defs/node"}, "minItems": 1},
            {"type": "integer"}
        ]}}}"##,
    )
    .unwrap();
    let nested = |leaf: &str| format!("{}{leaf}{}", "[".repeat(60), "]".repeat(60));
    check(&rules, Some("text"), &nested("1"), Ok(()));
    let reason = "breaks the event's schema, which is recursive";
    check(&rules, Some("text"), &nested("\"x\""), Err(("/data", reason)));
}

#[test]
fn a_reload_that_fails_leaves_the_rules() {
    let mut live = Arc::new(with_schema(TEXT_SCHEMA).unwrap());
    for schema in [&b"{"[..], br#"{"$ref":"https://example.com/x"}"#, b"true"] {
        let is_good = schema == b"true";
        if let Ok(rules) = with_schema(schema) {
            live = Arc::new(rules);
        }
        check(&live, Some("text"), r#"{"text":"hello"}"#, Ok(()));
        let bad = live.judge(Some(&event("text")), &Data::json("1").unwrap());
        assert_eq!(bad.is_ok(), is_good);
    }
}

#[test]
fn what_is_large_is_judged_elsewhere() {
    let large = Data::json(format!("\"{}\"", "a".repeat(INLINE_BYTES))).unwrap();
    let schemas = vec![("text.json", TEXT_SCHEMA)];
    let (text, other) = (event("text"), event("other"));
    let rules = rules(RuleSource { schemas, ..Default::default() });
    assert_eq!(rules.cost(Some(&text), &large), JudgingCost::Large);
    assert_eq!(rules.cost(Some(&other), &large), JudgingCost::Inline);
    assert_eq!(rules.cost(Some(&text), &Data::json("1").unwrap()), JudgingCost::Inline);
    let all = PayloadRules { max_text: 1, ..Default::default() };
    assert_eq!(all.cost(None, &large), JudgingCost::Large);
}
