//! Cases of subscriptions: wanted, sent, confirmed, refused, dropped.

use super::*;

fn room(name: &str) -> RoomName {
    RoomName::parse(name).unwrap()
}

#[test]
fn only_the_last_commands_confirmation_counts() {
    let mut all = Subscriptions::default();
    let (a, now) = (room("a"), Instant::now());
    all.want(&a, now);
    assert_eq!(all.next_command(), Some((SubscriptionChange::Subscribe, vec![a.clone()])));
    all.drop_wish(&a);
    assert_eq!(all.next_command(), Some((SubscriptionChange::Unsubscribe, vec![a.clone()])));
    all.want(&a, now);
    assert_eq!(all.next_command(), Some((SubscriptionChange::Subscribe, vec![a.clone()])));
    assert_eq!(all.confirm(&a, SubscriptionChange::Subscribe, now), Confirmation::Nothing);
    assert_eq!(all.confirm(&a, SubscriptionChange::Unsubscribe, now), Confirmation::Nothing);
    assert_eq!(all.waiting_since(), Some(now));
    assert_eq!(all.confirm(&a, SubscriptionChange::Subscribe, now), Confirmation::Comes);
    assert_eq!((all.count(), all.waiting_since()), ((1, 1), None));
}

#[test]
fn a_wish_dropped_before_it_was_sent_costs_no_command() {
    let mut all = Subscriptions::default();
    let a = room("a");
    all.want(&a, Instant::now());
    all.drop_wish(&a);
    assert_eq!(all.next_command(), None);
    assert!(all.rooms.is_empty());
}

#[test]
fn a_wish_taken_back_in_time_is_confirmed_still() {
    let mut all = Subscriptions::default();
    let (a, now) = (room("a"), Instant::now());
    assert!(!all.want(&a, now));
    all.next_command();
    all.drop_wish(&a);
    assert!(!all.want(&a, now), "its first confirmation is yet to come");
    assert!(all.next_command().is_none());
    assert_eq!(all.confirm(&a, SubscriptionChange::Subscribe, now), Confirmation::Comes);
    all.drop_wish(&a);
    assert!(all.want(&a, now));
    assert_eq!((all.next_command(), all.count(), all.waiting_since()), (None, (1, 1), None));
}

#[test]
fn a_new_connection_gets_everything_wanted_in_batches() {
    let mut all = Subscriptions::default();
    let now = Instant::now();
    let rooms: Vec<_> = (0..ROOMS_PER_COMMAND + 3).map(|n| room(&format!("r{n}"))).collect();
    rooms.iter().for_each(|room| assert!(!all.want(room, now)));
    while all.next_command().is_some() {}
    assert_eq!(all.confirm(&rooms[0], SubscriptionChange::Subscribe, now), Confirmation::Comes);
    all.drop_wish(&rooms[1]);
    all.reset(now, |_| None);
    assert_eq!(all.count(), (ROOMS_PER_COMMAND + 2, 0));
    let (change, batch) = all.next_command().unwrap();
    assert_eq!((change, batch.len()), (SubscriptionChange::Subscribe, ROOMS_PER_COMMAND));
    assert_eq!(all.next_command().unwrap().1.len(), 2);
    assert_eq!(all.next_command(), None);
}

#[test]
fn an_unsubscribed_room_is_forgotten() {
    let mut all = Subscriptions::default();
    let (a, now) = (room("a"), Instant::now());
    all.want(&a, now);
    all.next_command();
    all.confirm(&a, SubscriptionChange::Subscribe, now);
    all.drop_wish(&a);
    all.next_command();
    assert_eq!(all.confirm(&a, SubscriptionChange::Unsubscribe, now), Confirmation::Nothing);
    assert!(all.rooms.is_empty());
}

#[test]
fn what_the_server_ends_by_itself_is_asked_for_again() {
    let mut all = Subscriptions::default();
    let (a, now) = (room("a"), Instant::now());
    all.want(&a, now);
    all.next_command();
    all.confirm(&a, SubscriptionChange::Subscribe, now);
    assert_eq!(all.confirm(&a, SubscriptionChange::Unsubscribe, now), Confirmation::Ended);
    assert_eq!((all.count(), all.waiting_since()), ((1, 0), Some(now)));
    assert_eq!(all.next_command(), Some((SubscriptionChange::Subscribe, vec![a.clone()])));
    assert_eq!(all.confirm(&a, SubscriptionChange::Subscribe, now), Confirmation::Comes);
    assert_eq!(all.count(), (1, 1));
}

#[test]
fn a_refused_room_is_asked_for_again_and_a_confirmed_one_is_not() {
    let mut all = Subscriptions::default();
    let (a, b, now) = (room("a"), room("b"), Instant::now());
    all.want(&a, now);
    all.want(&b, now);
    let (_, rooms) = all.next_command().unwrap();
    all.confirm(&a, SubscriptionChange::Subscribe, now);
    all.again(&rooms);
    assert_eq!(all.next_command(), Some((SubscriptionChange::Subscribe, vec![b.clone()])));
    assert_eq!(all.confirm(&b, SubscriptionChange::Subscribe, now), Confirmation::Comes);
    assert_eq!((all.next_command(), all.count()), (None, (2, 2)));
}
