//! Signals over Redis while a primary is slow or away: it stops only those of its own rooms.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use roomcast_bus::{
    Bus, Ephemeral, EphemeralFate, FeedEvent, Feeds, RedisOptions, Signal, room_names,
};
use roomcast_metrics::Metrics;
use roomcast_protocol::{EventName, RoomName};
use roomcast_testkit::RedisServer;
use support::*;
use tokio::time::timeout;

fn signal(event: &str) -> Ephemeral {
    let event = EventName::parse(event).unwrap();
    Ephemeral::Signal(Signal { user: None, connection: None, event, data: None })
}

/// Waits until a room's feed delivers this signal.
async fn heard(feeds: &mut Feeds, room: &RoomName, wanted: &Ephemeral) {
    let hear = async {
        loop {
            let events = feeds.next().await;
            let is_it = |event: &roomcast_bus::RoomEvent| {
                event.room == *room && event.event == FeedEvent::Ephemeral(wanted.clone())
            };
            if events.iter().any(is_it) {
                return;
            }
        }
    };
    timeout(SOON, hear).await.unwrap();
}

/// Opens rooms until each server has one; these.
async fn room_of_each(feeds: &mut Feeds, servers: &[RedisServer; 2]) -> [RoomName; 2] {
    let rooms: Vec<_> = (0..20).map(|number| room(&format!("r{number}"))).collect();
    rooms.iter().for_each(|room| feeds.open(room.clone()));
    let mut open = 0;
    while open < rooms.len() {
        let events = timeout(SOON, feeds.next()).await.unwrap();
        let is_open =
            |event: &&roomcast_bus::RoomEvent| matches!(event.event, FeedEvent::Opened { .. });
        open += events.iter().filter(is_open).count();
    }
    servers.each_ref().map(|server| {
        let channels: Vec<String> = server.ask(&["PUBSUB", "CHANNELS"]).unwrap();
        let is_here =
            |room: &&RoomName| channels.contains(&room_names("roomcast", 0, room).channel);
        rooms.iter().find(is_here).unwrap().clone()
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_primary_stops_no_signals_of_another() {
    let servers = [RedisServer::start(), RedisServer::start()];
    let urls = servers.each_ref().map(RedisServer::url).join(" ");
    let metrics = Metrics::new();
    let options = RedisOptions { version: 7, ..RedisOptions::new(urls) };
    let (bus, mut feeds) = Bus::redis(options, metrics.bus.clone()).await.unwrap();
    let [slow, other] = room_of_each(&mut feeds, &servers).await;
    servers[0].pause();
    // More than may wait for it.
    for number in 0..20_000 {
        bus.send_ephemeral(&slow, signal("flood"));
        if number % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    eventually("the line of the slow one is full", async || {
        bus.send_ephemeral(&slow, signal("flood"));
        metrics.bus.ephemeral_dropped.get() > 0
    })
    .await;
    // What is still on its way to the lines may fill the queue before them for a moment.
    eventually("the other's are taken", async || {
        bus.send_ephemeral(&other, signal("fast")) == EphemeralFate::Taken
    })
    .await;
    heard(&mut feeds, &other, &signal("fast")).await;
    servers[0].resume();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signals_are_refused_where_the_primary_is_away() {
    let mut server = RedisServer::start();
    let (bus, mut feeds) =
        Bus::redis(RedisOptions::new(server.url()), Metrics::new().bus).await.unwrap();
    let room = room("a");
    feeds.open(room.clone());
    eventually("a signal is taken", async || {
        bus.send_ephemeral(&room, signal("one")) == EphemeralFate::Taken
    })
    .await;
    server.kill();
    eventually("signals are refused", async || {
        bus.send_ephemeral(&room, signal("two")) == EphemeralFate::Dropped
    })
    .await;
}
