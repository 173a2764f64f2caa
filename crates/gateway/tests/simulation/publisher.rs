//! The model of a node's publisher for one room: groups, one under way, each under a number.

use std::collections::VecDeque;

use roomcast_protocol::{ConnectionId, RequestId};

use super::stream::{Answer, Group, Item};

/// Most publications in a group.
const MAX_GROUP: usize = 3;

/// Who wants to know what became of a publication.
pub(super) type Asker = Option<(ConnectionId, RequestId)>;

/// A group under way.
#[derive(Debug, Clone)]
pub(super) struct Flight {
    pub(super) group: Group,
    pub(super) askers: Vec<Asker>,
    pub(super) answer: Option<Answer>,
    /// It was sent and its answer is lost: it may still be on its way to the server it was sent to.
    pub(super) sent: Option<usize>,
}

/// What a node publishes in one room.
#[derive(Debug, Default)]
pub(super) struct Publisher {
    queue: VecDeque<(Item, Asker)>,
    number: u64,
    pub(super) flight: Option<Flight>,
}

impl Publisher {
    pub(super) fn submit(&mut self, item: Item, asker: Asker) {
        self.queue.push_back((item, asker));
    }

    /// The group to send now, if one waits.
    pub(super) fn next(&mut self, node: u64) -> Option<&mut Flight> {
        if self.flight.is_none() && !self.queue.is_empty() {
            self.number += 1;
            let count = self.queue.len().min(MAX_GROUP);
            let (items, askers) = self.queue.drain(..count).unzip();
            let group = Group { node, number: self.number, items };
            self.flight = Some(Flight { group, askers, answer: None, sent: None });
        }
        self.flight.as_mut().filter(|flight| flight.answer.is_none())
    }

    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.flight.is_none()
    }
}
