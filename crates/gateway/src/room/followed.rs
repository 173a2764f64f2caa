//! Messages of a room whose authors want to know how many users have them. Pure: it says which to
//! count and when, and what is new.

use std::collections::BTreeMap;
use std::time::Duration;

use roomcast_protocol::{ConnectionId, Epoch, Position, Seq};
use tokio::time::Instant;

/// The followed messages of one room; most rooms have none.
#[derive(Debug, Default)]
pub(crate) struct FollowedMessages(Option<Box<ReceiptWatch>>);

#[derive(Debug, Default)]
struct ReceiptWatch {
    messages: BTreeMap<(Seq, ConnectionId), FollowedMessage>,
    /// A count is planned.
    is_planned: bool,
    /// When the last count began.
    counted: Option<Instant>,
}

#[derive(Debug)]
struct FollowedMessage {
    epoch: Epoch,
    /// What its author was told: users that received it, and that read it.
    told: (u64, u64),
}

impl FollowedMessages {
    /// Follows a message of a connection.
    pub(crate) fn add(&mut self, author: ConnectionId, at: Position) {
        let followed = self.0.get_or_insert_default();
        let message = FollowedMessage { epoch: at.epoch, told: (0, 0) };
        followed.messages.entry((at.seq, author)).or_insert(message);
    }

    /// Follows it no more.
    pub(crate) fn remove(&mut self, author: ConnectionId, seq: Seq) {
        if let Some(followed) = &mut self.0 {
            followed.messages.remove(&(seq, author));
        }
        self.shrink();
    }

    /// Follows none any more.
    pub(crate) fn clear(&mut self) {
        self.0 = None;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The first followed message.
    pub(crate) fn first(&self) -> Option<Seq> {
        self.0.as_ref()?.messages.first_key_value().map(|((seq, _), _)| *seq)
    }

    /// When to count; `None` if there is nothing to count, or a count is planned already.
    pub(crate) fn plan(&mut self, now: Instant, interval: Duration) -> Option<Instant> {
        let followed = self.0.as_mut()?;
        if std::mem::replace(&mut followed.is_planned, true) {
            return None;
        }
        Some(followed.counted.map_or(now, |counted| now.max(counted + interval)))
    }

    /// A count begins: of these messages, ascending.
    pub(crate) fn begin(&mut self, now: Instant) -> Vec<Seq> {
        let Some(followed) = &mut self.0 else { return Vec::new() };
        followed.is_planned = false;
        followed.counted = Some(now);
        let mut seqs: Vec<Seq> = followed.messages.keys().map(|(seq, _)| *seq).collect();
        seqs.dedup();
        seqs
    }

    /// What a count has found: news for authors. Messages of another epoch may be lost, and are
    /// followed no more.
    pub(crate) fn counted(
        &mut self,
        epoch: Epoch,
        counts: impl Iterator<Item = (Seq, (u64, u64))>,
    ) -> Vec<(ConnectionId, Seq, (u64, u64))> {
        let Some(followed) = &mut self.0 else { return Vec::new() };
        followed.messages.retain(|_, message| message.epoch == epoch);
        let mut news = Vec::new();
        for (seq, count) in counts {
            let range = (seq, ConnectionId(0))..=(seq, ConnectionId(u64::MAX));
            for ((seq, author), message) in followed.messages.range_mut(range) {
                if message.told != count {
                    message.told = count;
                    news.push((*author, *seq, count));
                }
            }
        }
        self.shrink();
        news
    }

    fn shrink(&mut self) {
        if self.0.as_ref().is_some_and(|followed| followed.messages.is_empty()) {
            self.0 = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH: Epoch = Epoch(7);

    fn at(seq: Seq) -> Position {
        Position { epoch: EPOCH, seq }
    }

    #[test]
    fn each_author_is_told_what_is_new() {
        let (one, two, now) = (ConnectionId(1), ConnectionId(2), Instant::now());
        let mut followed = FollowedMessages::default();
        assert_eq!(followed.plan(now, Duration::ZERO), None);
        followed.add(one, at(3));
        followed.add(two, at(3));
        followed.add(one, at(5));
        assert_eq!(followed.plan(now, Duration::ZERO), Some(now));
        assert_eq!(followed.plan(now, Duration::ZERO), None);
        assert_eq!(followed.begin(now), [3, 5]);
        let second = Duration::from_secs(1);
        assert_eq!(followed.plan(now + second / 2, second), Some(now + second));
        let counts = [(3, (2, 1)), (5, (0, 0))].into_iter();
        assert_eq!(followed.counted(EPOCH, counts), [(one, 3, (2, 1)), (two, 3, (2, 1))]);
        followed.remove(two, 3);
        let counts = [(3, (2, 1)), (5, (1, 0))].into_iter();
        assert_eq!(followed.counted(EPOCH, counts), [(one, 5, (1, 0))]);
        assert_eq!(followed.first(), Some(3));
        assert_eq!(followed.counted(Epoch(8), std::iter::empty()), []);
        assert!(followed.is_empty());
    }
}
