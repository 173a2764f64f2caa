//! How a join finds its place: what it waits for, and where it may continue. Pure.

use std::rc::Rc;

use roomcast_protocol::{Epoch, Lineage, Position, Publish, RequestId, Seq};
use tokio::time::Instant;

use crate::connection::Connection;
use crate::log::{Cursor, RoomLog};

/// A join that cannot be answered yet.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) connection: Rc<Connection>,
    pub(crate) id: Option<RequestId>,
    pub(crate) since: Option<Position>,
    pub(crate) history: u32,
    /// When it fails, because the bus is away.
    pub(crate) deadline: Instant,
    /// What the bus says of a position that this node has not come to.
    pub(crate) known: Known,
    /// What the connection published in the room meanwhile: sequenced after the join, so that its
    /// author receives it.
    pub(crate) then: Vec<Publish>,
}

/// What the bus says of a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// It was not asked.
    Unasked,
    /// It knows the position: the node's log will come to it.
    Good,
    /// It does not: the room began anew since, and is in this epoch. Until the node's feed has told
    /// of that, its log is of a life that is over.
    Bad(Epoch),
}

/// Where a join may continue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plan {
    /// At this cursor of the log; for a resume, nothing is missing.
    Log { cursor: Cursor, at: Position },
    /// In a page of history that begins after this seq of the current epoch.
    Page { after: Seq },
    /// Beyond this node's log: Redis must say whether the position exists.
    Ahead,
    /// At the end, after a `reset`: the position is of another life.
    Reset,
}

/// Decides for a room whose log is here.
pub(crate) fn plan(log: &RoomLog, lineage: &Lineage, pending: &Pending) -> Plan {
    let end = log.end();
    let Some(since) = pending.since else {
        let back = end.seq.saturating_sub(u64::from(pending.history));
        return after(log, lineage, back);
    };
    match lineage.kept_of(since.epoch, end.seq) {
        Some(base) if since.seq <= base => after(log, lineage, since.seq),
        // Beyond what both epochs share: they parted before that message. The reader goes on
        // at the end of the log, which must not lie before what it keeps.
        Some(base) if since.epoch != lineage.epoch && base <= end.seq => Plan::Reset,
        Some(_) if since.epoch != lineage.epoch => Plan::Ahead,
        // An epoch or a seq this node has not heard of may be newer than what its feed has told.
        _ if pending.known == Known::Bad(lineage.epoch) => Plan::Reset,
        _ => Plan::Ahead,
    }
}

fn after(log: &RoomLog, lineage: &Lineage, seq: Seq) -> Plan {
    match log.cursor_after(seq) {
        // A new epoch may share more of the old one than the feed has told of it.
        None if seq > log.end().seq => Plan::Ahead,
        Some(cursor) => Plan::Log { cursor, at: Position { epoch: lineage.epoch, seq } },
        None => Plan::Page { after: seq },
    }
}

#[cfg(test)]
mod tests;
