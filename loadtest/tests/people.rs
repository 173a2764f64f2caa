//! `presence`, `cursors` and `patterns`, small, on real nodes.

// A test fails by panicking.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

/// The node's program beside this one: `cargo test` of this package alone does not build it.
fn node() -> &'static str {
    static NODE: OnceLock<PathBuf> = OnceLock::new();
    let find = || {
        let path = Path::new(env!("CARGO_BIN_EXE_loadtest")).with_file_name("roomcast");
        if !path.exists() {
            let mut build = Command::new(env!("CARGO"));
            assert!(build.args(["build", "-p", "roomcast"]).status().unwrap().success());
        }
        path
    };
    NODE.get_or_init(find).to_str().unwrap()
}

/// The table and the figures of a run that must succeed.
fn figures(line: &str) -> (String, Value) {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("found.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    command.args(line.split_whitespace()).arg("--json").arg(&json);
    let done = command.args(["--node-binary", node()]).output().unwrap();
    assert!(done.status.success(), "{line}: {}", String::from_utf8_lossy(&done.stderr));
    let found = serde_json::from_slice(&fs::read(json).unwrap()).unwrap();
    (String::from_utf8(done.stdout).unwrap(), found)
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn presence_is_measured_in_four_parts() {
    let (_, found) = figures(
        "presence --members 30 --rooms 3 --seconds 1 --rate 100 --large 300 --crowd 40 \
         --crowd-rooms 20 --settle 0",
    );
    let parts = &found["parts"];
    assert_eq!(
        (&parts["idle"][0]["members"], &parts["idle"][1]["members"]),
        (&3.into(), &30.into())
    );
    for part in ["churn", "large"] {
        let changes = number(&parts[part]["joins"]) + number(&parts[part]["leaves"]);
        assert!((90.0..=100.0).contains(&changes), "{parts}");
        assert!(number(&parts[part]["calls"]["evalsha"]) > 0.0, "{parts}");
    }
    assert!(number(&parts["churn"]["frames_to_members"]) > 0.0, "members are told: {parts}");
    let list = number(&parts["large"]["list"]["members"]);
    assert!((300.0..=350.0).contains(&list), "{parts}");
    assert_eq!(parts["crowd"][1]["presence"], "events");
}

#[test]
fn cursors_are_measured_beside_messages() {
    let (table, found) =
        figures("cursors --rounds 1 --seconds 1 --members 6 --cursors 3 --rooms 2 --messages 50");
    let runs = found["runs"].as_array().unwrap();
    let of = |run: usize, field: &str| number(&runs[run][field]);
    assert_eq!([of(0, "sent"), of(1, "sent"), of(2, "sent")], [0.0, 180.0, 180.0]);
    assert_eq!(of(1, "received"), 180.0 * 5.0, "every signal to all but its sender");
    assert!(of(2, "received") < of(1, "received"), "{found}");
    assert!(of(2, "conflated") > 0.0, "{found}");
    assert!((0..3).all(|run| of(run, "deliveries") == 50.0 * 3.0), "{found}");
    assert!(table.contains("| conflated "), "{table}");
}

#[test]
fn patterns_are_compared_on_one_workload() {
    let (table, found) =
        figures("patterns --rounds 1 --seconds 1 --readers 5 --values 20 --rate 30");
    let runs = found["runs"].as_array().unwrap();
    let of = |run: usize, field: &str| number(&runs[run][field]);
    assert!((0..3).all(|run| of(run, "changes") == 30.0), "{found}");
    assert!(of(0, "pulls_each") > 0.0 && of(1, "pulls_each") == 0.0, "{found}");
    assert!(of(2, "bytes_each") < of(1, "bytes_each"), "an operation is less than the state");
    assert!(table.contains("| push operations "), "{table}");
}
