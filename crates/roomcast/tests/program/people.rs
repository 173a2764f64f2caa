//! People and state by the program's commands and by the Rust client, on a node that runs.

use roomcast_client::{Client, Confirms, Event, JoinOptions, Options, StateValues};
use roomcast_protocol::{Data, EventName, PresenceStatus, Publish, RoomName, StateKey, UserName};
use serde_json::{Value, json};

use crate::support::{Program, soon};

const SETTINGS: [&str; 10] = [
    "--listen",
    "127.0.0.1:0",
    "--set",
    "namespaces.chat.presence=events",
    "--set",
    "namespaces.chat.receipts=true",
    "--set",
    "namespaces.board.state=true",
    "--set",
    "namespaces.chat.presence_grace=0s",
];

fn room(name: &str) -> RoomName {
    RoomName::parse(name).unwrap()
}

fn json_data(text: &str) -> Data {
    Data::Json(text.as_bytes().to_vec().into())
}

/// A client of this user.
fn client(url: &str, user: &str) -> Client {
    let user = UserName::parse(user).ok();
    Client::connect(Options { user, ..Options::new([url]) }).unwrap()
}

/// The first event that this takes; those before are dropped.
async fn until<T>(client: &Client, what: &str, take: impl Fn(Event) -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = take(client.next().await.expect("the client goes on")) {
                return found;
            }
        }
    };
    soon(what, found).await
}

async fn joined(client: &Client, name: &str, options: JoinOptions) {
    client.join(room(name), options).await.unwrap();
    until(client, "joined", |event| matches!(event, Event::Joined { .. }).then_some(())).await;
}

fn here() -> JoinOptions {
    JoinOptions { presence: true, ..JoinOptions::default() }
}

/// The next line of this type; others are dropped.
fn line_of(program: &Program, kind: &str) -> Value {
    loop {
        let line = program.line();
        if line["type"] == kind {
            return line;
        }
    }
}

#[test]
fn tail_prints_who_comes_and_goes() {
    let (_node, address) = Program::serve(&SETTINGS);
    let url = format!("ws://{address}/ws");
    let ann = Program::start(&["tail", "--url", &url, "chat:1", "--presence", "--user", "ann"]);
    let note = ann.note("joined chat:1");
    assert!(note.ends_with("connections 1, users 1"), "{note}");
    let bob = Program::start(&["tail", "--url", &url, "chat:1", "--user", "bob"]);
    let line = line_of(&ann, "user_joined");
    assert_eq!((&line["room"], &line["user"]), (&json!("chat:1"), &json!("bob")));
    drop(bob);
    assert_eq!(line_of(&ann, "user_left")["user"], "bob");
}

#[test]
fn publish_sets_and_removes_values_that_tail_prints() {
    let (_node, address) = Program::serve(&SETTINGS);
    let url = format!("ws://{address}/ws");
    let publish = |more: &[&str]| {
        let (status, out, error) =
            Program::start(&[&["publish", "--url", &url, "board:1"], more].concat()).finish();
        assert!(status.success(), "{out} {error}");
    };
    publish(&["{\"x\":1}", "--state-key", "card/1"]);
    publish(&["2", "--state-key", "card/2", "--ttl", "1h"]);
    let tail = Program::start(&["tail", "--url", &url, "board:1", "--state"]);
    let state = tail.line();
    assert_eq!(
        (&state["type"], &state["seq"], &state["more"]),
        (&json!("state"), &json!(2), &json!(false))
    );
    let mut keys: Vec<&str> = state["entries"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|entry| entry["key"].as_str())
        .collect();
    keys.sort_unstable();
    assert_eq!(keys, ["card/1", "card/2"]);
    publish(&["--state-key", "card/1", "--remove"]);
    let line = tail.line();
    assert_eq!(
        (&line["state_key"], &line["remove"], &line["data"]),
        (&json!("card/1"), &json!(true), &Value::Null)
    );
}

#[tokio::test]
async fn the_client_follows_people() {
    let (_node, address) = Program::serve(&SETTINGS);
    let url = format!("ws://{address}/ws");
    let (ann, bob) = (client(&url, "ann"), client(&url, "bob"));
    joined(&ann, "chat:1", here()).await;
    let info = Some(json_data("{\"face\":7}"));
    joined(&bob, "chat:1", JoinOptions { info: info.clone(), ..here() }).await;
    let came = until(&ann, "user_joined", |event| match event {
        Event::UserJoined(event) => Some(event),
        _ => None,
    });
    let came = came.await;
    assert_eq!((came.user.as_str(), came.info, came.users), ("bob", info, 2));

    let (members, counts) = soon("the list", ann.all_members(room("chat:1"))).await.unwrap();
    let users: Vec<_> = members.iter().filter_map(|member| member.user.as_ref()).collect();
    assert_eq!((users.len(), counts.users), (2, 2));

    let away = bob.show(room("chat:1"), None, Some(PresenceStatus::Away));
    soon("the answer", away).await.unwrap();
    let status = until(&ann, "away", |event| match event {
        Event::Presence { user, status, .. } => Some((user, status)),
        _ => None,
    });
    assert_eq!(status.await, (UserName::parse("bob").ok(), Some(PresenceStatus::Away)));

    bob.typing(room("chat:1")).await.unwrap();
    let typing = |event| matches!(event, Event::Typing { active: true, .. }).then_some(());
    until(&ann, "typing", typing).await;
    let event = EventName::parse("wave").unwrap();
    bob.signal(room("chat:1"), event, Some(json_data("1"))).await.unwrap();
    until(&ann, "a signal", |event| matches!(event, Event::Signal { .. }).then_some(())).await;

    let publish = Publish { receipts: true, ..Publish::new(room("chat:1"), json_data("2")) };
    let ack = soon("the ack", bob.publish(publish)).await.unwrap();
    let confirmed = ann.received(room("chat:1"), ack.position, Confirms::Read);
    let confirmed = soon("the answer", confirmed).await.unwrap();
    assert_eq!((confirmed.received, confirmed.read), (1, 1));
    let receipts = |event| match event {
        Event::Receipts { received: 1, read: 1, position, .. } => Some(position),
        _ => None,
    };
    assert_eq!(until(&bob, "receipts", receipts).await, ack.position);
    let facts = soon("the room", ann.room(room("chat:1"))).await.unwrap();
    assert_eq!((facts.position, facts.counts.map(|counts| counts.users)), (ack.position, Some(2)));

    bob.close().await;
    let left = |event| {
        matches!(event, Event::UserLeft(event) if event.user.as_str() == "bob").then_some(())
    };
    until(&ann, "user_left", left).await;
}

#[tokio::test]
async fn the_client_holds_a_rooms_values() {
    let (_node, address) = Program::serve(&SETTINGS);
    let url = format!("ws://{address}/ws");
    let (ann, bob) = (client(&url, "ann"), client(&url, "bob"));
    let set = |key: usize, value: usize| Publish {
        state_key: StateKey::parse(&format!("k{key}")).ok(),
        ..Publish::new(room("board:2"), json_data(&format!("\"{value}-{}\"", "x".repeat(400))))
    };
    // More than one part of a snapshot.
    for key in 0..300 {
        soon("the ack", ann.publish(set(key, 0))).await.unwrap();
    }
    bob.join(room("board:2"), JoinOptions::default()).await.unwrap();
    let mut last = None;
    for key in 0..5 {
        last = Some(soon("the ack", ann.publish(set(key, 1))).await.unwrap().position);
    }
    let mut values = StateValues::default();
    let mut parts = 0;
    let all = async {
        loop {
            let event = bob.next().await.expect("the client goes on");
            parts += usize::from(matches!(event, Event::State { .. }));
            values.hear(&event);
            let at = match event {
                Event::State { more: false, position, .. } | Event::Message { position, .. } => {
                    position
                }
                _ => continue,
            };
            if Some(at) == last {
                return;
            }
        }
    };
    soon("all values", all).await;
    assert!(parts > 1, "the snapshot has parts");
    let (entries, position) = soon("the state", ann.all_state(room("board:2"))).await.unwrap();
    assert_eq!((entries.len(), values.all().count()), (300, 300));
    assert_eq!(Some(position), last);
    for entry in &entries {
        assert_eq!(values.of(entry.key.as_ref()).map(|held| &held.data), Some(&entry.data));
    }
}
