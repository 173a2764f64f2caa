//! The users that the application watches: asked for again on each connection.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use roomcast_protocol::{ClientFrame, RequestId, UserName};

use super::Action;
use super::requests::Refusal;
use crate::Event;

/// Users in one frame: about 33 KiB at the longest names, below any node's limit.
const USERS_PER_FRAME: usize = 256;

/// The watched users.
#[derive(Debug, Default)]
pub(super) struct Watches {
    users: BTreeSet<UserName>,
    /// Not told to the node yet.
    unsent: BTreeSet<UserName>,
    /// Not to be watched any more, which the node does not know yet.
    dropped: BTreeSet<UserName>,
    /// Told to the node, which has not answered.
    sent: BTreeMap<RequestId, Vec<UserName>>,
}

impl Watches {
    pub(super) fn watch(&mut self, users: Vec<UserName>) {
        for user in users {
            self.dropped.remove(&user);
            // One that is watched is asked for again too: its state is the answer.
            self.unsent.insert(user.clone());
            self.users.insert(user);
        }
    }

    pub(super) fn unwatch(&mut self, users: Vec<UserName>) {
        for user in users {
            self.unsent.remove(&user);
            self.users.remove(&user);
            self.dropped.insert(user);
        }
    }

    /// Sends what the node does not know yet.
    pub(super) fn send(&mut self, last_id: &mut RequestId, actions: &mut VecDeque<Action>) {
        while !self.dropped.is_empty() {
            *last_id += 1;
            let (id, users) = (Some(*last_id), first_of(&mut self.dropped));
            actions.push_back(Action::Send(ClientFrame::Unwatch { id, users }));
        }
        while !self.unsent.is_empty() {
            *last_id += 1;
            let (id, users) = (*last_id, first_of(&mut self.unsent));
            self.sent.insert(id, users.clone());
            actions.push_back(Action::Send(ClientFrame::Watch { id: Some(id), users }));
        }
    }

    /// The node has done it.
    pub(super) fn answered(&mut self, id: Option<RequestId>) {
        if let Some(id) = id {
            self.sent.remove(&id);
        }
    }

    /// The node refused; whether it was a `watch`, whose users are not watched then.
    pub(super) fn refused(
        &mut self,
        id: RequestId,
        refusal: &Refusal,
        actions: &mut VecDeque<Action>,
    ) -> bool {
        let Some(users) = self.sent.remove(&id) else { return false };
        for user in &users {
            self.users.remove(user);
        }
        let (code, message) = (refusal.code, refusal.message.clone());
        let event = Event::Error { room: None, code, message, retry_in: None };
        actions.push_back(Action::Tell(event));
        true
    }

    /// Whether this user is watched: what is still on its way is not told after `unwatch`.
    pub(super) fn knows(&self, user: &UserName) -> bool {
        self.users.contains(user)
    }

    /// The connection is gone, and with it what it watched.
    pub(super) fn lost(&mut self) {
        self.sent.clear();
        self.dropped.clear();
        self.unsent.clone_from(&self.users);
    }
}

fn first_of(users: &mut BTreeSet<UserName>) -> Vec<UserName> {
    std::iter::from_fn(|| users.pop_first()).take(USERS_PER_FRAME).collect()
}
