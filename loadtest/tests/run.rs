//! `run` as a whole: real nodes, real load processes; and a node that breaks its promise.

// A test fails by panicking.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::PipeWriter;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;

// The fake node of the program's own tests, and what it stands on.
#[allow(dead_code)]
#[path = "../src/fake.rs"]
mod fake;
#[allow(dead_code)]
#[path = "../src/reader.rs"]
mod reader;
#[allow(dead_code)]
#[path = "../src/wire.rs"]
mod wire;

use fake::Fault;

const SMALL: &str = "name = 'small'\nabout = 'A test.'\nnodes = 2\nclients = 30\nrooms = 3\n\
                     publishers = 4\nrate = 60.0\nseconds = 2.0\nwarmup = 0.5\nsettle = 5.0\n";

fn run(scenario: &str, folder: &Path, more: &[&str]) -> Output {
    command(scenario, folder, more).output().unwrap()
}

fn command(scenario: &str, folder: &Path, more: &[&str]) -> Command {
    let file = folder.join("small.toml");
    fs::write(&file, scenario).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    command.arg("run").arg(file).args(more).arg("--json").arg(folder.join("run.json"));
    command
}

/// A pipe whose reader has gone, as after `| head`.
fn closed() -> PipeWriter {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer
}

/// What the run wrote with `--json`.
fn figures(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("run.json")).unwrap()).unwrap()
}

/// The node's program beside this one: `cargo test` of this package alone does not build it.
fn node() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_loadtest")).with_file_name("roomcast");
    if !path.exists() {
        let mut build = Command::new(env!("CARGO"));
        assert!(build.args(["build", "-p", "roomcast"]).status().unwrap().success());
    }
    path
}

#[test]
fn two_nodes_lose_nothing_when_one_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = format!("{SMALL}processes = 2\n[kill]\nat = 1.0\n");
    let html = folder.path().join("report.html");
    let (node, page) = (node(), html.to_str().unwrap());
    let node = node.to_str().unwrap();
    let done = run(&scenario, folder.path(), &["--node-binary", node, "--html", page]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let run = figures(folder.path());
    assert_eq!(run["sent"], 120, "60 a second for two seconds");
    assert_eq!(run["tally"]["received"], 1_200, "each by the ten members of its room");
    assert_eq!(run["tally"]["missing"], 0);
    assert_eq!(run["recovery"]["clients"], 15);
    assert_eq!(run["recovery"]["not_back"], 0);
    assert_eq!(run["processes"], 2);
    assert!(run["cost"]["nodes_micros"].as_f64().unwrap() > 0.0, "{run}");
    assert!(fs::read_to_string(html).unwrap().contains("a node is killed"));
    let json = folder.path().join("run.json");
    let compare = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args([Path::new("compare"), &json, &json])
        .output()
        .unwrap();
    let table = String::from_utf8(compare.stdout).unwrap();
    assert!(compare.status.success() && table.contains("| deliveries "), "{table}");
}

#[test]
fn a_lost_message_ends_with_1() {
    let sound = std::thread::spawn(|| ended(Fault::None));
    let (code, untold, words) = ended(Fault::Drop);
    assert_eq!((code, untold), (Some(1), Value::from(3)), "the third message of each room");
    assert!(words.contains("3 deliveries missing and untold"), "{words}");
    let (code, untold, _) = sound.join().unwrap();
    assert_eq!((code, untold), (Some(0), Value::from(0)));
}

#[test]
fn a_run_on_what_runs_already_says_what_it_found() {
    let folder = tempfile::tempdir().unwrap();
    let node = format!("ws://{}", fake::nodes(1, Fault::None)[0]);
    let done = run(SMALL, folder.path(), &["--at", &node]);
    let text = String::from_utf8(done.stdout).unwrap();
    let title = format!("small on Roomcast at {node}: 1 node found (fake), 30 clients");
    assert!(text.starts_with(&title), "{text}");
}

#[test]
fn where_no_server_answers_a_run_fails_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let done = run(SMALL, folder.path(), &["--at", "ws://127.0.0.1:1"]);
    let text = String::from_utf8(done.stderr).unwrap();
    assert!(text.contains("no server answers at ws://127.0.0.1:1"), "{text}");
    assert!(!done.status.success() && begun.elapsed() < Duration::from_secs(10), "{text}");
}

#[test]
fn a_reader_that_ends_early_is_no_fault() {
    let folder = tempfile::tempdir().unwrap();
    let node = format!("ws://{}", fake::nodes(1, Fault::None)[0]);
    let mut run = command(SMALL, folder.path(), &["--at", &node]);
    let done = run.stdout(closed()).stderr(closed()).status().unwrap();
    assert_eq!((done.code(), &figures(folder.path())["sent"]), (Some(0), &Value::from(120)));
    let json = folder.path().join("run.json");
    let mut compare = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    compare.arg("compare").args([&json, &json]).stdout(closed());
    let done = compare.output().unwrap();
    assert_eq!((done.status.code(), &done.stderr[..]), (Some(0), &b""[..]));
    // A disk that is full is one: here it is the only output.
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let done = compare.stdout(full).output().unwrap();
    let text = String::from_utf8(done.stderr).unwrap();
    assert!(done.status.code() == Some(1) && text.contains("writing to stdout"), "{text}");
}

/// Runs on fake nodes: the exit code, the deliveries that are untold, and the words.
fn ended(fault: Fault) -> (Option<i32>, Value, String) {
    let folder = tempfile::tempdir().unwrap();
    let nodes: Vec<String> =
        fake::nodes(2, fault).iter().map(|addr| format!("ws://{addr}")).collect();
    let done = run(SMALL, folder.path(), &["--at", &nodes[0], "--at", &nodes[1]]);
    let untold = figures(folder.path())["tally"]["untold"].clone();
    (done.status.code(), untold, String::from_utf8(done.stderr).unwrap())
}

#[test]
fn mistakes_are_told_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |scenario: &str, more: &[&str], words: &str| {
        let done = run(scenario, folder.path(), more);
        let text = String::from_utf8(done.stderr).unwrap();
        assert!(!done.status.success() && text.contains(words), "{text}");
    };
    refused("name = 'x'\nwhat = 1", &[], "unknown field `what`");
    refused(SMALL, &["--seconds", "0"], "`seconds` is 0");
    refused(SMALL, &["--at", "ws://127.0.0.1:1", "--clients", "0"], "`clients` is 0");
    let kill = format!("{SMALL}[kill]\nat = 1.0\n");
    refused(&kill, &["--at", "ws://127.0.0.1:1"], "leave --at out");
    refused(SMALL, &["--pid", "1"], "--at");
}
