//! What members hear of who is in their room, and when.

use roomcast_protocol::{ConnectionId, UserName};

use super::*;

const T0: u64 = 1_700_000_000_000;

fn room() -> RoomName {
    RoomName::parse("a").unwrap()
}

fn user(name: &str) -> UserName {
    UserName::parse(name).unwrap()
}

fn counts(count: u64, users: u64, rev: u64) -> PresenceCounts {
    PresenceCounts { count, users, rev, rev_epoch: Epoch(1) }
}

fn joined(name: &str) -> Option<PresenceChange> {
    Some(PresenceChange::Joined { user: user(name), info: None, time: T0 })
}

fn shown(name: &str, status: PresenceStatus) -> Option<PresenceChange> {
    let (user, connection) = (Some(user(name)), None);
    Some(PresenceChange::Shown { user, connection, info: None, status })
}

fn steps(of: Vec<(Option<PresenceChange>, PresenceCounts)>) -> PresenceNews {
    let step = |(change, counts)| PresenceStep { change, counts };
    PresenceNews::Steps(of.into_iter().map(step).collect())
}

/// The frames in short, each with the user that does not get it.
fn said(items: Vec<EphemeralItem>) -> Vec<String> {
    let say = |item| match item {
        EphemeralItem::ListReset { spread_ms, .. } => format!("reset {spread_ms}"),
        EphemeralItem::Frame(frame) => {
            assert_eq!(frame.audience().members, AudienceMembers::Listeners);
            let but = match &frame.audience().but {
                Some(Writer::User(user)) => format!(" but {user}"),
                Some(Writer::Connection(id)) => format!(" but {id}"),
                None => String::new(),
            };
            let frame = match frame.frame() {
                ServerFrame::UserJoined(e) => {
                    format!("+{} {}/{} r{}", e.user, e.count, e.users, e.rev)
                }
                ServerFrame::UserLeft(e) => {
                    format!("-{} {}/{} r{}", e.user, e.count, e.users, e.rev)
                }
                ServerFrame::Count { count, users, rev, list, .. } => {
                    format!("{count}/{users} r{rev}{}", if *list { " list" } else { "" })
                }
                ServerFrame::Presence { status, rev, .. } => {
                    format!("{} r{}", status.unwrap().as_str(), rev.unwrap())
                }
                other => panic!("{other:?}"),
            };
            frame + &but
        }
    };
    items.into_iter().map(say).collect()
}

#[test]
fn a_join_is_said_at_once_and_not_to_its_user() {
    let (mut people, now) = (RoomPeople::default(), Instant::now());
    let news = steps(vec![(joined("ann"), counts(1, 1, 1)), (joined("bob"), counts(2, 2, 2))]);
    let items = people.take_in(&room(), news, now);
    assert_eq!(said(items), ["+ann 1/1 r1 but ann", "+bob 2/2 r2 but bob"]);
    assert_eq!(people.next_due(), None, "the numbers were said with the events");
}

#[test]
fn numbers_are_said_once_a_second_and_the_last_always() {
    let (mut people, now) = (RoomPeople::default(), Instant::now());
    let after = |ms| now + Duration::from_millis(ms);
    let second = |n| steps(vec![(None, counts(n, 1, 1))]);
    assert_eq!(said(people.take_in(&room(), second(2), now)), ["2/1 r1 list"]);
    assert!(people.take_in(&room(), second(3), after(10)).is_empty());
    assert!(people.take_in(&room(), second(4), after(900)).is_empty());
    assert_eq!(people.next_due(), Some(after(1_000)));
    assert_eq!(said(people.due(&room(), after(1_000))), ["4/1 r1 list"]);
    assert!(people.take_in(&room(), second(5), after(1_100)).is_empty());
    // Never ahead of an event, and not after one that said the same.
    let news = steps(vec![(joined("ann"), counts(6, 2, 2))]);
    assert_eq!(said(people.take_in(&room(), news, after(1_200))), ["+ann 6/2 r2 but ann"]);
    assert!(people.due(&room(), after(5_000)).is_empty());
    // Numbers alone end lists.
    let news = PresenceNews::Counts(counts(2_000, 900, 40));
    assert_eq!(said(people.take_in(&room(), news, after(6_000))), ["2000/900 r40"]);
}

#[test]
fn what_a_user_shows_is_said_once_a_second_the_newest() {
    let (mut people, now) = (RoomPeople::default(), Instant::now());
    let after = |ms| now + Duration::from_millis(ms);
    let show = |status, rev| steps(vec![(shown("ann", status), counts(1, 1, rev))]);
    people.take_in(&room(), steps(vec![(joined("ann"), counts(1, 1, 1))]), now);
    let first = people.take_in(&room(), show(PresenceStatus::Away, 2), now);
    assert_eq!(said(first), ["away r2 but ann"], "the numbers are the same");
    for rev in 3..50 {
        let status = PresenceStatus::ALL[rev as usize % 2];
        let items = people.take_in(&room(), show(status, rev), after(rev * 10));
        assert!(said(items).iter().all(|frame| frame.ends_with("list")));
    }
    assert_eq!(said(people.due(&room(), after(1_000)))[0], "away r49 but ann");
    assert!(said(people.due(&room(), after(3_000))).iter().all(|frame| frame.ends_with("list")));
    assert_eq!(people.next_due(), None);
    assert!(people.shown.is_empty() && people.quiet.is_empty());
    // A connection without a user is named by itself.
    let change = PresenceChange::Shown {
        user: None,
        connection: Some(ConnectionId(7)),
        info: None,
        status: PresenceStatus::Away,
    };
    let items =
        people.take_in(&room(), steps(vec![(Some(change), counts(1, 1, 60))]), after(9_000));
    assert_eq!(said(items)[0], "away r60 but 0000000000000007");
}

#[test]
fn a_reset_takes_the_place_of_all_that_waits() {
    let (mut people, now) = (RoomPeople::default(), Instant::now());
    people.take_in(&room(), steps(vec![(None, counts(2, 1, 1))]), now);
    people.take_in(&room(), steps(vec![(None, counts(3, 1, 1))]), now);
    let items = people.take_in(&room(), PresenceNews::Reset(counts(30, 1, 1)), now);
    assert_eq!(said(items), ["reset 300"]);
    let items = people.take_in(&room(), PresenceNews::Reset(counts(15_000, 9, 1)), now);
    assert_eq!(said(items), ["reset 10000"]);
    assert!(people.due(&room(), now + PERIOD).is_empty());
}

#[test]
fn another_life_of_the_list_comes_with_a_reset_only() {
    let (mut people, now) = (RoomPeople::default(), Instant::now());
    let later = PresenceCounts { rev_epoch: Epoch(2), ..counts(2, 2, 2) };
    people.take_in(&room(), steps(vec![(joined("ann"), counts(1, 1, 1))]), now);
    let items = people.take_in(&room(), steps(vec![(joined("bob"), later)]), now);
    assert_eq!(said(items), ["reset 20", "+bob 2/2 r2 but bob"]);
    let items = people.take_in(&room(), PresenceNews::Reset(later), now);
    assert_eq!(said(items), ["reset 20"]);
    let items = people.take_in(&room(), steps(vec![(joined("eve"), later)]), now);
    assert_eq!(said(items), ["+eve 2/2 r2 but eve"]);
    let newest = PresenceCounts { rev_epoch: Epoch(3), ..later };
    assert_eq!(said(people.take_in(&room(), PresenceNews::Reset(newest), now)), ["reset 20"]);
}
