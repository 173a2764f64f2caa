//! One room's presence in this process's memory: the same steps as `presence/presence.lua`, for the
//! bus of one node and as the model of that script. Pure; the time is passed in as Unix ms.

use hashbrown::HashMap;
use roomcast_protocol::{ConnectionId, Data, Epoch, UserName};

use crate::api::{
    ChangeTally, Departure, PresenceChange, PresenceCounts, PresenceEntry, PresenceList,
    PresenceMember, PresenceMode, PresenceNews, PresencePolicy, PresenceStatus, PresenceStep,
};

/// Who is in one room.
#[derive(Debug)]
pub(crate) struct Roster {
    counts: PresenceCounts,
    seats: HashMap<ConnectionId, PresenceMember>,
    people: HashMap<UserName, Person>,
    /// How often `change` was called.
    changes: u64,
    /// Whether only numbers are told.
    is_quiet: bool,
}

#[derive(Debug)]
struct Person {
    connections: u64,
    away: u64,
    /// When its grace ends, if one runs.
    leaving: Option<u64>,
    status: PresenceStatus,
    info: Option<Data>,
}

/// What changes in a room.
#[derive(Debug, Clone)]
pub(crate) enum RosterItem {
    /// A connection is in the room, and its info is the latest of its user.
    Show(PresenceMember),
    /// A connection is in the room; its info is used only where there is none.
    Keep(PresenceMember),
    /// A connection of this user is not, or no longer.
    Gone(ConnectionId, Option<UserName>, Departure),
    /// The grace of a user may be over.
    Due(UserName),
}

/// What a change brought.
#[derive(Debug, Default)]
pub(crate) struct RosterOutcome {
    /// What the room's readers hear.
    pub(crate) news: Option<PresenceNews>,
    /// Users of the change whose grace runs, with its end.
    pub(crate) graces: Vec<(UserName, u64)>,
    /// How many users changed.
    pub(crate) tally: ChangeTally,
}

/// The steps of one change.
struct Steps {
    list: Vec<PresenceStep>,
    tally: ChangeTally,
    now: u64,
    grace: u64,
}

impl Roster {
    /// A room without members, whose list has this identity.
    pub(crate) fn new(epoch: u64) -> Self {
        Self {
            counts: PresenceCounts { rev_epoch: Epoch(epoch), ..PresenceCounts::default() },
            seats: HashMap::new(),
            people: HashMap::new(),
            changes: 0,
            is_quiet: false,
        }
    }

    pub(crate) fn counts(&self) -> PresenceCounts {
        self.counts
    }

    /// A number that is another one after each change.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    /// Whether neither a connection nor a user whose grace runs is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.seats.is_empty() && self.people.is_empty()
    }

    /// Changes the room in one step.
    pub(crate) fn change(
        &mut self,
        items: impl IntoIterator<Item = RosterItem>,
        policy: PresencePolicy,
        now: u64,
    ) -> RosterOutcome {
        let (before, grace) = (self.counts, policy.grace.as_millis() as u64);
        self.changes += 1;
        let mut steps = Steps { list: Vec::new(), tally: ChangeTally::default(), now, grace };
        let mut touched: Vec<UserName> = Vec::new();
        for item in items {
            match item {
                RosterItem::Show(member) => self.come(member, true, &mut steps),
                RosterItem::Keep(member) => self.come(member, false, &mut steps),
                RosterItem::Gone(connection, user, how) => {
                    self.go(connection, how, &mut steps);
                    touched.extend(user);
                }
                RosterItem::Due(user) => {
                    let person = self.people.get(&user).filter(|it| it.connections == 0);
                    match person.map(|person| person.leaving.is_some_and(|at| at > now)) {
                        Some(true) => touched.push(user),
                        Some(false) => self.remove(&user, &mut steps),
                        None => {}
                    }
                }
            }
        }
        let most = u64::from(policy.events_max);
        let was_quiet = self.is_quiet;
        if policy.mode == PresenceMode::Counts || self.counts.count > most {
            self.is_quiet = true;
        } else if self.counts.count * 10 < most * 8 {
            self.is_quiet = false;
        }
        touched.sort_unstable();
        touched.dedup();
        let grace = |user: UserName| Some((user.clone(), self.people.get(&user)?.leaving?));
        let graces = touched.into_iter().filter_map(grace).collect();
        let numbers = |counts: PresenceCounts| (counts.count, counts.users);
        let tally = steps.tally;
        let said = steps.list.last().map_or(before, |step| step.counts);
        let is_changed = numbers(before) != numbers(self.counts)
            || !steps.list.is_empty()
            || self.is_quiet != was_quiet;
        let news = is_changed.then(|| match (self.is_quiet, was_quiet) {
            (true, _) => PresenceNews::Counts(self.counts),
            (false, true) => PresenceNews::Reset(self.counts),
            (false, false) => {
                if numbers(said) != numbers(self.counts) {
                    steps.list.push(PresenceStep { change: None, counts: self.counts });
                }
                PresenceNews::Steps(steps.list)
            }
        });
        RosterOutcome { news, graces, tally }
    }

    /// The list, in any order.
    pub(crate) fn list(&self) -> PresenceList {
        let seated = self.seats.values().map(|seat| {
            let person = seat.user.as_ref().and_then(|user| self.people.get(user));
            let (info, status) =
                person.map_or((&seat.info, seat.status), |person| (&person.info, person.status));
            let connection = Some(seat.connection);
            PresenceEntry { connection, user: seat.user.clone(), info: info.clone(), status }
        });
        let leaving = self.people.iter().filter(|(_, person)| person.connections == 0);
        let leaving = leaving.map(|(user, person)| PresenceEntry {
            connection: None,
            user: Some(user.clone()),
            info: person.info.clone(),
            status: person.status,
        });
        PresenceList { counts: self.counts, entries: seated.chain(leaving).collect() }
    }

    fn come(&mut self, mut member: PresenceMember, is_shown: bool, steps: &mut Steps) {
        let mut before = self.seats.get(&member.connection).cloned();
        if before.as_ref().is_some_and(|seat| seat.user != member.user) {
            self.go(member.connection, Departure::Left, steps);
            before = None;
        }
        self.counts.count += u64::from(before.is_none());
        let Some(user) = member.user.clone() else {
            if let Some(before) = &before {
                if !is_shown {
                    member.info.clone_from(&before.info);
                }
                if *before != member {
                    self.counts.rev += 1;
                    steps.tally.infos += u64::from(before.info != member.info);
                    steps.tally.statuses += u64::from(before.status != member.status);
                    steps.add(self.counts, shown(None, Some(member.connection), &member));
                }
            }
            self.seats.insert(member.connection, member);
            return;
        };
        let is_away = u64::from(member.status == PresenceStatus::Away);
        let was_away = before.as_ref().is_some_and(|seat| seat.status == PresenceStatus::Away);
        let (info, status) = (member.info.clone(), member.status);
        self.seats.insert(member.connection, member);
        let Some(person) = self.people.get_mut(&user) else {
            let person =
                Person { connections: 1, away: is_away, leaving: None, status, info: info.clone() };
            self.people.insert(user.clone(), person);
            self.counts.users += 1;
            self.counts.rev += 1;
            steps.tally.joined += 1;
            let joined = PresenceChange::Joined { user, info, time: steps.now };
            return steps.add(self.counts, joined);
        };
        person.connections += u64::from(before.is_none());
        person.away = person.away + is_away - u64::from(was_away);
        person.leaving = None;
        self.show(&user, is_shown.then_some(info), steps);
    }

    fn go(&mut self, connection: ConnectionId, how: Departure, steps: &mut Steps) {
        let Some(seat) = self.seats.remove(&connection) else { return };
        self.counts.count -= 1;
        let Some(user) = seat.user else { return };
        let Some(person) = self.people.get_mut(&user) else { return };
        person.connections -= 1;
        person.away -= u64::from(seat.status == PresenceStatus::Away);
        if person.connections > 0 {
            self.show(&user, None, steps);
        } else if how == Departure::Left || steps.grace == 0 {
            self.remove(&user, steps);
        } else {
            person.leaving = Some(steps.now + steps.grace);
        }
    }

    /// Shows what changed of a user that was there and stays.
    fn show(&mut self, user: &UserName, info: Option<Option<Data>>, steps: &mut Steps) {
        let Some(person) = self.people.get_mut(user) else { return };
        let all_away = person.away == person.connections;
        let status = if all_away { PresenceStatus::Away } else { PresenceStatus::Active };
        let info = info.unwrap_or_else(|| person.info.clone());
        if (status, &info) == (person.status, &person.info) {
            return;
        }
        steps.tally.infos += u64::from(info != person.info);
        steps.tally.statuses += u64::from(status != person.status);
        (person.status, person.info) = (status, info.clone());
        self.counts.rev += 1;
        let user = Some(user.clone());
        let change = PresenceChange::Shown { user, connection: None, info, status };
        steps.add(self.counts, change);
    }

    fn remove(&mut self, user: &UserName, steps: &mut Steps) {
        let Some(person) = self.people.remove(user) else { return };
        self.counts.users -= 1;
        self.counts.rev += 1;
        steps.tally.left += 1;
        let (user, info, time) = (user.clone(), person.info, steps.now);
        steps.add(self.counts, PresenceChange::Left { user, info, time });
    }
}

impl Steps {
    fn add(&mut self, counts: PresenceCounts, change: PresenceChange) {
        self.list.push(PresenceStep { change: Some(change), counts });
    }
}

fn shown(
    user: Option<UserName>,
    connection: Option<ConnectionId>,
    member: &PresenceMember,
) -> PresenceChange {
    let (info, status) = (member.info.clone(), member.status);
    PresenceChange::Shown { user, connection, info, status }
}

#[cfg(test)]
mod tests;
