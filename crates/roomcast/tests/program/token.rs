//! `roomcast token`, and the commands that take a token: from a secret to a message in a room.

use std::fs;
use std::path::Path;

use crate::support::Program;

const SECRET: &str = "a-secret-of-thirty-two-bytes-or-more";

/// Runs the program to its end: whether it succeeded, and what it wrote.
fn run(arguments: &[&str]) -> (bool, String) {
    let (status, out, error) = Program::start(arguments).finish();
    (status.success(), format!("{out}\n{error}"))
}

fn make(secret: &Path, more: &[&str]) -> String {
    let file = secret.to_str().unwrap();
    let made = ["token", "make", "--secret-file", file, "--sub", "alice"];
    let (status, out, error) = Program::start(&[&made[..], more].concat()).finish();
    assert!(status.success(), "{error}");
    out.trim().to_owned()
}

#[test]
fn a_token_is_made_shown_and_used() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    fs::write(&secret, format!("\n{SECRET}\nanother-secret-of-thirty-two-bytes\n")).unwrap();
    let config = folder.path().join("roomcast.toml");
    let text = format!(
        "[auth]\nhs_secret_file = {:?}\n[namespaces.hall]\nallow_join = \"user\"\n",
        secret.to_str().unwrap()
    );
    fs::write(&config, text).unwrap();
    let config = config.to_str().unwrap();
    let rooms = ["--room", "chat:*=join,publish", "--jti", "t1", "--info", r#"{"name":"Alice"}"#];
    let token = make(&secret, &[&["--for", "1h"], &rooms[..]].concat());

    let (shown, text) = run(&["token", "show", &token]);
    assert!(shown && text.contains(r#""sub":"alice""#) && text.contains(r#""jti":"t1""#), "{text}");
    let (good, text) = run(&["token", "show", &token, "--config", config, "--room", "chat:1"]);
    assert!(good && text.contains("good, signed by hs_secret"), "{text}");
    assert!(text.contains("join      yes: the token's `rooms`"), "{text}");
    assert!(text.contains("history   no: the capability \"history\" is missing"), "{text}");
    let (_, text) = run(&["token", "show", &token, "--config", config, "--room", "hall:1"]);
    assert!(text.contains("join      yes: namespaces.hall.allow_join is user"), "{text}");
    let mut other: Vec<char> = token.chars().collect();
    let last = other.len() - 2;
    other[last] = if other[last] == 'A' { 'B' } else { 'A' };
    let other: String = other.into_iter().collect();
    let (good, text) = run(&["token", "show", &other, "--config", config]);
    assert!(!good && text.contains("refused: the token's signature does not fit"), "{text}");

    let (node, address) = Program::serve(&["--config", config, "--set", "http.listen=127.0.0.1:0"]);
    let url = format!("ws://{address}/ws");
    let file = folder.path().join("token");
    fs::write(&file, format!("{token}\n")).unwrap();
    let target = ["--url", &*url, "--token-file", file.to_str().unwrap()];
    let tail = Program::start(&[&["tail", "chat:1"], &target[..]].concat());
    tail.note("joined");
    let publish = [&["publish", "chat:1", "1"], &target[..]].concat();
    let (published, text) = run(&publish);
    assert!(published && text.contains(r#""type":"ack""#), "{text}");
    let line = tail.line();
    assert_eq!((&line["user"], &line["data"]), (&"alice".into(), &1.into()));

    for (arguments, part) in [
        (vec!["publish", "chat:1", "1", "--url", &*url], "no_token"),
        (vec!["publish", "chat:1", "1", "--url", &*url, "--token", "x"], "bad_token"),
        (vec!["publish", "den", "1", "--url", &*url, "--token", &*token], "forbidden"),
    ] {
        let (published, text) = run(&arguments);
        assert!(!published && text.contains(part), "{arguments:?}: {text}");
    }
    drop((tail, node));
}

#[test]
fn typing_errors_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    fs::write(&secret, "CORRECT-HORSE\n").unwrap();
    let file = secret.to_str().unwrap();
    let made = ["token", "make", "--secret-file", file, "--sub", "alice", "--for", "1h"];
    let (good, text) = run(&made);
    assert!(!good && text.contains("32 bytes") && !text.contains("HORSE"), "{text}");
    fs::write(&secret, SECRET).unwrap();
    for (wrong, part) in [
        (["--room", "chat:*=jion"], "jion"),
        (["--room", "chat"], "PATTERN=WORDS"),
        (["--info", "{"], "--info"),
    ] {
        let (good, text) = run(&[&made[..], &wrong].concat());
        assert!(!good && text.contains(part), "{wrong:?}: {text}");
    }
    let (good, text) = run(&["token", "show", "no-token"]);
    assert!(!good && text.contains("JWT"), "{text}");
}
