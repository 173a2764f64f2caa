//! A publisher that uses the Rust client, which sends again by itself what has a key; what it gives
//! up after its own time is published again here, until it is acknowledged.

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use roomcast_client::{Ack, Client, Event, PublishFailure};
use roomcast_protocol::{Encoding as Wire, ErrorCode, Publish, PublishKey, RoomName, UserName};
use tokio::sync::{Semaphore, watch};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::client::{Line, Told};
use super::journal::Content;
use super::turned_away::is_turned_away;
use crate::dialect::WireEncoding;

/// Messages without ack, at most.
const WINDOW: u32 = 64;
/// Before a message that the client gave up is published again.
const PAUSE: Duration = Duration::from_millis(100);
/// After which the client gives a message up: short enough for that to happen.
const GIVES_UP: Duration = Duration::from_secs(4);

/// One such publisher.
pub(super) struct Author {
    pub(super) line: Line,
    pub(super) user: UserName,
    pub(super) name: RoomName,
    pub(super) room: usize,
    pub(super) number: u32,
    pub(super) payload: usize,
    /// Between two messages.
    pub(super) pace: Duration,
}

impl Author {
    /// Publishes until told to stop, and ends when everything is acknowledged.
    pub(super) async fn run(self, stop: watch::Receiver<bool>, told: Sender<Told>) {
        let mut options = self.line.options();
        options.user = Some(self.user.clone());
        options.request_timeout = GIVES_UP;
        let client = match Client::connect(options) {
            Ok(client) => client,
            Err(error) => return self.wrong(&told, &error.to_string()),
        };
        let events = client.clone();
        let author = Arc::new(self);
        let (judge, judged) = (Arc::clone(&author), told.clone());
        let reader = tokio::spawn(async move {
            while let Some(event) = events.next().await {
                judge.hear(&event, &judged);
            }
        });
        let places = Arc::new(Semaphore::new(WINDOW as usize));
        let mut pace = interval(author.pace);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut next = 0;
        while !*stop.borrow() {
            pace.tick().await;
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let content = Content { publisher: author.number, number: next };
            next += 1;
            // Nobody listens any more when the run is over.
            let _ = told.send(Told::Begun { publisher: author.number, next });
            let (author, client, told) = (Arc::clone(&author), client.clone(), told.clone());
            tokio::spawn(async move {
                author.insist(&client, content, &told).await;
                drop(place);
            });
        }
        let _all = places.acquire_many(WINDOW).await;
        let _ = told.send(Told::Finished { publisher: author.number });
        client.close().await;
        reader.abort();
    }

    async fn insist(&self, client: &Client, content: Content, told: &Sender<Told>) {
        loop {
            match client.publish(self.publication(content)).await {
                Ok(Ack { position, .. }) => {
                    let _ = told.send(Told::Acked { room: self.room, content, at: position });
                    return;
                }
                Err(PublishFailure::Unknown | PublishFailure::NotSent) => {}
                Err(PublishFailure::Refused { code, .. }) if may_pass(code) => {}
                Err(error) => return self.wrong(told, &error.to_string()),
            }
            let _ = told.send(Told::Again);
            sleep(PAUSE).await;
        }
    }

    fn publication(&self, content: Content) -> Publish {
        let encoding = match self.line.encoding {
            Wire::Json => WireEncoding::Json,
            Wire::MsgPack => WireEncoding::Msgpack,
        };
        let key = format!("{}", content.number);
        Publish {
            key: Some(PublishKey::parse(&key).expect("digits are a key")),
            ..Publish::new(self.name.clone(), encoding.payload(&content.text(), self.payload))
        }
    }

    fn hear(&self, event: &Event, told: &Sender<Told>) {
        let (Event::Disconnected { reason, .. } | Event::Closed { reason, .. }) = event else {
            return;
        };
        if is_turned_away(reason) {
            let (room, who) = (self.room, format!("Rust publisher {}", self.number));
            let _ = told.send(Told::TurnedAway { room, who, what: reason.to_string() });
        }
    }

    fn wrong(&self, told: &Sender<Told>, what: &str) {
        let who = format!("Rust publisher {}", self.number);
        let _ = told.send(Told::Wrong { room: self.room, who, what: what.to_owned() });
    }
}

fn may_pass(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::Overloaded | ErrorCode::BusUnavailable | ErrorCode::PublishUnknown)
}
