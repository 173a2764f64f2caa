//! Rules of single files: how long they may be, and that each says what it is.

use crate::tree::{SourceFile, rust_files};

/// No file of the product has more lines.
const MAX_LINES: usize = 400;

/// Whether a file is a test, by its place.
fn is_test(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("/tests.rs")
}

fn too_long(file: &SourceFile) -> Option<String> {
    let lines = file.text.lines().count();
    let found = lines > MAX_LINES && !is_test(&file.path);
    found.then(|| format!("{}: {lines} lines", file.path))
}

fn without_head(file: &SourceFile) -> Option<String> {
    let head = file.text.lines().next().and_then(|line| line.strip_prefix("//! "));
    let found = head.is_none_or(|text| text.trim().is_empty());
    found.then(|| format!("{}: begins with no `//!` line", file.path))
}

#[test]

fn no_file_is_longer_than_the_house_allows() {
    let found: Vec<_> = rust_files().iter().filter_map(too_long).collect();
    crate::assert_none("files of at most 400 lines", &found);
}

#[test]
fn every_file_begins_with_what_it_is() {
    let found: Vec<_> = rust_files().iter().filter_map(without_head).collect();
    crate::assert_none("a `//!` head", &found);
}

#[test]
fn a_planted_file_is_found() {
    let file = |path: &str, text: String| SourceFile { path: path.into(), text };
    let long = "//! x\n".repeat(MAX_LINES + 1);
    assert!(too_long(&file("crates/a/src/b.rs", long.clone())).is_some());
    assert!(too_long(&file("crates/a/src/b.rs", "//! x\n".repeat(MAX_LINES))).is_none());
    assert!(too_long(&file("crates/a/src/b/tests.rs", long.clone())).is_none());
    assert!(too_long(&file("crates/a/tests/b.rs", long)).is_none());
    for text in ["", "use a;\n//! late\n", "// x\n", "//!\n//! x\n", "\n//! x\n"] {
        assert!(without_head(&file("a.rs", text.into())).is_some(), "{text:?}");
    }
    assert!(without_head(&file("a.rs", "//! What it is.\nuse a;\n".into())).is_none());
}
