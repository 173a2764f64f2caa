//! Bounds of what a refusal says.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

#[test]
fn a_path_is_a_json_pointer() {
    let mut path = DataPath::data();
    path.push_key("a/b~c");
    path.push_index(7);
    path.push_key("");
    assert_eq!(path.text, "/data/a~1b~0c/7/");
    assert_eq!(DataPath::of_pointer("/a~1b~0c/7/").text, path.text);
    assert_eq!(DataPath::of_pointer("").text, "/data");
    assert_eq!(DataPath::of_pointer(&format!("/{}/b", "x".repeat(65))).text, "/data/…/b");
    assert_eq!(DataPath::of_pointer("/a\u{1b}[31m").text, "/data/a\u{fffd}[31m");
}

#[test]
fn a_reason_ends_where_it_is_full() {
    let long = BadData::new(DataPath::data(), "ü".repeat(200));
    assert!(long.reason.len() <= MAX_REASON_BYTES && long.reason.ends_with("ü…"));
    let whole = BadData::new(DataPath::data(), "longer than 10 bytes");
    assert_eq!(whole.to_string(), "/data: longer than 10 bytes");
}

proptest! {
    #[test]
    fn no_key_makes_a_path_long(keys in vec(prop_oneof!["[a-z/~]{0,20}", ".{0,100}", "\u{1}{0,64}"], 0..70)) {
        let mut path = DataPath::data();
        keys.iter().for_each(|key| path.push_key(key));
        prop_assert!(path.text.len() <= MAX_PATH_BYTES, "{}", path.text.len());
        prop_assert!(!path.text.contains(char::is_control));
    }
}
