//! Lists as a client keeps them, with planted violations.

use super::*;

const NOW: Duration = Duration::from_secs(1);
/// When no event of before a list's last step comes any more.
const LATER: Duration = Duration::from_secs(9);

fn user(name: &str) -> UserName {
    UserName::parse(name).unwrap()
}

fn counts(count: u64, rev: u64, epoch: u64) -> PresenceCounts {
    PresenceCounts { count, users: count, rev, rev_epoch: Epoch(epoch) }
}

fn event(name: &str, count: u64, rev: u64) -> UserEvent {
    let room = roomcast_protocol::RoomName::parse("here:0").unwrap();
    UserEvent { room, user: user(name), info: None, time: 0, count, users: count, rev }
}

fn members(names: &[&str]) -> Vec<Member> {
    let member =
        |name: &&str| Member { connection: None, user: Some(user(name)), info: None, status: None };
    names.iter().map(member).collect()
}

/// A listener `me` with the list {me, ann} at rev 5.
fn with_list() -> KeptList {
    let mut list = KeptList::new(user("me"));
    list.joined(Some(counts(2, 5, 1)), NOW).unwrap();
    assert!(list.is_due(NOW) && !list.is_due(NOW));
    list.page(&members(&["me", "ann"]), counts(2, 5, 1), (true, NOW)).unwrap();
    list
}

#[test]
fn events_above_the_list_change_it() {
    let mut list = with_list();
    list.event(Move::Joined, &event("bob", 3, 7), LATER).unwrap();
    list.event(Move::Left, &event("ann", 2, 8), LATER).unwrap();
    assert_eq!(list.others(), Some([user("bob")].into()));
    assert_eq!(list.count, Some(2));
}

#[test]
fn events_that_came_before_the_list_are_applied_if_newer() {
    let mut list = KeptList::new(user("me"));
    list.joined(Some(counts(1, 5, 1)), NOW).unwrap();
    list.event(Move::Joined, &event("ann", 2, 6), LATER).unwrap();
    list.event(Move::Joined, &event("bob", 3, 7), LATER).unwrap();
    assert!(list.is_due(NOW));
    list.page(&members(&["me", "ann"]), counts(2, 6, 1), (true, NOW)).unwrap();
    assert_eq!(list.others(), Some([user("ann"), user("bob")].into()));
}

#[test]
fn a_user_joins_and_leaves_once() {
    assert!(with_list().event(Move::Joined, &event("ann", 2, 6), LATER).is_err());
    assert!(with_list().event(Move::Left, &event("bob", 2, 6), LATER).is_err());
    let mut list = with_list();
    list.event(Move::Left, &event("ann", 1, 6), LATER).unwrap();
    assert!(list.event(Move::Left, &event("ann", 1, 7), LATER).is_err());
}

#[test]
fn a_list_may_hold_what_its_next_event_tells_once() {
    let mut list = with_list();
    list.event(Move::Joined, &event("ann", 2, 6), NOW).unwrap();
    list.event(Move::Left, &event("bob", 2, 7), NOW).unwrap();
    assert!(list.event(Move::Joined, &event("ann", 2, 8), NOW).is_err());
}

#[test]
fn revisions_never_fall_within_an_epoch() {
    let mut list = with_list();
    list.event(Move::Joined, &event("bob", 3, 9), LATER).unwrap();
    assert!(list.event(Move::Joined, &event("cid", 4, 9), LATER).is_err());
    assert!(list.counted(4, 8, true).is_err());
    list.lost();
    assert!(list.joined(Some(counts(3, 7, 1)), NOW).is_err());
    list.lost();
    assert!(list.joined(Some(counts(3, 2, 2)), NOW).is_ok());
}

#[test]
fn the_listeners_own_user_makes_no_event() {
    assert!(with_list().event(Move::Joined, &event("me", 2, 6), LATER).is_err());
}

#[test]
fn a_list_is_kept_over_a_reconnect_only_at_its_revision() {
    let mut list = with_list();
    list.lost();
    list.joined(Some(counts(2, 5, 1)), NOW).unwrap();
    assert!(list.others().is_some() && !list.is_due(NOW));
    list.lost();
    list.joined(Some(counts(2, 6, 1)), NOW).unwrap();
    assert!(list.others().is_none() && list.is_due(NOW));
}

#[test]
fn a_reset_ends_the_list_until_it_is_asked_for_at_its_time() {
    let mut list = with_list();
    list.reset(Duration::from_secs(2), NOW);
    assert!(list.others().is_none() && !list.is_due(NOW + NOW));
    assert!(list.is_due(NOW + 2 * NOW));
    list.page(&members(&["me"]), counts(1, 1, 2), (true, NOW)).unwrap();
    assert_eq!(list.others(), Some(BTreeSet::new()));
}

#[test]
fn numbers_end_the_list_unless_they_say_otherwise() {
    let mut list = with_list();
    list.counted(3, 6, true).unwrap();
    assert!(list.others().is_some());
    list.counted(3, 7, false).unwrap();
    assert!(list.others().is_none());
}
