//! Keys over Redis: none is forgotten in its window however many others are used, and how many may
//! be used is bounded by refusing new ones.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use futures_util::future::join_all;
use roomcast_bus::{Bus, KEY_WINDOW, Publication, PublishError, RedisOptions, Retention};
use roomcast_protocol::RoomName;
use roomcast_testkit::RedisServer;
use support::*;

async fn node(server: &RedisServer) -> (Bus, Listener) {
    redis_bus(RedisOptions::new(server.url())).await
}

fn integer(value: &redis::Value) -> i64 {
    match value {
        redis::Value::Int(number) => *number,
        other => panic!("{other:?}"),
    }
}

fn bounded(user: &str, number: u32, keys_per_user: u32, keys_per_room: u32) -> Publication {
    let retention = Retention { keys_per_user, keys_per_room, ..RETENTION };
    Publication { retention, ..keyed("1", Some(user), &format!("k{number}")) }
}

/// Publishes with so many keys, many at the same time; how many were stored.
async fn use_keys(bus: &Bus, room: &RoomName, user: &str, keys: std::ops::Range<u32>) -> u32 {
    let mut stored = 0;
    let numbers: Vec<u32> = keys.collect();
    for numbers in numbers.chunks(500) {
        let publishing =
            numbers.iter().map(|&n| bus.publish(room.clone(), bounded(user, n, 7_000, 9_000)));
        for outcome in join_all(publishing).await {
            match outcome {
                Ok(_) => stored += 1,
                Err(error) => assert_eq!(error, PublishError::TooManyKeys),
            }
        }
    }
    stored
}

#[tokio::test]
async fn no_key_is_forgotten_however_many_are_used_and_the_bounds_hold() {
    let server = RedisServer::start();
    let (bus, _listener) = node(&server).await;
    let room = room("a");
    let first = bus.publish(room.clone(), bounded("victim", 0, 7_000, 9_000)).await.unwrap();
    assert_eq!(use_keys(&bus, &room, "busy", 0..8_000).await, 7_000, "one user's bound");
    assert_eq!(use_keys(&bus, &room, "other", 0..3_000).await, 1_999, "the room's bound");
    let again = bus.publish(room.clone(), bounded("victim", 0, 7_000, 9_000)).await;
    assert_eq!(again, Ok(first), "a retry is known");
    let oldest = bus.publish(room.clone(), bounded("busy", 0, 7_000, 9_000)).await.unwrap();
    assert!(oldest.position.seq < 1_000, "the oldest of many, too");
    let refused = bus.publish(room.clone(), bounded("victim", 1, 7_000, 9_000)).await;
    assert_eq!(refused, Err(PublishError::TooManyKeys));
    assert_eq!(bus.standing(&room).await.unwrap().1, 9_000, "what was refused is not stored");
    let fields = integer(&server.command(&["HLEN", &keys_of("a").results[0]]))
        + integer(&server.command(&["HLEN", &keys_of("a").results[1]]));
    assert_eq!(fields, 9_000 + 4, "a field for each key, each owner, and the room");
}

/// Makes everything that the room knows of its keys older, as if time had passed.
fn age(server: &RedisServer, by: Duration) {
    let script = "\
        local by, step = tonumber(ARGV[1]), tonumber(ARGV[2])
        local turned = redis.call('HGET', KEYS[1], 'turned')
        redis.call('HSET', KEYS[1], 'turned', string.format('%d', turned - by))
        for at = 2, 3 do
          local all = redis.call('HGETALL', KEYS[at])
          for i = 1, #all, 2 do
            local value
            if string.sub(all[i], 1, 1) == '#' then
              value = string.gsub(all[i + 1], '(%d+):', function(at)
                return string.format('%d:', at - by / step)
              end)
            else
              value = string.gsub(all[i + 1], ' (%d+) ', function(at)
                return string.format(' %d ', at - by)
              end)
            end
            redis.call('HSET', KEYS[at], all[i], value)
          end
        end
        return #redis.call('HKEYS', KEYS[2]) + #redis.call('HKEYS', KEYS[3])";
    let (by, step) = (by.as_millis().to_string(), (KEY_WINDOW / 8).as_millis().to_string());
    let names = keys_of("a");
    let keys = [&names.meta, &names.results[0], &names.results[1]].map(String::as_str);
    let command: Vec<&str> =
        ["EVAL", script, "3"].into_iter().chain(keys).chain([&by[..], &step]).collect();
    assert!(integer(&server.command(&command)) > 0);
}

#[tokio::test]
async fn keys_are_known_and_counted_for_their_window() {
    let server = RedisServer::start();
    let (bus, _listener) = node(&server).await;
    let room = room("a");
    let step = KEY_WINDOW / 8;
    // Keys are counted in steps of Redis's clock: none shall end while the test runs.
    eventually("early in a step", async || {
        let redis::Value::Array(time) = server.command(&["TIME"]) else { panic!() };
        let redis::Value::BulkString(seconds) = &time[0] else { panic!() };
        let seconds: u64 = std::str::from_utf8(seconds).unwrap().parse().unwrap();
        seconds % step.as_secs() < 9
    })
    .await;
    let publish = |number| bus.publish(room.clone(), bounded("alice", number, 4, 100));
    let seq = async |number| publish(number).await.map(|ack| ack.position.seq);
    assert_eq!((seq(1).await, seq(2).await), (Ok(1), Ok(2)));
    age(&server, 6 * step);
    assert_eq!((seq(3).await, seq(4).await), (Ok(3), Ok(4)));
    assert_eq!(seq(5).await, Err(PublishError::TooManyKeys), "four in a window");
    assert_eq!(seq(1).await, Ok(1), "75 % of the window on");
    age(&server, step);
    assert_eq!((seq(1).await, seq(5).await), (Ok(1), Err(PublishError::TooManyKeys)));
    // The window of the first two is over: they count no more, and are another message each.
    age(&server, step);
    assert_eq!((seq(1).await, seq(5).await), (Ok(5), Ok(6)));
    assert_eq!(seq(2).await, Err(PublishError::TooManyKeys));
    assert_eq!((seq(3).await, seq(4).await), (Ok(3), Ok(4)), "in another generation now");
    age(&server, 5 * step);
    assert_eq!(seq(4).await, Ok(4));
    age(&server, step);
    assert_eq!((seq(3).await, seq(4).await), (Ok(7), Ok(8)));
    // Months later nothing is left of them, whichever generation they lie in.
    age(&server, 1000 * step);
    assert_eq!((seq(5).await, seq(6).await, seq(7).await), (Ok(9), Ok(10), Ok(11)));
}

#[tokio::test]
async fn a_generation_goes_when_its_window_is_over() {
    let server = RedisServer::start();
    let (bus, _listener) = node(&server).await;
    let room = room("a");
    for number in 0..40 {
        bus.publish(room.clone(), bounded("alice", number, 100, 100)).await.unwrap();
        age(&server, KEY_WINDOW / 4);
    }
    let fields = integer(&server.command(&["HLEN", &keys_of("a").results[0]]))
        + integer(&server.command(&["HLEN", &keys_of("a").results[1]]));
    assert!(fields <= 8 + 4, "two windows' keys: {fields}");
}
