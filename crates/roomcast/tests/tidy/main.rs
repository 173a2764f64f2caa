//! The tests that hold the tree to the rules of the house: they read files and start nothing. Each
//! rule is a pure function over texts, and is shown to find a planted violation.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod crates;
mod files;
mod folders;
mod guarantees;
mod items;
mod modules;
mod names;
mod table;
mod tokens;
mod tree;

/// Fails with every violation on a line of its own.
fn assert_none(rule: &str, violations: &[String]) {
    let (count, list) = (violations.len(), violations.join("\n"));
    assert!(violations.is_empty(), "{rule}: {count} violations\n{list}");
}
