//! One call of `presence.lua`: what it changes, its words, and its answer.

use std::time::Duration;

use redis::Value;
use roomcast_protocol::{ConnectionId, Epoch, RoomName, UserName};

use crate::api::{
    ChangeTally, Departure, PresenceCounts, PresenceMember, PresenceMode, PresencePolicy,
    PresenceStatus,
};
use crate::leases::Incarnation;
use crate::payload::presence_push::encode_info;

/// Members or users in one call: Redis serves no other call meanwhile.
pub(super) const ITEMS_PER_CALL: usize = 500;

/// Added to a grace, so that the call comes after its end by Redis's clock.
pub(super) const GRACE_MARGIN: Duration = Duration::from_millis(5);

/// What a call changes of one member or user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CallItem {
    /// A connection is in the room.
    Here(PresenceMember, InfoUse),
    /// A connection is not, or no longer.
    Gone(ConnectionId, Option<UserName>, Departure),
    /// The grace of a user may be over.
    Due(UserName),
}

/// What a member's info means for what its user shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InfoUse {
    /// It is the latest.
    Show,
    /// Others may have shown a later one: it is used only where there is none.
    Keep,
}

/// What a node writes of its members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallExtent {
    /// What changed since the call before.
    Changes,
    /// The first part of all.
    All,
}

/// On whose behalf a call is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallKind {
    /// Of an incarnation of this node, under a number that rises.
    Live {
        /// The incarnation.
        own: Incarnation,
        /// The call's number.
        number: u64,
        /// The number of the last call that the room is known to have.
        seen: u64,
        /// Whether it begins to write all members again.
        extent: CallExtent,
        /// The incarnation of this node whose members become those of `own`.
        replaces: Option<Incarnation>,
    },
    /// Against an incarnation that is dead.
    Dead {
        /// The incarnation.
        dead: Incarnation,
        /// When it last advanced, in ms of Redis's clock.
        last_advance: u64,
    },
    /// For users whose grace may be over.
    Due,
}

/// The words of a call, after the common two and the life.
pub(super) fn words(
    kind: CallKind,
    policy: Option<PresencePolicy>,
    (push, channel): (&str, String),
    items: &[CallItem],
) -> Vec<Vec<u8>> {
    let mut words: Vec<Vec<u8>> = Vec::with_capacity(10 + 4 * items.len());
    let mut add = |word: String| words.push(word.into_bytes());
    let (name, own, number, seen, old) = match kind {
        CallKind::Live { own, number, seen, extent, replaces } => {
            let name = match extent {
                CallExtent::All => "all",
                CallExtent::Changes => "live",
            };
            (name, own.to_string(), number, seen, replaces)
        }
        CallKind::Dead { dead, last_advance } => ("dead", dead.to_string(), last_advance, 0, None),
        CallKind::Due => ("due", String::new(), 0, 0, None),
    };
    add(name.to_owned());
    add(own);
    add(number.to_string());
    add(seen.to_string());
    add(old.map(|old| old.to_string()).unwrap_or_default());
    let mode = match policy.map(|policy| policy.mode) {
        Some(PresenceMode::Counts) => "counts",
        Some(PresenceMode::Events) => "events",
        None => "",
    };
    add(mode.to_owned());
    add(policy.map_or(0, |policy| policy.events_max).to_string());
    add(policy.map_or(0, |policy| millis(policy.grace)).to_string());
    add(push.to_owned());
    add(channel);
    for item in items {
        let (what, connection, user, info) = match item {
            CallItem::Here(member, info_use) => {
                let info = encode_info(member.info.as_ref());
                let what = match (info_use, member.status) {
                    (InfoUse::Show, PresenceStatus::Active) => "pa",
                    (InfoUse::Show, PresenceStatus::Away) => "pw",
                    (InfoUse::Keep, PresenceStatus::Active) => "ka",
                    (InfoUse::Keep, PresenceStatus::Away) => "kw",
                };
                (what, Some(member.connection), member.user.as_ref(), info)
            }
            CallItem::Gone(connection, user, Departure::Ended) => {
                ("xe", Some(*connection), user.as_ref(), Vec::new())
            }
            CallItem::Gone(connection, user, Departure::Left) => {
                ("xl", Some(*connection), user.as_ref(), Vec::new())
            }
            CallItem::Due(user) => ("d", None, Some(user), Vec::new()),
        };
        words.push(what.into());
        words.push(connection.map(|id| id.to_string()).unwrap_or_default().into_bytes());
        words.push(user.map(UserName::as_str).unwrap_or_default().into());
        words.push(info);
    }
    words
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A user whose grace runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RunningGrace {
    pub(super) user: UserName,
    /// How long it still runs.
    pub(super) left: Duration,
}

/// A call that was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CallAnswer {
    pub(super) counts: PresenceCounts,
    pub(super) tally: ChangeTally,
    /// Whether the hash lacks calls of the incarnation that were done.
    pub(super) is_behind: bool,
    /// Users of the call whose grace runs.
    pub(super) graces: Vec<RunningGrace>,
}

/// The outcome of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CallOutcome {
    /// It was done.
    Done(CallAnswer),
    /// Its incarnation is dead in this room.
    Dead,
    /// Done or not: what it changes is to be written again, under a higher number.
    Lost,
}

/// Reads the answer of `presence.lua`.
pub(super) fn read_answer(answer: Value) -> CallOutcome {
    let Ok(words) = redis::from_redis_value::<Vec<String>>(answer) else {
        return CallOutcome::Lost;
    };
    match words.first().map(String::as_str) {
        Some("ok") => read_done(&words).map_or(CallOutcome::Lost, CallOutcome::Done),
        Some("dead") => CallOutcome::Dead,
        _ => CallOutcome::Lost,
    }
}

fn read_done(words: &[String]) -> Option<CallAnswer> {
    let mut words = words.iter().skip(1);
    let epoch = Epoch::parse(words.next()?)?.0;
    let mut number = || words.next()?.parse::<u64>().ok();
    let (_change, rev, count, users) = (number()?, number()?, number()?, number()?);
    let now = number()?;
    let tally =
        ChangeTally { joined: number()?, left: number()?, infos: number()?, statuses: number()? };
    let is_behind = number()? == 1;
    let mut graces = Vec::new();
    while let (Some(user), Some(at)) = (words.next(), words.next()) {
        let left = at.parse::<u64>().ok()?.saturating_sub(now);
        let (user, left) = (UserName::parse(user).ok()?, Duration::from_millis(left));
        graces.push(RunningGrace { user, left });
    }
    Some(CallAnswer {
        counts: PresenceCounts { rev_epoch: Epoch(epoch), rev, count, users },
        tally,
        is_behind,
        graces,
    })
}

/// A call of this node, as the desk gives it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PresenceCall {
    pub(super) room: RoomName,
    pub(super) kind: CallKind,
    /// `None`: as before.
    pub(super) policy: Option<PresencePolicy>,
    pub(super) items: Vec<CallItem>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_or_lost() {
        let answer = |text: &str| {
            let word = |word: &str| Value::BulkString(word.into());
            read_answer(Value::Array(text.split(' ').map(word).collect()))
        };
        let text = "ok 0000000000000007 3 2 4 1 1700 1 0 0 2 1 ann 1900 bob 1600";
        let grace = |user: &str, ms| RunningGrace {
            user: UserName::parse(user).unwrap(),
            left: Duration::from_millis(ms),
        };
        let expected = CallAnswer {
            counts: PresenceCounts { rev_epoch: Epoch(7), rev: 2, count: 4, users: 1 },
            tally: ChangeTally { joined: 1, left: 0, infos: 0, statuses: 2 },
            is_behind: true,
            graces: vec![grace("ann", 200), grace("bob", 0)],
        };
        assert_eq!(answer(text), CallOutcome::Done(expected));
        assert_eq!(answer("dead"), CallOutcome::Dead);
        for bad in ["stale", "ok", "ok 7 1 1 1 1 1 0 0 0 0", ""] {
            assert_eq!(answer(bad), CallOutcome::Lost, "{bad}");
        }
    }
}
