//! Every scenario by TLS and with tokens, on real nodes; and that keys and certificates may change
//! under it.

// A test fails by panicking.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

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

fn loadtest(line: &str, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    command.args(line.split(' ')).args(more).args(["--node-binary", node()]).output().unwrap()
}

/// Its figures, of a run that must succeed.
fn figures(line: &str, more: &[&str]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("found.json");
    let done = loadtest(line, &[more, &["--json", json.to_str().unwrap()]].concat());
    assert!(done.status.success(), "{line}: {}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&fs::read(json).unwrap()).unwrap()
}

fn written(name: &str, text: &str) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

#[test]
fn every_scenario_speaks_tls_and_shows_tokens() {
    for line in [
        "connect --rounds 1 --seconds 0.2 --inflight 4 --first-frame",
        "idle --steps 5,10",
        "fanout --members 10 --rounds 1 --seconds 0.2 --window 2 --latency-messages 1 --check",
        "cluster --nodes 2 --rooms 2 --publishers 2 --members 4 --messages 200",
        "cluster --latency --latency-messages 50 --nodes 2",
        "redis --rounds 1 --seconds 0.2 --rooms 4 --publishers 2 --window 4 --depth 4",
        "stall --rounds 1 --seconds 1 --members 10 --stalled 4 --rate 20",
        "publish-http --rounds 1 --seconds 0.2 --connections 2 --batch 5",
    ] {
        figures(line, &["--tls", "--auth"]);
    }
    let scenario = "name = 'small'\nabout = 'A test.'\nnodes = 2\nclients = 30\nrooms = 3\n\
                    publishers = 4\nrate = 60.0\nseconds = 2.0\nwarmup = 0.5\nsettle = 5.0\n\
                    processes = 2\nchurn = 5.0\n";
    let (_folder, file) = written("small.toml", scenario);
    let run = figures("run", &[&file, "--tls", "--auth=es256"]);
    assert_eq!(run["tally"]["missing"], 0, "{run}");
    assert_eq!(run["sent"], 120);
}

#[test]
fn doors_are_compared_in_turns() {
    let line = "connect --rounds 2 --seconds 0.2 --inflight 4 --doors ws,hs256,es256,wss";
    let found = figures(line, &[]);
    let servers: Vec<_> =
        found["runs"].as_array().unwrap().iter().map(|run| &run["server"]).collect();
    let round = ["node", "node, HS256 token", "node, ES256 token", "node, TLS"];
    assert_eq!(servers, [round, round].concat());
}

#[test]
fn a_node_that_asks_for_tokens_gets_those_that_were_given() {
    let (_folder, secret) = written("secret", &format!("{}\n", "s".repeat(32)));
    let setting = format!("auth.hs_secret_file={secret}");
    let line = "connect --rounds 1 --seconds 0.2 --inflight 4";
    let refused = loadtest(line, &["--set", &setting]);
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && words.contains("401"), "{words}");
    figures(line, &["--secret-file", &secret]);
    let made = Command::new(node())
        .args(["token", "make", "--secret-file", &secret, "--sub", "ann", "--for", "1h"])
        .output()
        .unwrap();
    let token = String::from_utf8(made.stdout).unwrap();
    figures(line, &["--set", &setting, "--token", token.trim()]);
    let (_folder, file) = written("token", &token);
    figures(line, &["--set", &setting, "--token-file", &file]);
}

#[test]
fn keys_and_certificates_change_without_one_failed_handshake() {
    let found = &figures("rotate --rotations 1", &[])["found"];
    assert_eq!(found["failed"], 0, "{found}");
    assert_eq!(found["certificates"], 2, "{found}");
    assert!(found["keys_fetched"].as_u64().unwrap() >= 2, "{found}");
}
