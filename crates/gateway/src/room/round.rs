//! What one pass gives the members of a room beside its log. It goes through their gates, ahead of
//! the log: what a member cannot take soon is dropped for it, and a list that it follows is then to be
//! read again.

use std::sync::Arc;

use hashbrown::HashSet;
use roomcast_bus::Writer;
use roomcast_protocol::{ConnectionId, ServerFrame, UserName};

use super::RoomMember;
use crate::connection::Connection;
use crate::ephemeral::{AudienceMembers, EphemeralFrame, EphemeralItem};
use crate::form::Form;

/// Bytes waiting in a member's gate above which signals are dropped for it.
const MAX_WAITING_BYTES: usize = 16 * 1024;
/// The same for who comes and goes, and for the end of a typing.
const MAX_NEWS_WAITING_BYTES: usize = 64 * 1024;
/// Items that wait for a pass above which signals are dropped for all its members.
const MAX_ITEMS: usize = 4096;

/// What waits for the next pass.
#[derive(Debug, Default)]
pub(crate) struct WaitingItems {
    items: Vec<Arc<EphemeralItem>>,
    /// A pass is to take them now.
    is_due: bool,
    /// Signals went out within the period: more of them wait for its end.
    in_period: bool,
}

impl WaitingItems {
    /// Adds items; returns how many were dropped, as no pass keeps up.
    pub(crate) fn add(&mut self, items: &[Arc<EphemeralItem>]) -> u64 {
        let before = self.items.len();
        let is_full = before >= MAX_ITEMS;
        self.items.extend(items.iter().filter(|item| !is_full || item.is_needed()).cloned());
        self.is_due |= !self.in_period || items.iter().any(|item| item.is_needed());
        (items.len() - (self.items.len() - before)) as u64
    }

    /// Whether a pass is to take them now.
    pub(crate) fn is_due(&self) -> bool {
        self.is_due
    }

    /// A pass was asked for: the next signals wait for the end of the period. False if one is under way.
    pub(crate) fn begin_period(&mut self) -> bool {
        !std::mem::replace(&mut self.in_period, true)
    }

    /// The period is over: what waits is due.
    pub(crate) fn end_period(&mut self) {
        self.in_period = false;
        self.is_due |= !self.items.is_empty();
    }

    pub(super) fn take(&mut self) -> Option<Box<EphemeralRound>> {
        self.is_due = false;
        if self.items.is_empty() {
            return None;
        }
        Some(Box::new(EphemeralRound::new(std::mem::take(&mut self.items))))
    }
}

/// The items of one pass.
#[derive(Debug)]
pub(super) struct EphemeralRound {
    items: Vec<Arc<EphemeralItem>>,
    /// Connections and users of whom some items are not for all members.
    connections: HashSet<ConnectionId>,
    users: HashSet<UserName>,
    /// Complete bytes for members of whom no item is: by form, and whether they listen.
    prepared: Vec<(Form, bool, Vec<u8>)>,
}

impl EphemeralRound {
    fn new(items: Vec<Arc<EphemeralItem>>) -> Self {
        let (mut connections, mut users) = (HashSet::new(), HashSet::new());
        for item in &items {
            if let EphemeralItem::Frame(frame) = &**item {
                match &frame.audience().but {
                    Some(Writer::Connection(connection)) => drop(connections.insert(*connection)),
                    Some(Writer::User(user)) => drop(users.insert(user.clone())),
                    None => {}
                }
            }
        }
        Self { items, connections, users, prepared: Vec::new() }
    }

    /// Puts the items into a member's gate; returns how many signals were dropped for it, and whether
    /// anything was put there.
    pub(super) fn give(&mut self, connection: &Connection, member: &RoomMember) -> (u64, bool) {
        if !connection.is_open() {
            return (0, false);
        }
        let waiting = connection.unread_control();
        let is_behind = connection.is_blocked() || waiting > MAX_WAITING_BYTES;
        let is_author = self.connections.contains(&connection.id)
            || connection.user.as_ref().is_some_and(|user| self.users.contains(user));
        if !is_behind && !is_author {
            let bytes = self.prepare(connection.form, member.listens);
            connection.append_control(|control| control.extend_from_slice(bytes));
            let is_reset = member.listens && self.reset(connection);
            return (0, is_reset || !self.prepare(connection.form, member.listens).is_empty());
        }
        let (mut dropped, mut gave) = (0, false);
        let takes_news = waiting <= MAX_NEWS_WAITING_BYTES;
        for frame in self.items.iter().filter_map(|item| as_frame(item)) {
            if !is_for(frame, connection, member.listens) {
                continue;
            }
            match frame.audience().members {
                AudienceMembers::All if is_behind && !(takes_news && frame.is_needed()) => {
                    dropped += 1
                }
                AudienceMembers::Listeners if !takes_news => connection.missed_list.set(true),
                _ => {
                    let bytes = frame.encoded(connection.form);
                    connection.append_control(|control| control.extend_from_slice(bytes));
                    gave = true;
                }
            }
        }
        let is_reset = member.listens && self.reset(connection);
        (dropped, gave || is_reset)
    }

    /// Has a member that listens ask for the list again, if this round says so.
    fn reset(&self, connection: &Connection) -> bool {
        let reset = self.items.iter().find_map(|item| match &**item {
            EphemeralItem::ListReset { room, spread_ms } => Some((room, *spread_ms)),
            EphemeralItem::Frame(_) => None,
        });
        let Some((room, spread_ms)) = reset else { return false };
        let after_ms = rand::random_range(0..=spread_ms);
        connection.send(&ServerFrame::PresenceReset { room: room.clone(), after_ms });
        true
    }

    fn prepare(&mut self, form: Form, listens: bool) -> &[u8] {
        let known = |(of, to, _): &(Form, bool, Vec<u8>)| *of == form && *to == listens;
        let at = self.prepared.iter().position(known).unwrap_or_else(|| {
            let mut bytes = Vec::new();
            for frame in self.items.iter().filter_map(|item| as_frame(item)) {
                if listens || frame.audience().members == AudienceMembers::All {
                    bytes.extend_from_slice(frame.encoded(form));
                }
            }
            self.prepared.push((form, listens, bytes));
            self.prepared.len() - 1
        });
        &self.prepared[at].2
    }
}

fn as_frame(item: &EphemeralItem) -> Option<&EphemeralFrame> {
    match item {
        EphemeralItem::Frame(frame) => Some(frame),
        EphemeralItem::ListReset { .. } => None,
    }
}

fn is_for(frame: &EphemeralFrame, connection: &Connection, listens: bool) -> bool {
    let audience = frame.audience();
    let is_meant = listens || audience.members == AudienceMembers::All;
    is_meant
        && match &audience.but {
            Some(Writer::Connection(but)) => *but != connection.id,
            Some(Writer::User(but)) => connection.user.as_ref() != Some(but),
            None => true,
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ephemeral::Audience;
    use crate::room::MemberReader;
    use crate::tests::{at, connection, room_name};

    fn typing(active: bool) -> Arc<EphemeralItem> {
        let user = UserName::parse("ann").ok();
        let frame = ServerFrame::Typing { room: room_name(), user, connection: None, active };
        let audience = Audience { members: AudienceMembers::All, but: None };
        Arc::new(EphemeralItem::Frame(EphemeralFrame::new(frame, audience)))
    }

    #[test]
    fn signals_wait_for_the_end_of_a_period_and_news_do_not() {
        let mut waiting = WaitingItems::default();
        waiting.add(&[typing(true)]);
        assert!(waiting.is_due() && waiting.begin_period(), "the first goes at once");
        assert_eq!(waiting.take().map(|round| round.items.len()), Some(1));
        waiting.add(&[typing(true)]);
        waiting.add(&[typing(true)]);
        assert!(!waiting.is_due());
        waiting.end_period();
        assert!(waiting.is_due() && waiting.begin_period());
        assert_eq!(waiting.take().map(|round| round.items.len()), Some(2), "in one pass");

        waiting.add(&[typing(true)]);
        waiting.add(&[typing(false)]);
        assert!(waiting.is_due() && !waiting.begin_period(), "the period goes on");
        assert_eq!(waiting.take().map(|round| round.items.len()), Some(2), "with what waited");
        waiting.end_period();
        assert!(!waiting.is_due(), "a quiet room has no further pass");
    }

    #[tokio::test]
    async fn the_end_of_a_typing_is_kept_where_its_beginning_is_dropped() {
        let mut waiting = WaitingItems::default();
        assert_eq!(waiting.add(&vec![typing(true); MAX_ITEMS]), 0);
        assert_eq!(waiting.add(&[typing(true), typing(false)]), 1);

        let (connection, _client) = connection(1).await;
        let member = RoomMember {
            connection: None,
            membership: 0,
            author: false,
            listens: false,
            reader: MemberReader::Waiting(at(0)),
        };
        let mut round = EphemeralRound::new(vec![typing(true), typing(false)]);
        connection.append_control(|control| control.resize(MAX_WAITING_BYTES + 1, 0));
        assert_eq!(round.give(&connection, &member), (1, true));
        connection.append_control(|control| control.resize(MAX_NEWS_WAITING_BYTES + 1, 0));
        assert_eq!(round.give(&connection, &member), (2, false), "a member may be too far behind");
    }
}
