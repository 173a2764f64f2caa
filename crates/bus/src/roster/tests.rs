//! The rules of a room's list, one by one.

use std::time::Duration;

use super::*;

const POLICY: PresencePolicy = PresencePolicy {
    mode: PresenceMode::Events,
    grace: Duration::from_millis(100),
    events_max: 10,
};

fn member(id: u64, user: &str) -> PresenceMember {
    let user = (!user.is_empty()).then(|| UserName::parse(user).unwrap());
    PresenceMember { connection: ConnectionId(id), user, info: None, status: Default::default() }
}

/// What is told, in short: `+ann 1/1 r1` with memberships, users and rev.
fn short(outcome: &RosterOutcome) -> String {
    let numbers = |c: &PresenceCounts| format!("{}/{} r{}", c.count, c.users, c.rev);
    match &outcome.news {
        None => "-".into(),
        Some(PresenceNews::Counts(counts)) => format!("counts {}", numbers(counts)),
        Some(PresenceNews::Reset(counts)) => format!("reset {}", numbers(counts)),
        Some(PresenceNews::Steps(steps)) => {
            let word = |step: &PresenceStep| {
                let change = match &step.change {
                    None => String::new(),
                    Some(PresenceChange::Joined { user, .. }) => format!("+{user} "),
                    Some(PresenceChange::Left { user, .. }) => format!("-{user} "),
                    Some(PresenceChange::Shown { user: Some(user), status, .. }) => {
                        format!("{user} {status:?} ")
                    }
                    Some(PresenceChange::Shown { status, .. }) => format!("? {status:?} "),
                };
                change + &numbers(&step.counts)
            };
            steps.iter().map(word).collect::<Vec<_>>().join(", ")
        }
    }
}

fn check(roster: &mut Roster, now: u64, items: Vec<RosterItem>, expected: &str) {
    assert_eq!(short(&roster.change(items, POLICY, now)), expected);
}

use Departure::{Ended, Left};
use RosterItem::{Due, Gone, Keep, Show};

fn gone(id: u64, how: Departure) -> RosterItem {
    Gone(ConnectionId(id), UserName::parse("ann").ok(), how)
}

#[test]
fn a_user_joins_once_and_leaves_after_its_grace() {
    let mut room = Roster::new(1);
    check(&mut room, 0, vec![Keep(member(1, "ann"))], "+ann 1/1 r1");
    check(&mut room, 0, vec![Keep(member(2, "ann"))], "2/1 r1");
    check(&mut room, 0, vec![gone(1, Left)], "1/1 r1");
    check(&mut room, 0, vec![gone(2, Ended)], "0/1 r1");
    let ann = UserName::parse("ann").unwrap();
    assert_eq!(room.list().entries.len(), 1);
    check(&mut room, 99, vec![Due(ann.clone())], "-");
    check(&mut room, 100, vec![Due(ann.clone())], "-ann 0/0 r2");
    check(&mut room, 100, vec![Due(ann)], "-");
    assert!(room.is_empty());
}

#[test]
fn a_return_within_the_grace_is_silent() {
    let mut room = Roster::new(1);
    check(&mut room, 0, vec![Keep(member(1, "ann"))], "+ann 1/1 r1");
    check(&mut room, 0, vec![gone(1, Ended)], "0/1 r1");
    check(&mut room, 50, vec![Keep(member(2, "ann"))], "1/1 r1");
    check(&mut room, 200, vec![Due(UserName::parse("ann").unwrap())], "-");
    check(&mut room, 200, vec![gone(2, Left)], "-ann 0/0 r2");
}

#[test]
fn a_user_is_away_if_all_its_connections_are() {
    let mut room = Roster::new(1);
    let away = |id| PresenceMember { status: PresenceStatus::Away, ..member(id, "ann") };
    check(
        &mut room,
        0,
        vec![Keep(member(1, "ann")), Keep(member(2, "ann"))],
        "+ann 1/1 r1, 2/1 r1",
    );
    check(&mut room, 0, vec![Keep(away(1))], "-");
    check(&mut room, 0, vec![Keep(away(2))], "ann Away 2/1 r2");
    check(&mut room, 0, vec![Show(member(3, "ann"))], "ann Active 3/1 r3");
    check(&mut room, 0, vec![gone(3, Left)], "ann Away 2/1 r4");
}

#[test]
fn the_latest_info_counts() {
    let mut room = Roster::new(1);
    let info = |text: &str| Some(Data::Json(text.to_owned().into()));
    let with = |id, text| PresenceMember { info: info(text), ..member(id, "ann") };
    check(&mut room, 0, vec![Show(with(1, "1"))], "+ann 1/1 r1");
    check(&mut room, 0, vec![Show(with(2, "2"))], "ann Active 2/1 r2");
    check(&mut room, 0, vec![Keep(with(1, "1"))], "-");
    assert_eq!(room.list().entries[0].info, info("2"));
    check(&mut room, 0, vec![Show(member(1, "ann"))], "ann Active 2/1 r3");
}

#[test]
fn a_connection_without_a_user_only_counts() {
    let mut room = Roster::new(1);
    check(&mut room, 0, vec![Keep(member(1, ""))], "1/0 r0");
    let away = PresenceMember { status: PresenceStatus::Away, ..member(1, "") };
    check(&mut room, 0, vec![Keep(away)], "? Away 1/0 r1");
    check(&mut room, 0, vec![gone(1, Ended)], "0/0 r1");
}

#[test]
fn a_big_room_tells_numbers_until_it_is_small_again() {
    let mut room = Roster::new(1);
    let enter = |ids: std::ops::Range<u64>| ids.map(|id| Keep(member(id, "")));
    let leave = |ids: std::ops::Range<u64>| ids.map(|id| gone(id, Left));
    check(&mut room, 0, enter(0..10).collect(), "10/0 r0");
    check(&mut room, 0, enter(10..11).collect(), "counts 11/0 r0");
    check(&mut room, 0, leave(0..3).collect(), "counts 8/0 r0");
    check(&mut room, 0, leave(3..4).collect(), "reset 7/0 r0");
    check(&mut room, 0, enter(0..1).collect(), "8/0 r0");
}
