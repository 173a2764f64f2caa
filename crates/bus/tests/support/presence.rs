//! What the tests of presence share: nodes whose feeds are read all the time, and what they heard.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use roomcast_bus::{
    Bus, Departure, FeedEvent, Feeds, PresenceChange, PresenceCounts, PresenceMember, PresenceMode,
    PresenceNews, PresencePolicy, PresenceStatus, RedisOptions,
};
use roomcast_metrics::Metrics;
use roomcast_protocol::{ConnectionId, RoomName, UserName};
use tokio::sync::{mpsc, oneshot};

use super::{SOON, eventually};

pub(crate) const POLICY: PresencePolicy = PresencePolicy {
    mode: PresenceMode::Events,
    grace: Duration::from_millis(300),
    events_max: 1000,
};

pub(crate) fn member(id: u64, user: &str) -> PresenceMember {
    let user = (!user.is_empty()).then(|| UserName::parse(user).unwrap());
    let status = PresenceStatus::Active;
    PresenceMember { connection: ConnectionId(id), user, info: None, status }
}

/// What one room's readers heard of presence.
#[derive(Debug, Default, Clone)]
pub(crate) struct PresenceHeard {
    is_open: bool,
    /// `+user`, `-user`, `user active`, `user away`, `#` for numbers and `!` for a reset.
    pub(crate) words: Vec<String>,
    /// The numbers that came last.
    pub(crate) counts: PresenceCounts,
}

impl PresenceHeard {
    fn hear(&mut self, news: PresenceNews) {
        match news {
            PresenceNews::Counts(counts) => {
                self.words.push("#".into());
                self.counts = counts;
            }
            PresenceNews::Reset(counts) => {
                self.words.push("!".into());
                self.counts = counts;
            }
            PresenceNews::Steps(steps) => {
                for step in steps {
                    assert!(
                        step.counts.rev >= self.counts.rev
                            || step.counts.rev_epoch.0 != self.counts.rev_epoch.0
                    );
                    self.counts = step.counts;
                    let word = match step.change {
                        None => continue,
                        Some(PresenceChange::Joined { user, .. }) => format!("+{user}"),
                        Some(PresenceChange::Left { user, .. }) => format!("-{user}"),
                        Some(PresenceChange::Shown { user, connection, status, .. }) => {
                            let name = user.map(|user| user.to_string());
                            let name = name.or(connection.map(|id| id.to_string())).unwrap();
                            format!("{name} {}", format!("{status:?}").to_lowercase())
                        }
                    };
                    self.words.push(word);
                }
            }
        }
    }

    /// How often a word was heard.
    pub(crate) fn times(&self, word: &str) -> usize {
        self.words.iter().filter(|heard| *heard == word).count()
    }
}

type Heard = Arc<Mutex<HashMap<RoomName, PresenceHeard>>>;

/// A node's bus, whose feeds are read.
#[derive(Clone)]
pub(crate) struct PresenceNode {
    pub(crate) bus: Bus,
    pub(crate) metrics: Metrics,
    heard: Heard,
    opens: mpsc::UnboundedSender<(RoomName, bool)>,
}

impl PresenceNode {
    pub(crate) async fn redis(options: RedisOptions) -> Self {
        let metrics = Metrics::new();
        let (bus, feeds) = Bus::redis(options, metrics.bus.clone()).await.unwrap();
        Self::new(bus, feeds, metrics)
    }

    pub(crate) fn new(bus: Bus, mut feeds: Feeds, metrics: Metrics) -> Self {
        let heard = Heard::default();
        let (opens, mut wishes) = mpsc::unbounded_channel();
        let ears = heard.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    wish = wishes.recv() => match wish {
                        Some((room, true)) => feeds.open(room),
                        Some((room, false)) => feeds.close(&room),
                        None => return,
                    },
                    events = feeds.next() => {
                        let mut ears = ears.lock().unwrap();
                        for event in events {
                            let heard = ears.entry(event.room).or_default();
                            match event.event {
                                FeedEvent::Opened { .. } => heard.is_open = true,
                                FeedEvent::Presence(news) => heard.hear(news),
                                _ => {}
                            }
                        }
                    }
                }
            }
        });
        Self { bus, metrics, heard, opens }
    }

    pub(crate) fn listen(&self, room: &RoomName) {
        self.opens.send((room.clone(), true)).unwrap();
    }

    /// Opens a room and waits until it is open.
    pub(crate) async fn open(&self, room: &RoomName) {
        self.listen(room);
        eventually("the room is open", async || self.heard(room).is_open).await;
    }

    pub(crate) fn heard(&self, room: &RoomName) -> PresenceHeard {
        self.heard.lock().unwrap().get(room).cloned().unwrap_or_default()
    }

    /// Waits until enough was heard.
    pub(crate) async fn until(&self, room: &RoomName, enough: impl Fn(&PresenceHeard) -> bool) {
        let deadline = tokio::time::Instant::now() + SOON;
        while !enough(&self.heard(room)) {
            assert!(tokio::time::Instant::now() < deadline, "in time: {:?}", self.heard(room));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Enters and waits for the numbers.
    pub(crate) async fn enter(&self, room: &RoomName, member: PresenceMember) -> PresenceCounts {
        self.enter_by(room, member, POLICY).await.await.unwrap().expect("no exit came first")
    }

    /// Enters; the numbers come later.
    pub(crate) async fn enter_by(
        &self,
        room: &RoomName,
        member: PresenceMember,
        policy: PresencePolicy,
    ) -> oneshot::Receiver<Option<PresenceCounts>> {
        let (sender, counts) = oneshot::channel();
        let reply = Box::new(move |counts| {
            let _ = sender.send(counts);
        });
        self.bus.presence_enter(room, member, policy, reply);
        counts
    }

    pub(crate) async fn show(
        &self,
        room: &RoomName,
        member: PresenceMember,
    ) -> Option<PresenceCounts> {
        let (sender, counts) = oneshot::channel();
        let reply = Box::new(move |counts| {
            let _ = sender.send(counts);
        });
        self.bus.presence_show(room, member, reply);
        counts.await.unwrap()
    }

    pub(crate) fn ended(&self, room: &RoomName, id: u64) {
        self.bus.presence_exit(room, ConnectionId(id), Departure::Ended);
    }

    pub(crate) fn left(&self, room: &RoomName, id: u64) {
        self.bus.presence_exit(room, ConnectionId(id), Departure::Left);
    }

    /// The list in short: `user:connection`, `user` alone for a grace.
    pub(crate) async fn list(&self, room: &RoomName) -> Vec<String> {
        let Ok(list) = self.bus.presence_list(room, None).await else { return vec!["away".into()] };
        let entry = |entry: roomcast_bus::PresenceEntry| {
            let user = entry.user.map(|user| user.to_string()).unwrap_or_default();
            match entry.connection {
                Some(connection) => format!("{user}:{:x}", connection.0),
                None => user,
            }
        };
        list.entries.iter().cloned().map(entry).collect()
    }

    /// Waits until the list is this one: it may be a second old.
    pub(crate) async fn lists(&self, room: &RoomName, expected: &[String]) {
        let deadline = tokio::time::Instant::now() + SOON;
        loop {
            let list = self.list(room).await;
            if list == expected {
                return;
            }
            let late = tokio::time::Instant::now() > deadline;
            assert!(!late, "in time: {expected:?}; it is {list:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
