//! What nodes answer to an application's questions.

use roomcast_protocol::{
    Epoch, Member, Position, PresenceCounts, ReadMarks, RoomName, Seq, StateEntry,
};

use crate::HistoryPage;

/// A page of a room's members.
#[derive(Debug, Clone, PartialEq)]
pub struct MemberPage {
    /// The members of this page.
    pub members: Vec<Member>,
    /// The room's members in numbers; the list is that of `rev`.
    pub counts: PresenceCounts,
    /// What to ask with for the next page; `None` on the last. Good for 30 s, on one connection.
    pub more: Option<Box<str>>,
}

/// A part of a room's state; all parts of one reading are of one position.
#[derive(Debug, Clone, PartialEq)]
pub struct RoomStatePart {
    /// What the values hold: joining `since` it misses no change.
    pub position: Position,
    /// The values of this part.
    pub entries: Vec<StateEntry>,
    /// What to ask with for the next part; `None` on the last. Good for 30 s, on one connection.
    pub page: Option<Box<str>>,
}

/// Where a room is.
#[derive(Debug, Clone, PartialEq)]
pub struct RoomFacts {
    /// The room.
    pub room: RoomName,
    /// Its last message; `Position::START` if nothing was ever published in it.
    pub position: Position,
    /// Its members in numbers, if presence is on and the client may know.
    pub counts: Option<PresenceCounts>,
    /// How far the user has confirmed it, in rooms with receipts.
    pub marks: Option<ReadMarks>,
    /// The time of its last message, Unix ms by the bus's clock.
    pub time: Option<u64>,
}

/// How far a user has confirmed a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConfirmedMarks {
    /// The epoch that the seqs count in.
    pub epoch: Epoch,
    /// The last message that was received.
    pub received: Seq,
    /// The last message that was read.
    pub read: Seq,
}

/// How far a user's confirmation goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirms {
    /// The messages were received.
    Received,
    /// They were received and read.
    Read,
}

/// An answer on its way to the application; of the kind that was asked for.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "public for the simulation only")]
pub enum ClientAnswer {
    History(HistoryPage),
    Members(MemberPage),
    State(RoomStatePart),
    Rooms(Vec<RoomFacts>),
    Confirmed(ConfirmedMarks),
    Shown,
}
