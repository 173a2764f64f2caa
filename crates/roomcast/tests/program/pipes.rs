//! The program `roomcast` as people run it: its answers to bad input, its pipes, its signals.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::mpsc::channel;
use std::time::Duration;

use crate::support::{Program, TestClient};
use roomcast_protocol::{CloseCode, Encoding};
use serde_json::Value;

fn tail(address: SocketAddr, rooms: &[&str]) -> Program {
    let url = format!("ws://{address}/ws");
    let program = Program::start(&[&["tail", "--url", &url], rooms].concat());
    for _ in rooms {
        program.note("joined ");
    }
    program
}

#[test]
fn serving_everybody_takes_a_flag() {
    let (status, _, error) = Program::start(&["serve", "--listen", "0.0.0.0:0"]).finish();
    assert!(!status.success());
    for word in ["http.listen", "--listen", "insecure"] {
        assert!(error.contains(word), "{word} in {error}");
    }
    assert!(!error.contains("listening"), "no port was bound: {error}");
}

#[test]
fn bad_configuration_ends_the_program() {
    for (arguments, words) in [
        (
            &["serve", "--set", "limits.no_such_key=1"][..],
            &["limits.no_such_key", "no such key"][..],
        ),
        (&["serve", "--set", "heartbeat.interval=1ms"], &["heartbeat.interval", "1 s"]),
        (&["serve", "--config", "/nonexistent/roomcast.toml"], &["/nonexistent", "cannot read"]),
        (
            &["serve", "--redis-url", "http://x"],
            &["bus.redis_url", "--redis-url", "the scheme is none of"],
        ),
        (&["serve", "--redis-url", "127.0.0.1:6379"], &["bus.redis_url", "redis:// is missing"]),
    ] {
        let (status, _, error) = Program::start(arguments).finish();
        assert!(!status.success(), "{arguments:?}");
        for word in words {
            assert!(error.contains(word), "{word:?} in {error:?}");
        }
        assert_eq!(error.lines().filter(|line| line.contains("panicked")).count(), 0);
    }
}

#[test]
fn a_port_that_is_taken_is_named() {
    let (_first, address) = Program::serve(&["--listen", "127.0.0.1:0"]);
    let (status, _, error) = Program::start(&["serve", "--listen", &address.to_string()]).finish();
    assert!(!status.success());
    assert!(error.contains(&address.to_string()) && error.contains("http.listen"), "{error}");
}

#[test]
fn a_file_is_checked_and_the_whole_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let good =
        write("good.toml", "[limits]\nlag_bytes = \"2MiB\"\n[namespaces.chat]\nhistory_size = 7\n");
    let (status, out, error) = Program::start(&["config", "check", &good]).finish();
    assert!(status.success() && out.contains("fine"), "{out} {error}");

    for (text, key) in [
        ("[limits]\nlag_bytes = \"2 parsecs\"\n", "limits.lag_bytes"),
        ("[limits]\nlog_byte = 1\n", "limits.log_byte"),
        ("[limits\n", "TOML"),
    ] {
        let bad = write("bad.toml", text);
        let (status, _, error) = Program::start(&["config", "check", &bad]).finish();
        assert!(!status.success());
        assert!(error.contains(key) && error.contains("bad.toml"), "{key} in {error}");
    }

    let arguments = ["config", "print", "--config", &good, "--node-id", "n-1"];
    let redis = ["--redis-url", "redis://user:secret@127.0.0.1:6379"];
    let (status, out, _) = Program::start(&[&arguments[..], &redis].concat()).finish();
    assert!(status.success());
    let line = |key: &str| {
        let found = out.lines().find(|line| line.split_whitespace().next() == Some(key));
        found.unwrap_or_else(|| panic!("{key} in {out}")).to_owned()
    };
    assert!(line("limits.lag_bytes").contains("good.toml"));
    assert!(line("namespaces.chat.history_size").contains("= 7"));
    assert!(line("node.id").contains("n-1") && line("node.id").contains("--node-id"));
    assert!(line("heartbeat.interval").contains("default"));
    assert!(!out.contains(":secret"), "{out}");
}

/// Two terminals: what one publishes the other prints, whatever the encoding.
#[test]
fn two_terminals_talk_through_a_node() {
    let (_node, address) = Program::serve(&["--listen", "127.0.0.1:0"]);
    let url = format!("ws://{address}/ws");
    let reader = tail(address, &["lobby", "news"]);
    let packed = {
        let program = Program::start(&["tail", "--msgpack", "--url", &url, "lobby"]);
        program.note("joined lobby");
        program
    };
    let publish = ["publish", "--url", &url, "--user", "ann", "--event", "note", "lobby"];
    let (status, out, error) =
        Program::start(&[&publish[..], &["{\"a\": 1.50}"]].concat()).finish();
    assert!(status.success(), "{error}");
    let ack: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&ack["type"], &ack["room"], &ack["seq"]),
        (&"ack".into(), &"lobby".into(), &1.into())
    );
    for terminal in [&reader, &packed] {
        let line = terminal.line();
        assert_eq!((&line["type"], &line["room"]), (&"message".into(), &"lobby".into()));
        assert_eq!((&line["user"], &line["event"]), (&"ann".into(), &"note".into()));
        assert_eq!((&line["epoch"], &line["seq"]), (&ack["epoch"], &1.into()));
        assert_eq!(line["data"]["a"], 1.5);
    }

    let mut pipe = Program::start(&["publish", "--url", &url, "news", "-"]);
    let mut stdin = pipe.child.stdin.take().unwrap();
    for n in 1..=50 {
        writeln!(stdin, "line {n}").unwrap();
    }
    drop(stdin);
    let (status, out, error) = pipe.finish();
    assert!(status.success(), "{error}");
    let acks: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        acks.iter().map(|ack| ack["seq"].as_u64().unwrap()).collect::<Vec<_>>(),
        (1..=50).collect::<Vec<_>>()
    );
    for n in 1..=50 {
        let line = reader.line();
        assert_eq!((&line["seq"], &line["data"]), (&n.into(), &format!("line {n}").into()));
    }
}

/// `tail` goes on by itself when the node comes back on its port. In memory the room began anew,
/// and it says so.
#[test]
fn tail_survives_a_restart_of_the_node() {
    let (mut node, address) = Program::serve(&["--listen", "127.0.0.1:0"]);
    let url = format!("ws://{address}/ws");
    let reader = tail(address, &["lobby"]);
    let publish = |text: &str| {
        let (status, _, error) =
            Program::start(&["publish", "--url", &url, "lobby", text]).finish();
        assert!(status.success(), "{error}");
    };
    publish("before");
    assert_eq!(reader.line()["data"], "before");
    node.signal("-TERM");
    assert!(node.end().success());
    reader.note("disconnected");
    let (_again, _) = Program::serve(&["--listen", &address.to_string()]);
    reader.note("joined lobby");
    let reset = reader.line();
    assert_eq!((&reset["type"], &reset["lost"]), (&"reset".into(), &1.into()));
    publish("after");
    let line = reader.line();
    assert_eq!((&line["data"], &line["seq"]), (&"after".into(), &1.into()));
    assert_eq!(line["epoch"], reset["epoch"]);
}

/// A node that is told to end says to everybody: come back, to any node.
#[tokio::test]
async fn sigterm_ends_gently() {
    for signal in ["-TERM", "-INT"] {
        let (mut node, address) = Program::serve(&["--listen", "127.0.0.1:0"]);
        let mut clients = Vec::new();
        for n in 0..10 {
            let mut client = TestClient::connect(address, Encoding::ALL[n % 2], "").await;
            client.join("lobby").await;
            clients.push(client);
        }
        clients[0].publish("lobby", "1").await;
        node.signal(signal);
        for client in &mut clients {
            assert_eq!(client.message("lobby").await.seq, 1);
            assert_eq!(client.closed().await, CloseCode::Restart.code());
        }
        drop(clients);
        let status = tokio::task::spawn_blocking(move || node.end()).await.unwrap();
        assert_eq!(status.code(), Some(0), "{signal}");
    }
}

#[test]
fn sigterm_ends_a_node_that_waits_for_redis() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", silent.local_addr().unwrap());
    let node = Program::start(&["serve", "--listen", "127.0.0.1:0", "--redis-url", &url]);
    let _waiting = silent.accept().unwrap();
    node.signal("-TERM");
    let (status, _, error) = node.finish();
    assert!(status.success(), "{error}");
}

/// Neither ends a node, nor does a log that nobody reads any more.
#[test]
fn signals_without_a_meaning_change_nothing() {
    let (mut node, address) = Program::serve(&["--listen", "127.0.0.1:0"]);
    for signal in ["-USR1", "-USR2", "-PIPE"] {
        node.signal(signal);
    }
    node.log("SIGUSR1 and SIGUSR2 do nothing");
    // Its end of the pipe.
    node.err = channel().1;
    for _ in 0..3 {
        node.signal("-USR1");
        std::thread::sleep(Duration::from_millis(20));
    }
    let url = format!("ws://{address}/ws");
    let (status, _, error) = Program::start(&["publish", "--url", &url, "lobby", "1"]).finish();
    assert!(status.success(), "{error}");
    node.signal("-TERM");
    assert!(node.end().success());
}

/// The first line of a node's log says where its rooms are.
#[test]
fn the_log_says_that_rooms_are_in_memory() {
    let usual = ["serve", "--listen", "127.0.0.1:0", "--set", "log.format=json"];
    let node = Program::start(&usual);
    assert_eq!(node.log("\"listening\"")["rooms"], "in memory");
}

#[test]
fn sighup_takes_over_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("roomcast.toml");
    let file = path.to_str().unwrap();
    std::fs::write(&path, "[namespaces.default]\nhistory_size = 5\n").unwrap();
    let (mut node, _) = Program::serve(&["--listen", "127.0.0.1:0", "--config", file]);

    let new = "[heartbeat]\ninterval = \"9s\"\n[namespaces.default]\nhistory_size = 6\n";
    std::fs::write(&path, new).unwrap();
    node.signal("-HUP");
    let taken = node.log("configuration reloaded");
    assert!(taken.to_string().contains("namespaces.default.history_size"), "{taken}");
    let waits = node.log("need a restart");
    assert!(waits.to_string().contains("heartbeat.interval"), "{waits}");
    assert!(!taken.to_string().contains("heartbeat.interval"), "{taken}");

    std::fs::write(&path, "[namespaces.default]\nhistory_size = \"many\"\n").unwrap();
    node.signal("-HUP");
    let refused = node.log("stays as it is");
    assert_eq!(refused["level"], "ERROR");
    assert!(refused.to_string().contains("namespaces.default.history_size"), "{refused}");
    node.signal("-TERM");
    assert!(node.end().success());
}
