//! A model of what the scripts of presence keep, for the tests of the desk.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use roomcast_protocol::{RoomName, UserName};

use super::call::{
    CallAnswer, CallExtent, CallItem, CallKind, CallOutcome, PresenceCall, RunningGrace,
};
use super::desk::{DeskTask, IndexOutcome};
use crate::api::{ChangeTally, Departure, PresenceCounts, PresenceMode, PresencePolicy};
use crate::leases::Incarnation;

pub(super) const POLICY: PresencePolicy = PresencePolicy {
    mode: PresenceMode::Events,
    grace: Duration::from_millis(100),
    events_max: 10,
};

/// One room, as the scripts treat it; a user stays while its grace runs.
#[derive(Debug, Clone, Default)]
pub(super) struct ModelRoom {
    pub(super) calls: BTreeMap<Incarnation, u64>,
    pub(super) dead: BTreeSet<Incarnation>,
    pub(super) behind: BTreeSet<Incarnation>,
    pub(super) seats: BTreeMap<(Incarnation, u64), UserName>,
    pub(super) graces: BTreeSet<UserName>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Store {
    pub(super) rooms: BTreeMap<RoomName, ModelRoom>,
    pub(super) index: BTreeMap<(Incarnation, RoomName), u64>,
    pub(super) dead: BTreeSet<Incarnation>,
}

impl Store {
    pub(super) fn call(
        &mut self,
        call: &PresenceCall,
        is_indexed_checked: Option<&mut bool>,
    ) -> CallOutcome {
        let CallKind::Live { own, number, seen, extent, replaces } = call.kind else {
            unreachable!()
        };
        let room = self.rooms.entry(call.room.clone()).or_default();
        if room.dead.contains(&own) {
            return CallOutcome::Dead;
        }
        let before = room.calls.get(&own).copied().unwrap_or_default();
        if before >= number {
            return CallOutcome::Lost;
        }
        if let Some(checked) = is_indexed_checked {
            *checked = self.index.contains_key(&(own, call.room.clone()));
        }
        room.calls.insert(own, number);
        let has_members = room.seats.keys().any(|(id, _)| *id == own);
        if seen == 0 && has_members {
            room.behind.insert(own);
        } else if extent == CallExtent::All && before == seen {
            room.behind.remove(&own);
        } else if before < seen {
            room.behind.insert(own);
        }
        let is_behind = room.behind.contains(&own);
        let mut graces = Vec::new();
        for item in &call.items {
            match item {
                CallItem::Here(member, _) => {
                    if let Some(old) = replaces {
                        room.seats.remove(&(old, member.connection.0));
                    }
                    let user = member.user.clone().unwrap();
                    room.graces.remove(&user);
                    room.seats.insert((own, member.connection.0), user);
                }
                CallItem::Gone(connection, user, how) => {
                    for id in [Some(own), replaces].into_iter().flatten() {
                        let Some(user) = room.seats.remove(&(id, connection.0)) else { continue };
                        let stays = room.seats.values().any(|other| *other == user);
                        if !stays && *how == Departure::Ended {
                            room.graces.insert(user.clone());
                        }
                    }
                    graces.extend(
                        user.clone()
                            .filter(|user| room.graces.contains(user))
                            .map(|user| RunningGrace { user, left: POLICY.grace }),
                    );
                }
                CallItem::Due(user) => {
                    room.graces.remove(user);
                }
            }
        }
        let counts = PresenceCounts { count: room.seats.len() as u64, ..Default::default() };
        CallOutcome::Done(CallAnswer { counts, tally: ChangeTally::default(), is_behind, graces })
    }

    pub(super) fn index(&mut self, own: Incarnation, task: &DeskTask) -> IndexOutcome {
        match task {
            DeskTask::Index(..) if self.dead.contains(&own) => return IndexOutcome::Dead,
            DeskTask::Index(room, number) => {
                let entry = self.index.entry((own, room.clone())).or_default();
                *entry = (*entry).max(*number);
            }
            DeskTask::Unindex(room, number, done) => {
                let there = self.rooms.get(room).and_then(|room| room.calls.get(&own));
                if let Some(there) = there.filter(|there| *done > 0 && *there != done) {
                    return IndexOutcome::Behind(*there);
                }
                let key = (own, room.clone());
                if self.index.get(&key).is_some_and(|known| known <= number) {
                    self.index.remove(&key);
                }
            }
            DeskTask::Call(_) => unreachable!(),
        }
        IndexOutcome::Done
    }
}
