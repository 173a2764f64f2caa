//! Where a join begins to read: what it waits for, and what the log and the lineage say. Pure.

use std::fmt;
use std::rc::Rc;

use roomcast_access::identity::RoomPass;
use roomcast_protocol::{
    Data, Epoch, ErrorCode, EventName, JoinRoom, Lineage, Position, PresenceStatus, Publish,
    ReadMarks, RequestId, Seq,
};
use tokio::time::Instant;

use super::JoinPresence;
use crate::connection::Connection;
use crate::room_log::{Cursor, RoomLog};

/// A join that cannot be answered yet.
#[derive(Debug)]
pub(crate) struct PendingJoin {
    pub(crate) connection: Rc<Connection>,
    pub(crate) id: Option<RequestId>,
    pub(crate) since: Option<Position>,
    pub(crate) history: u32,
    /// A reader without the capability `history` gets no message before this time, in ms since 1970.
    pub(crate) oldest: Option<u64>,
    /// What the bus is asked before it is known where the join begins.
    pub(crate) lookup: JoinLookup,
    /// It is answered as one with `since`, also where it has none.
    pub(crate) resumes: bool,
    /// It is refused where it could only begin with a gap or a reset.
    pub(crate) strict: bool,
    /// The backend that asked for it; else the client did.
    pub(crate) backend: Option<JoinReply>,
    /// What of the same connection in this room it takes the place of.
    pub(crate) replaces: ReplacedJoin,
    /// What its user confirmed of the room, for `joined`.
    pub(crate) marks: Option<ReadMarks>,
    /// What such a reader does not get of pages that were read for it ends here.
    pub(crate) withheld: Option<Position>,
    /// When it is refused because the bus does not answer.
    pub(crate) deadline: Instant,
    /// What the bus says of a position that this node has not seen.
    pub(crate) known: PositionCheck,
    /// What others are to see of it.
    pub(crate) info: Option<Data>,
    /// It follows who is in the room.
    pub(crate) listens: bool,
    pub(crate) presence: JoinPresence,
    /// What the connection asked for in the room meanwhile, in its order.
    pub(crate) then: Vec<AfterJoin>,
}

/// What a join takes the place of: of what `users.auto_join` gave, and nothing else.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum ReplacedJoin {
    #[default]
    Nothing,
    /// A join that was not answered yet, and was taken back. It is made again if this one is refused.
    Waiting,
    /// A membership, which lasts until this join is answered by `joined`.
    Membership,
}

/// Answers a backend that asked for a join; dropped without an answer, the connection has ended.
pub(crate) struct JoinReply(Option<JoinAnswer>);

type JoinAnswer = Box<dyn FnOnce(Result<(), JoinRefusal>)>;

/// Why a join was refused, as the client would read it.
pub(crate) type JoinRefusal = (ErrorCode, String);

impl JoinReply {
    pub(crate) fn new(reply: impl FnOnce(Result<(), JoinRefusal>) + 'static) -> Self {
        Self(Some(Box::new(reply)))
    }

    pub(crate) fn answer(mut self, result: Result<(), JoinRefusal>) {
        if let Some(reply) = self.0.take() {
            reply(result);
        }
    }
}

impl Drop for JoinReply {
    fn drop(&mut self) {
        if let Some(reply) = self.0.take() {
            reply(Err((ErrorCode::Cancelled, "the connection has ended".to_owned())));
        }
    }
}

impl fmt::Debug for JoinReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinReply")
    }
}

/// Whether a join waits for the bus to say where it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JoinLookup {
    /// It does not.
    Known,
    /// It waits for the answer of this number.
    Asked(u64),
}

/// What waits for the answer to a join of the same connection and room.
#[derive(Debug)]
pub(crate) enum AfterJoin {
    /// A message: its author is to receive it too.
    Publish(Publish),
    /// A `join` with another token of the room, which replaces the one before.
    Token { id: Option<RequestId>, join: JoinRoom, pass: RoomPass },
    /// A backend's join of the room, which is done if the connection is a member then.
    Backend { join: Box<JoinRoom>, reply: JoinReply },
    /// What only a member may say.
    Word { id: Option<RequestId>, word: MemberWord },
}

/// What a member tells the others, or shows of itself.
#[derive(Debug)]
pub(crate) enum MemberWord {
    Signal { event: EventName, data: Option<Data> },
    Typing { active: bool },
    Show { info: Option<Data>, status: Option<PresenceStatus> },
}

/// What the bus says of a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PositionCheck {
    /// The bus was not asked.
    Unasked,
    /// The bus knows the position: the node's log will reach it.
    Good,
    /// The bus does not know it: the room is in this epoch now. Until the node's feed delivers that
    /// reset, the node's log is of an older epoch.
    Bad(Epoch),
}

/// Where a join begins to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StartPoint {
    /// At this cursor of the log; for a resume, nothing is missing.
    Log { cursor: Cursor, at: Position },
    /// In a page of backfill that begins after this seq of the current epoch.
    Page { after: Seq },
    /// Not yet: the bus was asked for the position, or to add the member.
    Asked,
    /// Beyond this node's log: the bus must say whether the position exists.
    Ahead,
    /// At the end, after a `reset`: the current epoch does not have the position.
    Reset,
}

/// Decides where a join begins, in a room whose log this worker has.
pub(crate) fn start_point(log: &RoomLog, lineage: &Lineage, pending: &PendingJoin) -> StartPoint {
    if pending.lookup != JoinLookup::Known || matches!(pending.presence, JoinPresence::Asked(_)) {
        return StartPoint::Asked;
    }
    let end = log.end();
    let Some(since) = pending.since else {
        let back = end.seq.saturating_sub(u64::from(pending.history));
        return after(log, lineage, back);
    };
    match lineage.kept_of(since.epoch, end.seq) {
        Some(base) if since.seq <= base => {
            let withheld = pending.withheld.filter(|end| end.epoch == lineage.epoch);
            after(log, lineage, withheld.map_or(since.seq, |end| end.seq.max(since.seq)))
        }
        // Beyond what both epochs share. The reader goes on at the end of the log, which must not
        // lie before what it keeps.
        Some(base) if since.epoch != lineage.epoch && base <= end.seq => StartPoint::Reset,
        Some(_) if since.epoch != lineage.epoch => StartPoint::Ahead,
        // An epoch or a seq that this node has not seen may be newer than its log.
        _ if pending.known == PositionCheck::Bad(lineage.epoch) => StartPoint::Reset,
        _ => StartPoint::Ahead,
    }
}

/// The same in a room with state. A reader of an older epoch gets the whole state: what it was not sent
/// there, newer values were to make good, and those may be lost with that epoch.
pub(crate) fn start_point_in_state(
    log: &RoomLog,
    lineage: &Lineage,
    pending: &PendingJoin,
) -> StartPoint {
    let is_older = |since: Position| since.seq > 0 && since.epoch != lineage.epoch;
    match start_point(log, lineage, pending) {
        StartPoint::Log { .. } | StartPoint::Page { .. } if pending.since.is_some_and(is_older) => {
            StartPoint::Reset
        }
        point => point,
    }
}

fn after(log: &RoomLog, lineage: &Lineage, seq: Seq) -> StartPoint {
    match log.cursor_after(seq) {
        // A new epoch may share more of the old one than the log has yet.
        None if seq > log.end().seq => StartPoint::Ahead,
        Some(cursor) => StartPoint::Log { cursor, at: Position { epoch: lineage.epoch, seq } },
        None => StartPoint::Page { after: seq },
    }
}

#[cfg(test)]
mod tests;
