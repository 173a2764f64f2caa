//! What Redis keeps of users' connections, and what it answers to newcomers.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use roomcast_bus::{
    Bus, NamedConnection, NewcomerStep, RedisOptions, ReplacePlace, UserNewcomer, UserPlace,
    UserPresence,
};
use roomcast_protocol::{ConnectionId, UserName};
use roomcast_testkit::RedisServer;
use support::*;

const TAB: u64 = 7;

fn ann() -> UserName {
    UserName::parse("ann").unwrap()
}

/// A state in which these connections name the client `TAB`, and so many name none.
fn state(number: u64, named: &[u64], others: usize) -> UserPresence {
    let named: Vec<_> =
        named.iter().map(|id| NamedConnection { id: ConnectionId(*id), client: TAB }).collect();
    UserPresence { number, count: named.len() + others, named }
}

fn newcomer(id: u64, most: usize, client: Option<u64>) -> UserNewcomer {
    let (replaces, step) = (ReplacePlace::Anywhere, NewcomerStep::Enter);
    UserNewcomer { most, id: ConnectionId(id), client, replaces, step }
}

fn granted(here: &[u64], elsewhere: &[u64]) -> UserPlace {
    let ids = |ids: &[u64]| ids.iter().map(|id| ConnectionId(*id)).collect();
    UserPlace::Granted { here: ids(here), elsewhere: ids(elsewhere) }
}

/// The count of each node, by Redis, in ascending order.
fn counts(server: &RedisServer) -> Vec<u64> {
    let keys: Vec<String> = server.ask(&["KEYS", "*}:online:ann"]).unwrap();
    let Some(key) = keys.first() else { return Vec::new() };
    let entries: Vec<String> = server.ask(&["HVALS", key]).unwrap();
    let count = |entry: &String| entry.split(' ').nth(3).unwrap().parse().unwrap();
    let mut counts: Vec<u64> = entries.iter().map(count).collect();
    counts.sort_unstable();
    counts
}

async fn two_nodes(server: &RedisServer) -> [Bus; 2] {
    let (one, _) = redis_bus(RedisOptions::new(server.url())).await;
    let (other, _) = redis_bus(RedisOptions::new(server.url())).await;
    for bus in [&one, &other] {
        eventually("it has an incarnation", async || {
            bus.set_user(&UserName::parse("bob").unwrap(), &state(1, &[], 0)).await.is_ok()
        })
        .await;
    }
    [one, other]
}

#[tokio::test]
async fn a_newcomer_gets_a_place_or_that_of_its_client() {
    let server = RedisServer::start();
    let [one, other] = two_nodes(&server).await;
    let ann = ann();
    let admit = async |bus: &Bus, state: UserPresence, newcomer| {
        bus.admit_user(&ann, &state, newcomer).await.unwrap()
    };
    assert_eq!(admit(&one, state(1, &[1], 0), newcomer(1, 2, Some(TAB))).await, granted(&[], &[]));
    assert_eq!(admit(&other, state(1, &[], 1), newcomer(2, 2, None)).await, granted(&[], &[]));
    // A refusal leaves what was there, and so does a look.
    assert_eq!(admit(&other, state(2, &[], 2), newcomer(3, 2, None)).await, UserPlace::Full);
    assert_eq!(admit(&other, state(2, &[], 2), newcomer(3, 2, Some(8))).await, UserPlace::Full);
    let own = UserNewcomer { replaces: ReplacePlace::Here, ..newcomer(3, 2, Some(TAB)) };
    assert_eq!(admit(&other, state(2, &[3], 1), own).await, UserPlace::Full);
    let look = UserNewcomer { step: NewcomerStep::Look, ..newcomer(3, 2, Some(TAB)) };
    assert_eq!(admit(&other, state(2, &[], 2), look).await, granted(&[], &[1]));
    assert_eq!(counts(&server), [1, 1]);
    // What is replaced counts no longer, here and elsewhere.
    let third = admit(&other, state(3, &[3], 1), newcomer(3, 2, Some(TAB))).await;
    assert_eq!(third, granted(&[], &[1]));
    assert_eq!(counts(&server), [0, 2]);
    let fourth = admit(&other, state(4, &[3, 4], 1), newcomer(4, 2, Some(TAB))).await;
    assert_eq!(fourth, granted(&[3], &[]));
    assert_eq!(counts(&server), [0, 2]);
    // Where a node that has not heard of it counts the first again, both make place.
    one.set_user(&ann, &state(2, &[1], 0)).await.unwrap();
    let fifth = admit(&one, state(3, &[1, 5], 0), newcomer(5, 2, Some(TAB))).await;
    assert_eq!(fifth, granted(&[1], &[4]));
    assert_eq!(counts(&server), [1, 1]);
}

#[tokio::test]
async fn a_late_state_undoes_no_newer_one_and_dead_ones_do_not_count() {
    let server = RedisServer::start();
    let [one, other] = two_nodes(&server).await;
    let ann = ann();
    one.set_user(&ann, &state(5, &[], 0)).await.unwrap();
    one.set_user(&ann, &state(4, &[], 3)).await.unwrap();
    assert_eq!(counts(&server), [0], "the end of all of them came first");
    let key = server.ask::<Vec<String>>(&["KEYS", "*}:online:ann"]).unwrap().remove(0);
    let left = |key: &str| server.ask::<i64>(&["PTTL", key]).unwrap();
    assert!((1..=60_000).contains(&left(&key)), "it is kept for late ones only");
    // A late newcomer is judged by the newer state, and changes nothing.
    one.set_user(&ann, &state(7, &[], 1)).await.unwrap();
    let late = one.admit_user(&ann, &state(6, &[], 1), newcomer(1, 1, None)).await.unwrap();
    assert_eq!((late, counts(&server)), (granted(&[], &[]), vec![1]));
    assert!(left(&key) > 60_000);

    let time = server.ask::<Vec<u64>>(&["TIME"]).unwrap()[0] * 1_000;
    for (node, age) in [("dead", 10_500), ("fresh", 1_000)] {
        let entry = format!("1 {} 00000000000000aa 4 ", time - age);
        server.command(&["HSET", &key, node, &entry]);
    }
    let full = other.admit_user(&ann, &state(1, &[], 1), newcomer(9, 5, None)).await.unwrap();
    assert_eq!(full, UserPlace::Full, "one entry is fresh and its lease may be about to come");
    let granted_six =
        other.admit_user(&ann, &state(2, &[], 1), newcomer(9, 6, None)).await.unwrap();
    assert_eq!((granted_six, counts(&server)), (granted(&[], &[]), vec![1, 1, 4]));
}
