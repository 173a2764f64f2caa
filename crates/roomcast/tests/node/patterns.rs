//! Runs the examples of `docs/patterns.md`: each on a node of its own, with the settings above it.

use std::collections::BTreeMap;

use roomcast_protocol::Encoding;
use serde_json::Value;

use crate::support::{Backend, TestClient, TestNode};

const PAGE: &str = include_str!("../../../../docs/patterns.md");

/// One example and the settings that it needs.
#[derive(Debug, Default)]
struct PageExample {
    chapter: String,
    settings: Vec<String>,
    lines: Vec<String>,
}

/// The examples of the page, in its order.
fn examples() -> Vec<PageExample> {
    let (mut all, mut chapter, mut fence) = (Vec::new(), String::new(), None);
    let mut next = PageExample::default();
    for line in PAGE.lines() {
        match (fence, line.strip_prefix("```")) {
            (None, Some(kind)) => fence = Some(kind),
            (Some("text example"), Some(_)) => {
                fence = None;
                next.chapter.clone_from(&chapter);
                all.push(std::mem::take(&mut next));
            }
            (Some("toml"), Some(_)) => {
                fence = None;
                next.settings = settings(&std::mem::take(&mut next.lines).join("\n"));
            }
            (Some(_), Some(_)) => fence = None,
            (Some(_), None) => next.lines.push(line.to_owned()),
            (None, None) => {
                if let Some(title) = line.strip_prefix("## ") {
                    title.clone_into(&mut chapter);
                }
            }
        }
    }
    all
}

/// `[table]` and `key = value` as the node's settings.
fn settings(toml: &str) -> Vec<String> {
    let mut table = String::new();
    let mut settings = Vec::new();
    for line in toml.lines() {
        if let Some(name) = line.strip_prefix('[') {
            table = format!("{}.", name.trim_end_matches(']'));
        } else if let Some((key, value)) = line.split_once(" = ") {
            settings.push(format!("{table}{key}={}", value.trim_matches('"')));
        }
    }
    settings
}

/// Who is in an example, and what was heard.
struct Stage {
    node: TestNode,
    app: Backend,
    /// By name, each with the frames that no line has asked for yet.
    clients: BTreeMap<String, (TestClient, Vec<Value>)>,
    answer: Option<(u16, Value)>,
    epoch: String,
}

impl Stage {
    async fn perform(&mut self, line: &str) {
        let (name, rest) = line.split_once(' ').expect("a name and what it does");
        let (way, what) = rest.split_at(1);
        let what = what.trim().replace("EPOCH", &self.epoch);
        match (name, way) {
            ("app", ">") => self.request(&what).await,
            ("app", "<") => self.check_answer(&what),
            (name, "x") => drop(self.clients.remove(name)),
            (name, ">") => {
                self.client(name).await.0.send_bytes(what.into_bytes()).await;
            }
            (name, "<") => self.hear(name, &serde_json::from_str(&what).expect("JSON")).await,
            _ => panic!("not understood: {line}"),
        }
    }

    async fn client(&mut self, name: &str) -> &mut (TestClient, Vec<Value>) {
        if !self.clients.contains_key(name) {
            let client = self.node.user(Encoding::Json, name).await;
            self.clients.insert(name.to_owned(), (client, Vec::new()));
        }
        self.clients.get_mut(name).unwrap()
    }

    /// Waits for a frame with these fields.
    async fn hear(&mut self, name: &str, expected: &Value) {
        let (client, kept) = self.client(name).await;
        let frame = loop {
            if let Some(at) = kept.iter().position(|frame| holds(frame, expected)) {
                break kept.remove(at);
            }
            let mut json = Vec::new();
            client.frame().await.encode(Encoding::Json, &mut json);
            kept.push(serde_json::from_slice(&json).unwrap());
        };
        if let Some(epoch) = frame["epoch"].as_str() {
            epoch.clone_into(&mut self.epoch);
        }
    }

    async fn request(&mut self, what: &str) {
        let (method, rest) = what.split_once(' ').unwrap();
        let (path, body) = rest.split_once(' ').unwrap_or((rest, ""));
        let address = self.node.address();
        let sent = self.app.send(address, (method, path), "", body).await;
        self.answer = Some(crate::support::read(&sent));
    }

    fn check_answer(&mut self, what: &str) {
        let (status, body) = self.answer.take().expect("a request before its answer");
        let (expected, fields) = what.split_once(' ').unwrap_or((what, "null"));
        assert_eq!(status.to_string(), expected, "{body}");
        let fields: Value = serde_json::from_str(fields).unwrap();
        assert!(fields.is_null() || holds(&body, &fields), "{body} lacks {fields}");
        if let Some(epoch) = body["epoch"].as_str() {
            epoch.clone_into(&mut self.epoch);
        }
    }
}

/// Whether a value has all that is expected; lists have nothing else.
fn holds(value: &Value, expected: &Value) -> bool {
    match (value, expected) {
        (Value::Object(value), Value::Object(expected)) => expected
            .iter()
            .all(|(key, expected)| value.get(key).is_some_and(|value| holds(value, expected))),
        (Value::Array(value), Value::Array(expected)) => {
            value.len() == expected.len()
                && value.iter().zip(expected).all(|(value, expected)| holds(value, expected))
        }
        _ => value == expected,
    }
}

#[tokio::test]
async fn every_example_of_the_patterns_runs() {
    let examples = examples();
    assert!(examples.len() > 10, "the page's examples were not found");
    for example in examples {
        let app = Backend::new("app");
        let key = app.settings("publish read admin");
        let settings: Vec<&str> = key.iter().chain(&example.settings).map(String::as_str).collect();
        let node = TestNode::start(&settings).await;
        let (clients, answer, epoch) = (BTreeMap::new(), None, String::new());
        let mut stage = Stage { node, app, clients, answer, epoch };
        for line in &example.lines {
            // A test that fails says where it was.
            println!("{}: {line}", example.chapter);
            stage.perform(line).await;
        }
        stage.clients.clear();
        stage.node.stop().await;
    }
}
