//! `roomcast publish ROOM [DATA|-]`: publishes one message, or one per line of stdin, and prints
//! what became of each, in order, as one JSON value per line.

use std::future::{Ready, ready};
use std::io::{self, BufRead, ErrorKind, IsTerminal};
use std::process::ExitCode;
use std::thread;

use clap::Args;
use futures_util::StreamExt;
use futures_util::future::{Either, FutureExt, Map};
use futures_util::stream::FuturesOrdered;
use roomcast_client::{
    Ack, Client, ClientClosed, Event, FirstTry, Options, PendingAck, PublishFailure,
};
use roomcast_protocol::{Data, DataError, EventName, Publish, PublishKey, RoomName, StateKey};
use serde::Serialize;
use tokio::sync::mpsc;

use crate::tail::{TargetArgs, note, status};
use crate::terminal::print;

mod ttl;

use ttl::parse_ttl;

/// Lines of stdin read ahead: enough to keep the publishes in flight coming.
const READ_AHEAD_LINES: usize = 64;

/// What `roomcast publish` is asked.
#[derive(Debug, Args)]
pub(crate) struct PublishArgs {
    /// Room to publish in
    #[arg(value_parser = RoomName::parse)]
    room: RoomName,
    /// A JSON value; any other text is sent as a JSON string. "-" or nothing: one message for
    /// each line of stdin
    data: Option<String>,
    #[command(flatten)]
    node: TargetArgs,
    /// The application's word for what kind of message this is
    #[arg(long, value_parser = EventName::parse)]
    event: Option<EventName>,
    /// Idempotency key; with stdin, "-1", "-2" … is added for each line. Random unless given
    #[arg(long, value_parser = PublishKey::parse)]
    key: Option<PublishKey>,
    /// Key of the room's state that it sets, in a room that keeps state
    #[arg(long, value_name = "KEY", value_parser = StateKey::parse)]
    state_key: Option<StateKey>,
    /// How long the value lasts, like 500ms, 5s, 10m or 24h
    #[arg(long, value_name = "TIME", value_parser = parse_ttl)]
    ttl: Option<u64>,
    /// Remove the value of the key; without DATA the message is null
    #[arg(long, conflicts_with = "ttl")]
    remove: bool,
}

/// Publishes everything; fails if anything failed.
pub(crate) async fn run(args: PublishArgs) -> anyhow::Result<ExitCode> {
    // The caller waits for the acks, so the command fails at once if there is no node.
    let options = Options { first_try: FirstTry::Fail, ..args.node.options()? };
    let client = Client::connect(options)?;
    // A value that is removed needs no other one.
    let data = if args.remove { args.data.or(Some("null".into())) } else { args.data };
    let lines = match data.as_deref() {
        None | Some("-") => {
            if io::stdin().is_terminal() {
                note("reading from the terminal: one message for each line, Ctrl-D ends");
            }
            stdin_lines()
        }
        Some(data) => one_line(data.to_owned()),
    };
    let keys = match (&args.key, data.as_deref()) {
        (Some(key), None | Some("-")) => Keys::Numbered(key.as_str().to_owned()),
        (Some(key), Some(_)) => Keys::Given(key.clone()),
        (None, _) => Keys::Numbered(format!("{:032x}", rand::random::<u128>())),
    };
    let mut publish = Publish::new(args.room, Data::Json("null".into()));
    (publish.event, publish.state_key) = (args.event, args.state_key);
    (publish.ttl_ms, publish.remove) = (args.ttl, args.remove);
    let template = Template { publish, keys };
    let published = publish_all(&client, lines, &template).await;
    client.close().await;
    match published {
        Err(error) if is_broken_pipe(&error) => Ok(ExitCode::FAILURE),
        published => published,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

/// Lines of stdin; one that is not UTF-8 is `None`.
type Lines = mpsc::Receiver<io::Result<Option<String>>>;

/// A publish under way.
type Published = Map<PendingAck, fn(Result<Ack, PublishFailure>) -> Outcome>;

/// What became of one line.
type Outcome = Result<Ack, String>;

/// Several publishes are under way at once; their outcomes are printed in the order of the lines.
/// What is wrong with one line keeps no other from being published.
async fn publish_all(
    client: &Client,
    mut lines: Lines,
    template: &Template,
) -> anyhow::Result<ExitCode> {
    let mut outcomes = FuturesOrdered::<Either<Ready<Outcome>, Published>>::new();
    let mut number = 0;
    let mut exit = ExitCode::SUCCESS;
    let mut reading = true;
    while reading || !outcomes.is_empty() {
        tokio::select! {
            biased;
            Some(event) = client.next() => {
                watch(&event);
                // Nothing more can be published: the next line is not waited for.
                if matches!(event, Event::Closed { .. }) {
                    reading = false;
                    exit = ExitCode::FAILURE;
                }
            }
            Some(outcome) = outcomes.next() => {
                if outcome.is_err() {
                    exit = ExitCode::FAILURE;
                }
                print(&mut io::stdout(), &Line::new(&template.publish.room, &outcome))?;
            }
            line = lines.recv(), if reading => match line {
                Some(Ok(line)) => {
                    number += 1;
                    let publish = match template.publish(line.as_deref(), number) {
                        Ok(publish) => publish,
                        Err(why) => {
                            outcomes.push_back(Either::Left(failed(why)));
                            continue;
                        }
                    };
                    match client.start_publish(publish).await {
                        Ok(ack) => outcomes.push_back(Either::Right(ack.map(outcome_of as fn(_) -> _))),
                        // The events have said why.
                        Err(ClientClosed) => {
                            reading = false;
                            exit = ExitCode::FAILURE;
                        }
                    }
                }
                Some(Err(error)) => {
                    outcomes.push_back(Either::Left(failed(format!("cannot read stdin: {error}"))));
                    reading = false;
                }
                None => reading = false,
            },
        }
    }
    Ok(exit)
}

fn failed(why: String) -> Ready<Outcome> {
    ready(Err(why))
}

fn outcome_of(outcome: Result<Ack, PublishFailure>) -> Outcome {
    outcome.map_err(|failure| failure.to_string())
}

/// People need not hear of a connection that simply works.
fn watch(event: &Event) {
    if !matches!(event, Event::Connected { .. }) {
        note(&status(event));
    }
}

/// What all messages of one call have in common.
struct Template {
    publish: Publish,
    keys: Keys,
}

/// Where each message's key comes from. All have one, so that all may be sent again.
enum Keys {
    Given(PublishKey),
    Numbered(String),
}

impl Template {
    fn publish(&self, line: Option<&str>, number: u64) -> Result<Publish, String> {
        let line = line.ok_or_else(|| format!("line {number} is not UTF-8"))?;
        let key = match &self.keys {
            Keys::Given(key) => key.clone(),
            Keys::Numbered(prefix) => PublishKey::parse(&format!("{prefix}-{number}"))
                .map_err(|error| format!("line {number}: {error}"))?,
        };
        let data = to_data(line).map_err(|error| format!("line {number}: {error}"))?;
        Ok(Publish { data, key: Some(key), ..self.publish.clone() })
    }
}

/// JSON as it is, anything else as a JSON string.
fn to_data(text: &str) -> Result<Data, DataError> {
    match Data::json(text.to_owned()) {
        Err(DataError::NotJson) => Data::json(serde_json::Value::from(text).to_string()),
        data => data,
    }
}

/// Reads stdin on a thread of its own: reading blocks, and nothing waits for it at the end.
fn stdin_lines() -> Lines {
    let (sender, lines) = mpsc::channel(READ_AHEAD_LINES);
    thread::spawn(move || {
        for line in io::stdin().lock().split(b'\n') {
            if sender.blocking_send(line.map(text_of)).is_err() {
                return;
            }
        }
    });
    lines
}

/// A line without its end, if it is UTF-8.
fn text_of(mut line: Vec<u8>) -> Option<String> {
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    String::from_utf8(line).ok()
}

fn one_line(data: String) -> Lines {
    let (sender, lines) = mpsc::channel(1);
    sender.try_send(Ok(Some(data))).expect("an empty channel has a place");
    lines
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line<'a> {
    Ack { room: &'a str, epoch: String, seq: u64, time: u64 },
    Failed { room: &'a str, error: &'a str },
}

impl<'a> Line<'a> {
    fn new(room: &'a RoomName, outcome: &'a Outcome) -> Self {
        let room = room.as_str();
        match outcome {
            Ok(Ack { position, time }) => {
                let epoch = position.epoch.to_string();
                Self::Ack { room, epoch, seq: position.seq, time: *time }
            }
            Err(error) => Self::Failed { room, error },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let Ok(Data::Json(json)) = to_data(text) else { panic!("{text} gave no JSON") };
        assert_eq!(json, expected.as_bytes());
    }

    #[test]
    fn json_is_sent_as_it_is_and_text_as_a_string() {
        check(r#" {"a": 1.50} "#, r#"{"a": 1.50}"#);
        check("12345678901234567890", "12345678901234567890");
        check("\"quoted\"", "\"quoted\"");
        check("hello world", "\"hello world\"");
        check("say \"hi\"", r#""say \"hi\"""#);
        check("", "\"\"");
    }

    #[test]
    fn every_line_has_a_key_of_its_own() {
        let publish = Publish::new(RoomName::parse("a").unwrap(), Data::Json("1".into()));
        let template = |keys| Template { publish: publish.clone(), keys };
        let key = |template: &Template, number| {
            template.publish(Some("x"), number).unwrap().key.unwrap().to_string()
        };
        let numbered = template(Keys::Numbered("k".into()));
        assert_eq!([1, 2].map(|number| key(&numbered, number)), ["k-1", "k-2"]);
        let given = template(Keys::Given(PublishKey::parse("k").unwrap()));
        assert_eq!(key(&given, 1), "k");
    }
}
