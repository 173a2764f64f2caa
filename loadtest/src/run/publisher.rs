//! A client that publishes in the streams that are its own. What cannot go now waits; where
//! publishes are acknowledged, a message waits until it is, and goes again after a loss.

use std::collections::BTreeMap;

use anyhow::Result;
use roomcast_protocol::RequestId;

use super::peer::{Outgoing, Peer};
use super::stamp::Stamp;

/// How a publisher's messages are made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Press {
    pub(super) peer: Peer,
    pub(super) first_room: usize,
    pub(super) rooms: usize,
    pub(super) payload: usize,
}

/// One publisher; its connection is the load's.
#[derive(Debug)]
pub(super) struct Publisher {
    streams: Vec<usize>,
    /// How many it published.
    turns: usize,
    waiting: BTreeMap<RequestId, Stamp>,
}

impl Publisher {
    /// Publishes in these streams, in turn.
    pub(super) fn new(streams: Vec<usize>) -> Self {
        Self { streams, turns: 0, waiting: BTreeMap::new() }
    }

    /// The stream whose turn it is.
    pub(super) fn next_stream(&mut self) -> usize {
        self.turns += 1;
        self.streams[(self.turns - 1) % self.streams.len()]
    }

    /// The first of its streams, whose room a peer may bind it to.
    pub(super) fn first_stream(&self) -> usize {
        self.streams[0]
    }

    /// A message is due.
    pub(super) fn push(&mut self, id: RequestId, stamp: Stamp) {
        self.waiting.insert(id, stamp);
    }

    /// The frame of a message, if it still waits. Where nothing is acknowledged it waits no more.
    pub(super) fn frame(&mut self, id: RequestId, press: &Press) -> Result<Option<Vec<u8>>> {
        let stamp = match press.peer.acknowledges() {
            true => self.waiting.get(&id).copied(),
            false => self.waiting.remove(&id),
        };
        let Some(stamp) = stamp else { return Ok(None) };
        let room = press.first_room + stamp.stream % press.rooms;
        let outgoing = Outgoing { room, id, text: &stamp.text(), bytes: press.payload };
        press.peer.publish(&outgoing).map(Some)
    }

    /// All that wait, in the order in which they were due.
    pub(super) fn waiting(&self) -> Vec<RequestId> {
        self.waiting.keys().copied().collect()
    }

    /// How many wait.
    pub(super) fn backlog(&self) -> usize {
        self.waiting.len()
    }

    /// A message is kept by the server.
    pub(super) fn acked(&mut self, id: RequestId) {
        self.waiting.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { stream: 3, number: 1, intended: 9 };

    #[test]
    fn messages_wait_for_their_ack_where_there_is_one() {
        let press = |peer| Press { peer, first_room: 100, rooms: 2, payload: 64 };
        let mut publisher = Publisher::new(vec![3, 5]);
        publisher.push(1, STAMP);
        let frame = publisher.frame(1, &press(Peer::Roomcast)).unwrap();
        assert_eq!(publisher.frame(1, &press(Peer::Roomcast)).unwrap(), frame);
        assert_eq!(publisher.waiting(), [1]);
        publisher.acked(1);
        assert_eq!(publisher.frame(1, &press(Peer::Roomcast)).unwrap(), None);
        publisher.push(2, STAMP);
        assert!(publisher.frame(2, &press(Peer::Ws)).unwrap().is_some());
        assert_eq!(publisher.backlog(), 0);
    }

    #[test]
    fn streams_take_turns() {
        let mut publisher = Publisher::new(vec![3, 5]);
        assert_eq!([(); 3].map(|()| publisher.next_stream()), [3, 5, 3]);
    }
}
