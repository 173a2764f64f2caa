//! What the members of a room on one worker are owed while that worker's queue is full: what the log,
//! which the worker gets again, does not tell. Pure.

use std::sync::Arc;

use roomcast_bus::ReceiptNews;
use roomcast_protocol::{RoomKind, RoomName};

use crate::ephemeral::EphemeralItem;

/// Ends of typings that are kept for one room and worker; of more, the oldest are dropped.
const MAX_ENDS: usize = 256;

/// What follows the log.
#[derive(Debug, Default)]
pub(super) struct OwedNews {
    /// Typings that have ended.
    pub(super) ends: Vec<Arc<EphemeralItem>>,
    /// Where the user of its own room is. In other rooms the log has the worker count again.
    pub(super) receipts: Option<ReceiptNews>,
}

impl OwedNews {
    /// These items were not sent.
    pub(super) fn keep_ends(&mut self, items: &[Arc<EphemeralItem>]) {
        let ends_typing = |item: &&Arc<EphemeralItem>| match &***item {
            EphemeralItem::Frame(frame) => frame.ends_typing(),
            EphemeralItem::ListReset { .. } => false,
        };
        self.ends.extend(items.iter().filter(ends_typing).cloned());
        self.ends.drain(..self.ends.len().saturating_sub(MAX_ENDS));
    }

    /// This news of a room was not sent: positions are absolute, so that the last one tells all.
    pub(super) fn keep_receipts(&mut self, room: &RoomName, news: &[ReceiptNews]) {
        if room.kind() == RoomKind::User
            && let Some(last) = news.last()
        {
            self.receipts = Some(last.clone());
        }
    }
}
