//! Every scenario against the floor, small: the whole program with real processes and sockets.

// A test fails by panicking.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

fn loadtest(line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    command.args(line.split_whitespace());
    command
}

/// Runs to the end; returns what was printed and the figures.
fn figures(line: &str) -> (String, Value) {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("figures.json");
    let done = loadtest(line).arg("--json").arg(&json).output().unwrap();
    let errors = String::from_utf8(done.stderr).unwrap();
    assert!(done.status.success(), "{errors}");
    let figures = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    (String::from_utf8(done.stdout).unwrap(), figures)
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// Waits until there is an answer, and returns it.
fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn fanout_delivers_and_batches() {
    let (table, figures) = figures(
        "fanout --only-floor --members 20 --rooms 2 --publishers 2 --window 1,8 --seconds 0.2 \
         --rounds 1 --latency-messages 2",
    );
    let runs = figures["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 2);
    for run in runs {
        assert!(number(&run["latency"]["first_ms"]) <= number(&run["latency"]["last_ms"]));
        assert_eq!(number(&run["frame_bytes"]), 238.0, "128 of data and 110 around them");
        for window in run["throughput"].as_array().unwrap() {
            assert!(number(&window["deliveries_per_second"]) > 100.0, "{window}");
            assert!(number(&window["cpu_seconds_per_million"]) > 0.0, "{window}");
        }
    }
    assert_eq!(runs[1]["server"], "floor-batch");
    let batched = &runs[1]["throughput"][1];
    assert!(number(&batched["frames_per_read"]) > 2.0, "{batched}");
    assert!(table.contains("| floor-batch | 8 "), "{table}");
}

#[test]
fn idle_reads_memory_at_each_step() {
    let (_, figures) = figures("idle --only-floor --steps 20,60");
    let steps = figures["servers"][0]["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 2);
    assert_eq!(steps[1][0], 60);
    assert!(number(&steps[1][1]) > 100.0);
}

#[test]
fn connect_counts_handshakes() {
    let (_, figures) = figures("connect --only-floor --seconds 0.2 --rounds 1 --inflight 8");
    let run = &figures["runs"][0];
    assert!(number(&run["per_second"]) > 50.0, "{run}");
    assert!(number(&run["cpu_micros"]) > 0.0, "{run}");
}

#[test]
fn growth_draws_what_it_measured() {
    let folder = tempfile::tempdir().unwrap();
    let svg = folder.path().join("growth.svg");
    let (_, figures) = figures(&format!(
        "growth --only-floor --members 5,50 --rooms 1,10 --spread 20 --seconds 0.05 --rounds 1 \
         --svg {}",
        svg.display()
    ));
    assert_eq!(figures["by_members"].as_array().unwrap().len(), 4);
    let text = fs::read_to_string(svg).unwrap();
    assert!(text.contains("floor-batch") && text.contains("Rooms (20 members in all)"), "{text}");
}

#[test]
fn the_floor_ends_with_the_pipe_it_was_given() {
    let mut floor = loadtest("floor --until-stdin-ends");
    let mut floor = floor.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    drop(floor.stdin.take());
    wait_for("the floor ends", || floor.try_wait().unwrap());
}

#[test]
fn an_interrupted_test_leaves_no_process_behind() {
    let mut test = loadtest("idle --only-floor --steps 10,20,30,40,50,60,70,80,90");
    let mut test = test.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // The test also runs `taskset` for a moment, which has no words while it becomes the floor: the
    // first that is found is kept.
    let find = || {
        let list = format!("/proc/{pid}/task/{pid}/children", pid = test.id());
        let list = fs::read_to_string(list).unwrap_or_default();
        let is_floor = |pid: &&str| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains("--until-stdin-ends")
        };
        list.split_whitespace().find(is_floor).map(str::to_owned)
    };
    let floor = wait_for("the floor starts", find);
    interrupt(&mut test);
    assert!(!Path::new(&format!("/proc/{floor}")).exists(), "floor {floor} is left");
}

fn interrupt(test: &mut Child) {
    Command::new("kill").args(["-INT", &test.id().to_string()]).status().unwrap();
    assert_eq!(test.wait().unwrap().code(), Some(130));
}

#[test]
fn mistakes_are_told_in_words() {
    let refused = |line: &str, words: &str| {
        let done = loadtest(line).output().unwrap();
        let text = String::from_utf8(done.stderr).unwrap();
        assert!(!done.status.success() && text.contains(words), "{line}: {text}");
    };
    refused("fanout --members 0 --only-floor", "at least 1");
    refused("fanout --members 999999999 --only-floor", "hard limit");
    refused("fanout --node-binary /nowhere/roomcast --rounds 1", "/nowhere/roomcast");
    refused("idle --url ws://127.0.0.1:1", "not ready");
    refused("growth --rooms 0 --only-floor", "at least 1");
    refused("stall --stalled 0", "at least 1");
    refused("stall --url ws://127.0.0.1:1", "fresh nodes");
}
