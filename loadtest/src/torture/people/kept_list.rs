//! The list of a room's users as a client keeps it by the rules of docs/protocol.md, and what breaks
//! them. Pure: no sockets, no clock.

use std::collections::BTreeSet;
use std::time::Duration;

use roomcast_protocol::{Epoch, Member, PresenceCounts, UserEvent, UserName};

/// How long after a list came an event of before its last step may come.
const LIST_READ: Duration = Duration::from_secs(2);

/// Which of the two events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Move {
    Joined,
    Left,
}

/// What a client knows of who is in a room.
#[derive(Debug)]
pub(super) struct KeptList {
    own: UserName,
    /// The list, while the client has one.
    users: Option<BTreeSet<UserName>>,
    /// Of the list.
    rev: (Epoch, u64),
    /// The newest revision that came, of a list whose life is known.
    seen: Option<(Epoch, u64)>,
    /// Of the last event on this connection. `joined` may be ahead of events on their way.
    last_event: Option<u64>,
    /// When the list came, and users that an event named since. A node reads a list in steps after
    /// its revision, so that it may hold the next changes already.
    came: Duration,
    named: BTreeSet<UserName>,
    pub(super) count: Option<u64>,
    /// Events since the join, while the list is not there.
    later: Vec<(Move, UserName, u64)>,
    /// Pages that came of the list that was asked for.
    pages: BTreeSet<UserName>,
    /// When the list is to be asked for.
    ask: Option<Duration>,
}

impl KeptList {
    /// Nothing is known yet; `own` is the listener's user.
    pub(super) fn new(own: UserName) -> Self {
        Self {
            own,
            users: None,
            rev: (Epoch::NONE, 0),
            seen: None,
            last_event: None,
            came: Duration::ZERO,
            named: BTreeSet::new(),
            count: None,
            later: Vec::new(),
            pages: BTreeSet::new(),
            ask: None,
        }
    }

    /// Whether the list is to be asked for now; says so once.
    pub(super) fn is_due(&mut self, now: Duration) -> bool {
        let is_due = self.ask.take_if(|ask| *ask <= now).is_some();
        if is_due {
            self.pages.clear();
        }
        is_due
    }

    /// The list could not be read: ask again.
    pub(super) fn ask_at(&mut self, at: Duration) {
        self.ask = Some(at);
    }

    /// The connection ended; the list is kept.
    pub(super) fn lost(&mut self) {
        self.ask = None;
        self.later.clear();
    }

    /// `joined`.
    pub(super) fn joined(
        &mut self,
        counts: Option<PresenceCounts>,
        now: Duration,
    ) -> Result<(), String> {
        self.later.clear();
        self.last_event = None;
        let Some(counts) = counts else {
            // `presence_reset` follows.
            (self.users, self.seen, self.count) = (None, None, None);
            return Ok(());
        };
        let told = (counts.rev_epoch, counts.rev);
        if self.users.is_none() || self.rev != told {
            (self.users, self.ask) = (None, Some(now));
        }
        self.count = Some(counts.count);
        match self.seen.replace(told) {
            Some((epoch, rev)) if epoch == told.0 && rev > told.1 => {
                Err(format!("`joined` at rev {} of {epoch} after rev {rev}", told.1))
            }
            _ => Ok(()),
        }
    }

    /// `user_joined` or `user_left`.
    pub(super) fn event(
        &mut self,
        kind: Move,
        event: &UserEvent,
        now: Duration,
    ) -> Result<(), String> {
        let UserEvent { user, rev, count, .. } = event;
        self.count = Some(*count);
        if *user == self.own {
            return Err(format!("{kind:?} of the listener's own user"));
        }
        if let Some(last) = self.last_event.replace(*rev).filter(|last| last >= rev) {
            return Err(format!("{kind:?} of {user} at rev {rev} after rev {last}"));
        }
        if let Some((_, seen)) = &mut self.seen {
            *seen = (*rev).max(*seen);
        }
        if self.users.is_none() {
            self.later.push((kind, user.clone(), *rev));
            return Ok(());
        }
        self.apply((kind, user), *rev, now)
    }

    /// `count`.
    pub(super) fn counted(&mut self, count: u64, rev: u64, keeps_list: bool) -> Result<(), String> {
        if !keeps_list && rev > self.rev.1 {
            (self.users, self.seen) = (None, None);
        }
        let fell = self.last_event.filter(|&last| last > rev);
        if self.seen.is_none_or(|(_, seen)| seen <= rev) {
            self.count = Some(count);
            self.moved(rev);
        }
        fell.map_or(Ok(()), |last| Err(format!("`count` at rev {rev} after rev {last}")))
    }

    /// A revision that changes no user of the list.
    pub(super) fn moved(&mut self, rev: u64) {
        if let Some((_, seen)) = &mut self.seen {
            *seen = rev.max(*seen);
        }
        if self.users.is_some() {
            self.rev.1 = rev.max(self.rev.1);
        }
    }

    /// `presence_reset`.
    pub(super) fn reset(&mut self, after: Duration, now: Duration) {
        (self.users, self.seen, self.last_event) = (None, None, None);
        self.count = None;
        self.later.clear();
        self.ask = Some(now + after);
    }

    /// A page of the list that was asked for; the whole list, its own user included, if it was the
    /// last one. Events that came before the list and are newer than it are applied.
    pub(super) fn page(
        &mut self,
        members: &[Member],
        counts: PresenceCounts,
        (is_last, now): (bool, Duration),
    ) -> Result<Option<BTreeSet<UserName>>, String> {
        self.pages.extend(members.iter().filter_map(|member| member.user.clone()));
        if !is_last {
            return Ok(None);
        }
        let whole = std::mem::take(&mut self.pages);
        if self.users.is_some() || self.ask.is_some() {
            // A look at it, or of before a reset.
            return Ok(Some(whole));
        }
        self.users = Some(whole.clone());
        (self.came, self.named) = (now, BTreeSet::new());
        self.rev = (counts.rev_epoch, counts.rev);
        let later = std::mem::take(&mut self.later);
        // A list may be a second old, and connections come and go at one revision: what was told
        // is newer.
        if self.count.is_none() || self.seen.is_some_and(|(_, seen)| seen < counts.rev) {
            self.count = Some(counts.count);
        }
        self.seen = Some((counts.rev_epoch, self.seen.map_or(0, |it| it.1).max(counts.rev)));
        for (kind, user, rev) in later {
            if let Some((_, seen)) = &mut self.seen {
                *seen = rev.max(*seen);
            }
            self.apply((kind, &user), rev, now)?;
        }
        Ok(Some(whole))
    }

    /// The users of the list, without the listener's own.
    pub(super) fn others(&self) -> Option<BTreeSet<UserName>> {
        let mut users = self.users.clone()?;
        users.remove(&self.own);
        Some(users)
    }

    /// Applies an event if it is newer than the list.
    fn apply(
        &mut self,
        (kind, user): (Move, &UserName),
        rev: u64,
        now: Duration,
    ) -> Result<(), String> {
        let Some(users) = self.users.as_mut().filter(|_| rev > self.rev.1) else { return Ok(()) };
        let before = std::mem::replace(&mut self.rev.1, rev);
        let fits = match kind {
            Move::Joined => users.insert(user.clone()),
            Move::Left => users.remove(user),
        };
        let is_first = self.named.insert(user.clone());
        if fits || (is_first && now < self.came + LIST_READ) {
            return Ok(());
        }
        let listed = if kind == Move::Joined { "listed" } else { "not listed" };
        Err(format!("{kind:?} of {user} at rev {rev}, who is {listed} at rev {before}"))
    }
}

#[cfg(test)]
#[path = "kept_list_tests.rs"]
mod tests;
