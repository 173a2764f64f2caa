//! The windows and bounds of kept results of publishes.

use std::time::Duration;

use roomcast_protocol::{Epoch, Position, UserName};

use super::*;

const WINDOW: u64 = KEY_WINDOW.as_millis() as u64;

fn bounds(keys_per_user: u32, keys_per_room: u32) -> Retention {
    Retention {
        history_size: 1,
        history_age: Duration::from_secs(1),
        repair_window: 1,
        replicas: 0,
        keys_per_user,
        keys_per_room,
    }
}

fn user(name: &str) -> KeyOwner {
    KeyOwner::User(UserName::parse(name).unwrap())
}

fn scope(owner: &KeyOwner, number: u64) -> KeyScope {
    (owner.clone(), PublishKey::parse(&format!("k{number}")).unwrap())
}

fn ack(seq: u64, time: u64) -> PublishAck {
    PublishAck { position: Position { epoch: Epoch(1), seq }, time }
}

/// Uses a key as a room does; whether it was within the bounds.
fn uses(results: &mut Results, owner: &KeyOwner, number: u64, now: u64, of: Retention) -> bool {
    results.expire(now);
    assert_eq!(results.find(&scope(owner, number), 7, now), None, "{number} at {now}");
    let admitted = results.admits(owner, of, now);
    if admitted {
        results.insert(scope(owner, number), 7, ack(number, now));
    }
    admitted
}

#[test]
fn each_owner_has_its_own_window_and_the_room_one_for_all() {
    let mut results = Results::default();
    let of = bounds(3, 8);
    let (alice, bob, carol) = (user("alice"), user("bob"), user("carol"));
    let mut used = |owner: &KeyOwner, numbers: std::ops::Range<u64>| {
        numbers.filter(|&number| uses(&mut results, owner, number, 1_000, of)).count()
    };
    assert_eq!(used(&alice, 0..5), 3, "the bound of one");
    assert_eq!(used(&bob, 0..5), 3, "whatever others used");
    assert_eq!(used(&carol, 0..5), 2, "the bound of all");
    assert_eq!(results.find(&scope(&alice, 0), 7, 1_000 + WINDOW - 1), Some(Ok(ack(0, 1_000))));
    assert_eq!(
        results.find(&scope(&alice, 0), 8, 1_000),
        Some(Err(PublishError::KeyConflict)),
        "another payload"
    );
    assert_eq!(results.find(&scope(&alice, 4), 7, 1_000), None, "what was refused is not known");
}

#[test]
fn a_key_is_known_for_its_window_and_counts_no_longer() {
    let mut results = Results::default();
    let (of, alice) = (bounds(2, 100), user("alice"));
    assert!(uses(&mut results, &alice, 1, 0, of));
    assert!(uses(&mut results, &alice, 2, WINDOW / 2, of));
    assert!(!uses(&mut results, &alice, 3, WINDOW - 1, of));
    assert_eq!(results.find(&scope(&alice, 1), 7, WINDOW - 1), Some(Ok(ack(1, 0))));
    assert!(uses(&mut results, &alice, 1, WINDOW, of), "the same key is another one now");
    assert!(!uses(&mut results, &alice, 3, WINDOW, of));
    results.expire(u64::MAX);
    assert_eq!(
        (results.known.len(), results.order.len(), results.counts.len()),
        (0, 0, 0),
        "all is forgotten"
    );
}

#[test]
fn what_a_crowd_leaves_behind_is_dropped_in_slices_and_given_back() {
    let mut results = Results::default();
    let of = bounds(u32::MAX, 20_000);
    let alice = user("alice");
    assert_eq!((0..20_005).filter(|&n| uses(&mut results, &alice, n, 0, of)).count(), 20_000);
    results.expire(WINDOW);
    assert_eq!(results.known.len(), 20_000 - RESULTS_PER_EXPIRY, "in slices");
    assert_eq!(results.find(&scope(&alice, 19_999), 7, WINDOW), None, "dropped or not");
    assert!(uses(&mut results, &alice, 19_999, WINDOW, of));
    while results.due().is_some_and(|due| due <= WINDOW) {
        results.expire(WINDOW);
    }
    assert_eq!((results.known.len(), results.counts[&alice]), (1, 1));
    assert!(results.known.capacity() < 100 && results.order.capacity() < 100);
}

#[test]
fn a_bound_is_never_met_by_keys_that_only_wait_to_be_dropped() {
    let mut results = Results::default();
    let (of, alice) = (bounds(5_000, 5_000), user("alice"));
    (0..5_000).for_each(|n| assert!(uses(&mut results, &alice, n, 0, of)));
    (0..5_000).for_each(|n| assert!(uses(&mut results, &alice, n, WINDOW, of), "{n}"));
    assert!(!uses(&mut results, &alice, 5_000, WINDOW, of));
}
