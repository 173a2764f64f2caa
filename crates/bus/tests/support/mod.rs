//! What the bus's tests share: publications, and a listener that waits for what it should hear.

#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

pub(crate) mod presence;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use roomcast_bus::{
    Bus, FeedEvent, Feeds, HistoryRange, HistoryRequest, KeyNames, Publication, ReceiptNews,
    RedisOptions, Retention, RoomEvent, room_names,
};
use roomcast_metrics::Metrics;
use roomcast_protocol::{Data, Lineage, Message, PublishKey, RoomName, Seq, UserName};
use roomcast_testkit::RedisServer;
use tokio::time::{Instant, timeout_at};

/// What should happen happens within this, however busy the machine is.
pub(crate) const SOON: Duration = Duration::from_secs(15);

pub(crate) const RETENTION: Retention = Retention {
    history_size: 1000,
    history_age: Duration::from_secs(600),
    repair_window: 1000,
    replicas: 0,
    keys_per_user: 10_000,
    keys_per_room: 250_000,
};

pub(crate) fn room(name: &str) -> RoomName {
    RoomName::parse(name).unwrap()
}

/// A room's keys in database 0 under the usual prefix.
pub(crate) fn keys_of(name: &str) -> KeyNames {
    room_names("roomcast", 0, &room(name)).keys
}

/// The keys of rooms that a server holds: all but those of the whole deployment.
pub(crate) fn room_keys(server: &RedisServer) -> Vec<String> {
    let keys: Vec<String> = server.ask(&["KEYS", "*"]).unwrap();
    let is_shared =
        |key: &String| ["}:leases", ":layout", ":version"].iter().any(|end| key.ends_with(end));
    keys.into_iter().filter(|key| !is_shared(key)).collect()
}

/// How often each command was called, scripts included.
pub(crate) fn calls(server: &RedisServer) -> BTreeMap<String, u64> {
    let stats: String = server.ask(&["INFO", "commandstats"]).unwrap();
    let line = |line: &str| {
        let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        Some((name.to_owned(), rest.split(',').next()?.parse().ok()?))
    };
    stats.lines().filter_map(line).collect()
}

pub(crate) fn json(text: &str) -> Publication {
    Publication {
        user: None,
        client: None,
        api_key: None,
        connection: None,
        event: None,
        key: None,
        if_seq: None,
        state: None,
        echo: true,
        traceparent: None,
        data: Data::Json(text.to_owned().into()),
        retention: RETENTION,
        info: None,
        keys_age: std::time::Duration::ZERO,
        room_rate: 0,
    }
}

pub(crate) fn keyed(text: &str, user: Option<&str>, key: &str) -> Publication {
    Publication {
        user: user.map(|user| UserName::parse(user).unwrap()),
        key: Some(PublishKey::parse(key).unwrap()),
        ..json(text)
    }
}

pub(crate) fn request(range: HistoryRange) -> HistoryRequest {
    HistoryRequest { range, limit: 1000, max_bytes: 16 << 20, retention: RETENTION }
}

pub(crate) fn texts(messages: &[Arc<Message>]) -> Vec<String> {
    let text = |message: &Arc<Message>| match &message.data {
        Data::Json(bytes) | Data::MsgPack(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    };
    messages.iter().map(text).collect()
}

pub(crate) async fn redis_bus(options: RedisOptions) -> (Bus, Listener) {
    let (bus, feeds) = Bus::redis(options, Metrics::new().bus).await.unwrap();
    (bus, Listener::new(feeds))
}

/// Waits until a condition holds that only time and other tasks can bring.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !holds().await {
        assert!(Instant::now() < deadline, "in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What one room's readers were told, checked as it comes.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) opened: Option<(Lineage, Seq)>,
    /// The current lineage and the last seq told.
    pub(crate) lineage: Option<Lineage>,
    pub(crate) at: Seq,
    pub(crate) messages: Vec<Arc<Message>>,
    pub(crate) gaps: Vec<(Seq, Seq)>,
    /// (last, lost) of each.
    pub(crate) resets: Vec<(Seq, u64)>,
    /// Moves of users' positions.
    pub(crate) receipts: Vec<ReceiptNews>,
    /// Events, however many messages each had.
    pub(crate) events: usize,
}

impl Heard {
    fn hear(&mut self, event: FeedEvent) {
        self.events += 1;
        match event {
            FeedEvent::Opened { lineage, last } => {
                *self = Self { events: self.events, ..Self::default() };
                self.at = last;
                self.lineage = Some(lineage.clone());
                self.opened = Some((lineage, last));
            }
            FeedEvent::Messages(messages) => {
                for message in messages {
                    assert_eq!(message.seq, self.at + 1, "the next message");
                    self.at += 1;
                    self.messages.push(message);
                }
            }
            FeedEvent::Gap { from, to } => {
                assert_eq!(from, self.at + 1);
                self.at = to;
                self.gaps.push((from, to));
            }
            FeedEvent::Reset { lineage, last, lost } => {
                assert_eq!(last + lost, self.at);
                self.at = last;
                self.lineage = Some(lineage);
                self.resets.push((last, lost));
            }
            FeedEvent::Receipts(news) => self.receipts.extend(news.iter().cloned()),
            FeedEvent::Presence(_) | FeedEvent::Ephemeral(_) => {}
        }
    }

    pub(crate) fn seqs(&self) -> Vec<Seq> {
        self.messages.iter().map(|message| message.seq).collect()
    }
}

/// Feeds and what they told.
pub(crate) struct Listener {
    pub(crate) feeds: Feeds,
    rooms: HashMap<RoomName, Heard>,
}

impl Listener {
    pub(crate) fn new(feeds: Feeds) -> Self {
        Self { feeds, rooms: HashMap::new() }
    }

    /// Opens a room and waits until it is open.
    pub(crate) async fn open(&mut self, room: &RoomName) -> (Lineage, Seq) {
        self.rooms.remove(room);
        self.feeds.open(room.clone());
        self.until(room, |heard| heard.opened.is_some()).await.opened.clone().unwrap()
    }

    /// What a room was told, once it is enough.
    pub(crate) async fn until(
        &mut self,
        room: &RoomName,
        enough: impl Fn(&Heard) -> bool,
    ) -> &Heard {
        let deadline = Instant::now() + SOON;
        while !self.rooms.get(room).is_some_and(&enough) {
            let Ok(events) = timeout_at(deadline, self.feeds.next()).await else {
                panic!("in time in {room}; heard {:?}", self.rooms.get(room));
            };
            self.hear(events);
        }
        &self.rooms[room]
    }

    /// Waits for what the feeds tell next. Cancel-safe.
    pub(crate) async fn pump(&mut self) {
        let events = self.feeds.next().await;
        self.hear(events);
    }

    /// Takes what the feeds told.
    pub(crate) fn hear(&mut self, events: Vec<RoomEvent>) {
        assert!(!events.is_empty());
        for event in events {
            self.rooms.entry(event.room).or_default().hear(event.event);
        }
    }

    /// What a room was told up to a seq.
    pub(crate) async fn up_to(&mut self, room: &RoomName, seq: Seq) -> &Heard {
        self.until(room, |heard| heard.at >= seq).await
    }

    /// What a room was told so far.
    pub(crate) fn heard(&self, room: &RoomName) -> Option<&Heard> {
        self.rooms.get(room)
    }
}
