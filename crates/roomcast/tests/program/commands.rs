//! What the program's commands show, to whom, and what they do with bad input.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::process::{Child, Command, ExitStatus, Stdio};

use crate::support::{self, Program};
use roomcast_testkit::RedisServer;
use serde_json::Value;

/// Runs the program to its end: whether it succeeded, and both of its outputs together.
fn run(arguments: &[&str]) -> (bool, String) {
    told(Program::start(arguments).finish())
}

fn run_with(arguments: &[&str], variables: &[(&str, &OsStr)]) -> (bool, String) {
    told(Program::start_with(arguments, variables).finish())
}

fn told((status, out, error): (ExitStatus, String, String)) -> (bool, String) {
    (status.success(), format!("{out}\n{error}"))
}

/// Characters that steer a terminal, besides line ends.
fn steers(text: &str) -> bool {
    text.chars().any(|c| (c.is_control() && c != '\n') || ('\u{2028}'..='\u{202e}').contains(&c))
}

/// Passwords as people have them, each made of pieces that stand nowhere else.
const PASSWORDS: [&str; 12] = [
    "CORRECT HORSE",
    "CORRECT@HORSE",
    "CORRECT:HORSE",
    "CORRECT/HORSE",
    "CORRECT?HORSE=STAPLE",
    "CORRECT#HORSE",
    "CORRECT\"HORSE'STAPLE",
    "CORRECT\nHORSE",
    "1234567 7654321",
    "CORRECT%20HORSE",
    "CORRECT\\HORSE",
    "CÖRRECT HORSE",
];

fn shows(output: &str, password: &str) -> bool {
    let pieces = password.split(|c: char| !c.is_alphanumeric()).filter(|piece| piece.len() > 3);
    pieces.into_iter().any(|piece| output.contains(piece))
}

/// However a password comes in, and wherever it is mistyped, no output has a piece of it.
#[test]
fn no_command_shows_a_password() {
    let folder = tempfile::tempdir().unwrap();
    for (n, password) in PASSWORDS.into_iter().enumerate() {
        let url = format!("redis://app:{password}@redis.invalid");
        let setting = format!("bus.redis_url={url}");
        let mistyped = [
            format!("bus.redis_url:{url}"),
            format!("bus.redis_url {url}=x"),
            format!("bus.prefix={url}"),
            format!("limits.log_bytes={url}"),
            format!("http.listen={url}"),
            format!("log.level={url}"),
            format!("traces.endpoint=http://app:{password}@h"),
        ];
        let value: &OsStr = url.as_ref();
        let mut outputs = vec![
            run_with(&["config", "print"], &[("ROOMCAST__BUS__REDIS_URL", value)]).1,
            run_with(&["config", "print"], &[("ROOMCAST_BUS_REDIS_URL", value)]).1,
            run_with(&["config", "print"], &[("ROOMCAST__BUS__REDIS_URL__X", value)]).1,
            run(&["config", "print", "--redis-url", &url]).1,
            run(&["config", "print", "--set", &setting]).1,
            run(&["serve", "--redis-url", &url, "--set", "node.workers=many"]).1,
            run(&["serve", &url]).1,
            run(&[&url]).1,
        ];
        outputs.extend(mistyped.iter().map(|typed| run(&["config", "print", "--set", typed]).1));
        for (m, text) in [
            format!("[bus]\nredis_url = {url}\n"),
            format!("[bus]\nredis_url = \"{url}\"\n"),
            format!("[bus]\nredis_url = '{url}\n"),
            format!("[bus]\n{url} = 1\n"),
            format!("[bus]\n\"{url}\" = 1\n"),
            format!("[{url}]\nredis_url = 1\n"),
            format!("[bus]\nprefix = \"{url}\"\n"),
            format!("[bus]\nredis_url = [\"{url}\"]\n"),
        ]
        .iter()
        .enumerate()
        {
            let path = folder.path().join(format!("{n}-{m}.toml"));
            fs::write(&path, text).unwrap();
            let path = path.to_str().unwrap();
            outputs.push(run(&["config", "check", path]).1);
            outputs.push(run(&["config", "print", "--config", path]).1);
        }
        for output in outputs {
            assert!(!shows(&output, password), "{password:?} in {output}");
        }
    }
}

/// A Redis that refuses a password is named without it, on whatever way the node ends.
#[test]
fn a_refused_password_is_not_shown() {
    let redis = RedisServer::start();
    for password in ["CORRECT%20HORSE", "CORRECT%40HORSE"] {
        let url = redis.url().replace("redis://", &format!("redis://app:{password}@"));
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--redis-url", &url];
        let (succeeded, output) = run(&[&arguments[..], &["--set", "log.level=debug"]].concat());
        assert!(!succeeded, "{output}");
        assert!(!shows(&output, password), "{output}");
    }
}

#[test]
fn config_print_shows_all_and_fails_if_anything_is_wrong() {
    let (succeeded, output) =
        run(&["config", "print", "--set", "heartbeat.interval=1ms", "--set", "limits.log_byte=1"]);
    assert!(!succeeded);
    for part in [
        "heartbeat.interval",
        "= 1ms",
        "limits.log_bytes",
        "limits.log_byte (from flag --set): there is no such key (did you mean limits.log_bytes?)",
        "heartbeat.interval (from flag --set): 1 ms is out of bounds",
    ] {
        assert!(output.contains(part), "{part} in {output}");
    }
    assert!(run(&["config", "print"]).0);
    let (succeeded, output) = run(&["config", "print", "--set", "node.id=a\u{9b}31m"]);
    assert!(!succeeded && !steers(&output), "{output:?}");
}

#[test]
fn config_check_shows_every_mistake_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("roomcast.toml");
    let text = "insecur = true\n[http]\nlisten = 127.0.0.1:8080\nheader_timeout = 10s\n\
                lisen = 1\n[limits]\nlog_bytes = \"many\"\nlag_bytes = 2MiB\n[drain]\n\
                total = \"8s\"\npause = \"5s\"\n[heartbeat]\nmissed = 1\nmissed = 2\n";
    fs::write(&path, text).unwrap();
    let (succeeded, output) = run(&["config", "check", path.to_str().unwrap()]);
    assert!(!succeeded);
    for part in [
        "insecur (from file ",
        "did you mean insecure?",
        "line 3): the value needs quotes: listen = \"…\"",
        "line 4): the value needs quotes: header_timeout = \"…\"",
        "http.lisen (from file ",
        "did you mean http.listen?",
        "limits.log_bytes (from file ",
        "line 8): the value needs quotes: lag_bytes = \"…\"",
        "drain.pause (from file ",
        "line 14 (from file ",
        "this is not valid TOML: duplicate key",
    ] {
        assert!(output.contains(part), "{part} in {output}");
    }
    assert_eq!(output.lines().filter(|line| line.contains("(from file ")).count(), 8, "{output}");
}

#[test]
fn variables_that_are_nearly_ours_are_told() {
    let listen: (&str, &OsStr) = ("ROOMCAST_HTTP_LISTEN", "127.0.0.1:1".as_ref());
    let warning = "ROOMCAST_HTTP_LISTEN is not read: did you mean ROOMCAST__HTTP__LISTEN?";
    let (succeeded, output) = run_with(&["config", "print"], &[listen]);
    assert!(succeeded && output.contains(warning), "{output}");
    let serve = ["serve", "--listen", "127.0.0.1:0", "--set", "log.format=json"];
    let node = Program::start_with(&serve, &[listen]);
    assert_eq!(node.log("is not read")["message"], warning);
    // Its own must be text.
    let bad = OsStr::from_bytes(b"\xff");
    let (succeeded, output) = run_with(&["config", "print"], &[("ROOMCAST__LOG__LEVEL", bad)]);
    assert!(!succeeded && output.contains("ROOMCAST__LOG__LEVEL (from environment)"), "{output}");
}

/// Not only at `info`: whatever the level, a line of the log is one JSON object.
#[test]
fn trace_and_json_go_together() {
    for level in ["trace", "info,tungstenite=trace,hyper=trace,roomcast_gateway=trace"] {
        let level = format!("log.level={level}");
        let (mut node, address) = Program::serve(&["--listen", "127.0.0.1:0", "--set", &level]);
        let url = format!("ws://{address}/ws");
        let (succeeded, output) = run(&["publish", "--url", &url, "r", "PAYLOAD"]);
        assert!(succeeded, "{output}");
        node.signal("-TERM");
        node.end();
        for line in node.err.iter() {
            let read: Result<Value, _> = serde_json::from_str(&line);
            assert!(read.is_ok_and(|line| line.is_object()), "{line}");
            assert!(!line.contains("PAYLOAD"), "{line}");
        }
    }
}

#[test]
fn tail_and_publish_steer_no_terminal() {
    let (_node, address) = Program::serve(&["--listen", "127.0.0.1:0"]);
    let url = format!("ws://{address}/ws");
    let reader = Program::start(&["tail", "--url", &url, "r"]);
    let packed = Program::start(&["tail", "--msgpack", "--url", &url, "r"]);
    for reader in [&reader, &packed] {
        reader.note("joined r");
    }
    let words = "a\u{9b}31mb\u{7f}c\u{1b}[2J\u{2028}\u{202e}\u{85}d";
    let (succeeded, output) = run(&["publish", "--url", &url, "r", words]);
    assert!(succeeded && !steers(&output), "{output}");
    for reader in [&reader, &packed] {
        let line = reader.out.recv_timeout(support::SOON).unwrap();
        assert!(!steers(&line), "{line:?}");
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["data"], words);
    }
}

#[test]
fn what_is_wrong_with_a_line_keeps_no_other_back() {
    let (_node, address) = Program::serve(&["--listen", "127.0.0.1:0"]);
    let url = format!("ws://{address}/ws");
    let mut pipe = Program::start(&["publish", "--url", &url, "r"]);
    let mut stdin = pipe.child.stdin.take().unwrap();
    stdin.write_all(b"one\r\n\xff\xfe\ntwo\n").unwrap();
    let large = format!("\"{}\"\n", "x".repeat(70_000));
    stdin.write_all(large.as_bytes()).unwrap();
    stdin.write_all(b"three").unwrap();
    drop(stdin);
    let (status, out, error) = pipe.finish();
    assert!(!status.success());
    assert!(!error.contains("terminal"), "stdin is none: {error}");
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<_> =
        lines.iter().map(|line| (line["type"].as_str().unwrap(), line["seq"].as_u64())).collect();
    let failed = ("failed", None);
    assert_eq!(told, [("ack", Some(1)), failed, ("ack", Some(2)), failed, ("ack", Some(3))]);
    assert_eq!(lines[1]["error"], "line 2 is not UTF-8");
    let too_large = lines[3]["error"].as_str().unwrap();
    assert!(too_large.contains("too_large") && too_large.contains("allows 65536"), "{too_large}");
}

/// On a terminal, made by `script`, it says what it waits for; without a node it does not wait.
#[test]
fn publish_on_a_terminal_says_that_it_reads() {
    let url = format!("ws://127.0.0.1:{}/ws", roomcast_testkit::free_port());
    let command = format!("{} publish --url {url} r", env!("CARGO_BIN_EXE_roomcast"));
    let mut script = Command::new("script");
    script.args(["-qec", &command, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut script = Other(script.spawn().unwrap());
    // Kept open: its end would be the end of what is typed.
    let _keyboard = script.0.stdin.take();
    let mut output = String::new();
    script.0.stdout.take().unwrap().read_to_string(&mut output).unwrap();
    assert!(output.contains("reading from the terminal: one message for each line"), "{output}");
    assert!(output.contains(&format!("no connection to {url}")), "{output}");
}

#[test]
fn errors_name_the_url() {
    let url = format!("ws://127.0.0.1:{}/ws?token=SECRET", roomcast_testkit::free_port());
    let shown = url.split('?').next().unwrap();
    let (succeeded, output) = run(&["publish", "--url", &url, "r", "1"]);
    assert!(!succeeded && output.contains(shown) && !output.contains("SECRET"), "{output}");
    let reader = Program::start(&["tail", "--url", &url, "r"]);
    let note = reader.note("disconnected");
    assert!(note.contains(shown) && !note.contains("SECRET"), "{note}");
}

#[test]
fn the_program_is_called_roomcast_and_offers_what_a_command_takes() {
    let (succeeded, output) = run(&["--version"]);
    assert!(succeeded);
    assert_eq!(output.trim(), concat!("roomcast ", env!("CARGO_PKG_VERSION")));
    let (_, help) = run(&["health", "--help"]);
    for option in ["--config", "--listen", "--live"] {
        assert!(help.contains(option), "{option} in {help}");
    }
    for option in ["--redis-url", "--node-id", "--insecure", "--set"] {
        assert!(!help.contains(option), "{option} in {help}");
    }
    let (_node, address) = Program::serve(&["--listen", "127.0.0.1:0"]);
    let address = address.to_string();
    assert!(run(&["health", "--listen", &address]).0);
    // What the node was started with is taken too.
    assert!(run(&["health", "--insecure", "--set", &format!("http.listen={address}")]).0);
    let elsewhere = format!("0.0.0.0:{}", address.rsplit_once(':').unwrap().1);
    assert!(run(&["health", "--listen", &elsewhere]).0);
}

/// A process of some other program under whatever name; it is ended with the test.
struct Other(Child);

impl Other {
    fn start(program: &str, arguments: &[&str]) -> Self {
        Self(Command::new(program).args(arguments).stdin(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ended_already = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// Only nodes are ended. (That only the user's own are is in the tests of `commands/drain.rs`: a
/// test has one user.)
#[test]
fn drain_ends_nodes_only() {
    let folder = tempfile::tempdir().unwrap();
    let disguised = folder.path().join("roomcast");
    symlink("/bin/sh", &disguised).unwrap();
    let script = folder.path().join("serve");
    fs::write(&script, "while :; do sleep 0.1; done\n").unwrap();
    let mut others = [
        Other::start("/bin/sleep", &["60"]),
        // Its command line is a node's; its program is not.
        Other(
            Command::new(&disguised)
                .arg("serve")
                .current_dir(folder.path())
                .stdin(Stdio::null())
                .spawn()
                .unwrap(),
        ),
    ];
    for other in &mut others {
        let pid = other.0.id().to_string();
        let (succeeded, output) = run(&["drain", "--pid", &pid]);
        assert!(!succeeded, "{output}");
        assert!(output.contains(&format!("process {pid} is no node")), "{output}");
        assert!(other.0.try_wait().unwrap().is_none(), "it runs on");
    }

    let nodes: [_; 2] = std::array::from_fn(|_| Program::serve(&["--listen", "127.0.0.1:0"]));
    let (succeeded, output) = run(&["drain"]);
    assert!(!succeeded && output.contains("--pid"), "{output}");
    for (node, address) in &nodes {
        let line = format!("process {} (", node.child.id());
        let line = output.lines().find(|text| text.contains(&line)).expect("a candidate");
        assert!(line.contains("/roomcast on ") && line.contains(&address.to_string()), "{line}");
    }
    let [(mut ended, address), (mut other, _)] = nodes;
    let pid = ended.child.id().to_string();
    let drain = Program::start(&["drain", "--pid", &pid, "--wait", "20"]);
    let said = drain.out.recv_timeout(support::SOON).unwrap();
    assert!(said.contains(&format!("process {pid} (")) && said.ends_with("drains"), "{said}");
    assert!(said.contains("/roomcast on ") && said.contains(&address.to_string()), "{said}");
    assert!(ended.end().success());
    assert!(drain.finish().0.success());
    assert!(other.child.try_wait().unwrap().is_none(), "the other runs on");
}

/// What it prints is a key and the table that makes a node take it.
#[test]
fn an_api_key_is_made_with_its_table() {
    let (succeeds, printed) = run(&["api-key", "shop-1", "--scopes", " read  publish"]);
    assert!(succeeds, "{printed}");
    let (key, table) = printed.split_once('\n').unwrap();
    let secret = key.strip_prefix("shop-1.").unwrap();
    assert!(secret.len() >= 43 && !table.contains(secret), "{printed}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("roomcast.toml");
    fs::write(&file, table).unwrap();
    let (succeeds, told) = run(&["config", "check", file.to_str().unwrap()]);
    assert!(succeeds, "{told}");
    assert!(table.contains("[api_keys.shop-1]") && table.contains("scopes = \"read publish\""));
    // The digest is masked where the configuration is shown.
    let (_, told) = run(&["config", "print", "--config", file.to_str().unwrap()]);
    let digest = table.split("sha256 = \"").nth(1).unwrap().split('"').next().unwrap();
    assert!(told.contains("api_keys.shop-1.sha256") && !told.contains(digest), "{told}");
    for bad in
        [&["api-key", "Shop", "--scopes", "read"][..], &["api-key", "a", "--scopes", "write"]]
    {
        assert!(!run(bad).0, "{bad:?}");
    }
}
