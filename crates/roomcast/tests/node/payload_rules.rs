//! What a namespace takes as payload: refusals name the path, come before the bus, and keep the order.

use std::path::Path;

use crate::support::{TestClient, TestNode, seqs};
use roomcast_gateway::Node;
use roomcast_protocol::{ClientFrame, Data, ErrorCode, EventName, Publish, ServerFrame};

const SAID: &str = r#"{"type":"object","required":["text"],"properties":{
    "text":{"type":"string"},"to":{"type":"array","items":{"type":"string"}}},
    "additionalProperties":false}"#;

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("said.json"), SAID).unwrap();
    folder
}

fn schemas(folder: &Path) -> String {
    format!("namespaces.chat.schemas={}", folder.display())
}

fn publication(client: &mut TestClient, event: Option<&str>, json: &str) -> Publish {
    let event = event.map(|event| EventName::parse(event).unwrap());
    Publish { event, ..client.publication("chat:1", json) }
}

/// The path that a refusal names; `None`: it was stored.
async fn refusal(client: &mut TestClient, event: Option<&str>, json: &str) -> Option<String> {
    let publish = publication(client, event, json);
    match client.ask(&ClientFrame::Publish(publish)).await {
        ServerFrame::Ack { .. } => None,
        ServerFrame::Error { code: ErrorCode::BadData, message, .. } => {
            Some(message.split(':').next().unwrap().to_owned())
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_payload_that_does_not_fit_is_named_by_its_path() {
    let folder = folder();
    let settings = [
        &schemas(folder.path()),
        "namespaces.chat.events=said typed",
        "namespaces.chat.max_text=10",
    ];
    let node = TestNode::start(&settings).await;
    for mut client in [node.json().await, node.msgpack().await] {
        for (event, json, path) in [
            (Some("said"), r#"{"text":"hello"}"#, None),
            (Some("typed"), "{}", None),
            (Some("other"), "{}", Some("/event")),
            (None, "{}", Some("/event")),
            (Some("said"), r#"{"text":7}"#, Some("/data/text")),
            (Some("said"), r#"{"text":"a","to":["b",1]}"#, Some("/data/to/1")),
            (Some("said"), r#"{"text":"hello, world"}"#, Some("/data/text")),
            (Some("typed"), r#"{"a":["0123456789!"]}"#, Some("/data/a/0")),
        ] {
            let refused = refusal(&mut client, event, json).await;
            assert_eq!(refused.as_deref(), path, "{event:?} {json}");
        }
        // Another namespace has no rules.
        client.publish("other:1", "7").await;
    }
    let label = "code=\"bad_data\"";
    assert_eq!(node.scrape().await.with("roomcast_errors_total", label), 12.0);
    node.stop().await;
}

/// Large payloads are judged elsewhere: what is sent after one is published after it.
#[tokio::test]
async fn large_payloads_keep_their_place() {
    let folder = folder();
    let node = TestNode::start(&[&schemas(folder.path())]).await;
    let (mut author, mut reader) = (node.json().await, node.json().await);
    reader.join("chat:1").await;
    let long = "a".repeat(40_000);
    let good = format!(r#"{{"text":"{long}"}}"#);
    let bad = format!(r#"{{"text":"{long}","more":1}}"#);
    let mut ids = Vec::new();
    for json in [&good, &bad, r#"{"text":"b"}"#, &good, r#"{"text":"c"}"#] {
        let publish = publication(&mut author, Some("said"), json);
        ids.push(publish.id.unwrap());
        author.send(&ClientFrame::Publish(publish)).await;
    }
    let mut stored = Vec::new();
    for id in ids {
        match author.answer(id).await {
            ServerFrame::Ack { seq, .. } => stored.push(Some(seq)),
            ServerFrame::Error { code: ErrorCode::BadData, .. } => stored.push(None),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(stored, [Some(1), None, Some(2), Some(3), Some(4)]);
    let messages = reader.messages("chat:1", 4).await;
    assert_eq!(seqs(&messages), [1, 2, 3, 4]);
    let sizes: Vec<usize> = messages.iter().map(|message| message.data.len()).collect();
    assert!(sizes[0] > 40_000 && sizes[1] < 20 && sizes[2] > 40_000 && sizes[3] < 20);
    assert_eq!(messages[1].data, Data::json(r#"{"text":"b"}"#).unwrap());
    node.stop().await;
}

#[tokio::test]
async fn rules_that_cannot_be_used_fail_the_start_and_no_reload() {
    let folder = folder();
    let settings = ["node.id=n", &schemas(folder.path())];
    let mut node = TestNode::start(&settings).await;
    let mut client = node.json().await;
    assert_eq!(refusal(&mut client, Some("said"), "{}").await.as_deref(), Some("/data"));
    std::fs::write(folder.path().join("said.json"), "{\"type\":7}").unwrap();
    let changed = [&settings[..], &["limits.rooms_per_connection=1"]].concat();
    node.node.reload(&TestNode::config(&changed)).await;
    assert_eq!(node.node.config().limits.rooms_per_connection, 128, "nothing is taken over");
    assert_eq!(refusal(&mut client, Some("said"), "{}").await.as_deref(), Some("/data"));
    let Err(error) = Node::start(TestNode::config(&settings)).await else { panic!("it starts") };
    let text = error.to_string();
    assert!(text.contains("namespaces.chat") && text.contains("said.json"), "{text}");
    // Corrected files are read again, though no key changed.
    std::fs::write(folder.path().join("said.json"), "true").unwrap();
    node.node.reload(&TestNode::config(&settings)).await;
    crate::support::eventually("the new schema", async || {
        refusal(&mut client, Some("said"), "{}").await.is_none()
    })
    .await;
    node.stop().await;
}
