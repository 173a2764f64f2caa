//! Holds `docs/guarantees.md` to the tests: every file and every test that it names exists.

use std::fs;
use std::path::Path;

#[test]
fn every_test_the_page_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = fs::read_to_string(root.join("docs/guarantees.md")).unwrap();
    let mut named = 0;
    for line in page.lines() {
        let mut file: Option<(&str, String)> = None;
        // Every second part stands between backticks.
        for word in line.split('`').skip(1).step_by(2) {
            if word.ends_with(".rs") {
                let text = fs::read_to_string(root.join(word));
                file = Some((word, text.unwrap_or_else(|error| panic!("{word}: {error}"))));
            } else if let Some((path, text)) = &file {
                let function = format!("fn {word}(");
                assert!(text.contains(&function), "{path} has no {word}");
                named += 1;
            }
        }
    }
    assert!(named > 60, "the page names its tests: {named}");
}
