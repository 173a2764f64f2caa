//! Lengths of strings, and where the long one is.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// The first path with a string above `most` bytes.
#[track_caller]
fn check(json: &str, most: usize, expected: Option<&str>) {
    let got = judge_strings(json.as_bytes(), most).err();
    assert_eq!(got.as_ref().map(|refusal| refusal.path.as_str()), expected, "{json}");
}

#[test]
fn the_path_leads_to_the_long_string() {
    check(r#""abcd""#, 4, None);
    check(r#""abcde""#, 4, Some("/data"));
    check(r#"{"a": [1, "x", {"b/c": "abcde"}], "d": 1}"#, 4, Some("/data/a/2/b~1c"));
    check(r#"[{"a":"b"},[[],{}],"abcde"]"#, 4, Some("/data/2"));
    check(r#"{"a":{"abcde":1}}"#, 4, Some("/data/a"));
    check(r#"{"a":"[,{\",","b":"abcde", "c":""}"#, 5, None);
    check(r#"{"a":"[,{\",","b":"abcdef", "c":""}"#, 5, Some("/data/b"));
    check(r#"{"\u0061\"":"abcdef"}"#, 5, Some("/data/a\""));
    check("123456789", 4, None);
}

#[test]
fn bytes_are_counted_after_unescaping() {
    check(r#"["éé"]"#, 4, None);
    check(r#"["ééx"]"#, 4, Some("/data/0"));
    check(r#"["\u0041\n\"\\"]"#, 4, None);
    check(r#"["\ud83d\ude00"]"#, 4, None);
    check(r#"["\ud83d\ude00"]"#, 3, Some("/data/0"));
    check(r#"["\u20ac"]"#, 3, None);
    check(r#"["\ud83d"]"#, 3, None);
    check(r#"["\ud83d\ud83d"]"#, 5, Some("/data/0"));
}

/// The longest string of a tree, in bytes.
fn longest(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(longest).max().unwrap_or(0),
        Value::Object(map) => {
            map.iter().map(|(key, value)| key.len().max(longest(value))).max().unwrap_or(0)
        }
        _ => 0,
    }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just(json!(null)),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(".{0,12}", inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    // More if PROPTEST_CASES asks for more.
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(3_000)))]

    #[test]
    fn a_scan_finds_what_a_tree_has(value in value(), most in 0usize..40) {
        let refusal = judge_strings(value.to_string().as_bytes(), most).err();
        prop_assert_eq!(refusal.is_some(), longest(&value) > most);
        if let Some(refusal) = refusal {
            // The path leads to a value that has the long string, itself or as a key.
            let found = value.pointer(refusal.path.strip_prefix("/data").unwrap());
            if !refusal.path.contains(['…', '\u{fffd}']) {
                prop_assert!(longest(found.unwrap()) > most);
            }
        }
    }

    #[test]
    fn no_text_panics(text in r#"[\[\]{}",:\\uda0-9é]{0,40}"#, most in 0usize..6) {
        let _either = judge_strings(text.as_bytes(), most);
    }
}
