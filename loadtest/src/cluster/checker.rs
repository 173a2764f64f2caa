//! The promise, checked: every member sees every message of its room exactly once, in ascending
//! seq, and the same content at a seq everywhere. Pure: it is told what each member saw.

use std::fmt;

use roomcast_protocol::{Epoch, Seq};

/// Violations that are kept in words; all are counted.
const KEPT: usize = 50;

/// No run comes this far; a seq beyond it is garbage and must not cost its weight in memory.
const FARTHEST: Seq = 10_000_000;

/// One way in which the promise was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Violation {
    /// A member saw a seq again.
    Duplicate { room: usize, member: usize, seq: Seq },
    /// A member saw a later seq after the one before was skipped.
    Hole { room: usize, member: usize, from: Seq, to: Seq },
    /// A member saw a skipped seq after all: out of order.
    Disorder { room: usize, member: usize, seq: Seq, after: Seq },
    /// A member saw something else at a seq than another, or than its author's ack says.
    Content { room: usize, member: Option<usize>, seq: Seq },
    /// At the end a member had not seen the last messages.
    Missing { room: usize, member: usize, from: Seq, to: Seq },
    /// The room was told to go on in another epoch.
    Epoch { room: usize, was: Epoch, is: Epoch },
    /// A room has more or fewer messages than were acknowledged.
    Count { room: usize, acknowledged: u64, seen: u64 },
    /// Something that should not have come, in words.
    Unexpected { room: usize, what: String },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate { room, member, seq } => {
                write!(f, "room {room}: member {member} saw seq {seq} twice")
            }
            Self::Hole { room, member, from, to } => {
                write!(f, "room {room}: member {member} was not shown seq {from} to {to}")
            }
            Self::Disorder { room, member, seq, after } => {
                write!(f, "room {room}: member {member} saw seq {seq} after {after}")
            }
            Self::Content { room, member: Some(member), seq } => {
                write!(f, "room {room}: member {member} saw other content at seq {seq}")
            }
            Self::Content { room, member: None, seq } => {
                write!(f, "room {room}: the ack for seq {seq} went to another message's author")
            }
            Self::Missing { room, member, from, to } => {
                write!(f, "room {room}: member {member} never saw seq {from} to {to}")
            }
            Self::Epoch { room, was, is } => {
                write!(f, "room {room}: went from epoch {was} to {is}")
            }
            Self::Count { room, acknowledged, seen } => {
                write!(f, "room {room}: {acknowledged} messages acknowledged, last seq {seen}")
            }
            Self::Unexpected { room, what } => write!(f, "room {room}: {what}"),
        }
    }
}

/// One room as its members tell of it.
#[derive(Debug, Clone, Default)]
struct Room {
    epoch: Option<Epoch>,
    /// What the first to tell said stands at seq 1, 2, 3 …
    contents: Vec<Option<u64>>,
    /// For each member, the seqs it has seen.
    members: Vec<Seen>,
    acknowledged: u64,
}

/// What one member saw.
#[derive(Debug, Clone, Default)]
struct Seen {
    last: Seq,
    /// Seqs below `last` that it has not seen.
    skipped: Vec<Seq>,
}

/// What all members of all rooms saw.
#[derive(Debug)]
pub(crate) struct Checker {
    rooms: Vec<Room>,
    kept: Vec<Violation>,
    count: u64,
}

impl Checker {
    /// A checker of rooms that begin at seq 1, with so many members each.
    pub(crate) fn new(rooms: usize, members: usize) -> Self {
        let room = Room { members: vec![Seen::default(); members], ..Room::default() };
        Self { rooms: vec![room; rooms], kept: Vec::new(), count: 0 }
    }

    /// A member saw a message; `content` stands for its data, the same for the same data.
    pub(crate) fn saw(&mut self, room: usize, member: usize, seq: Seq, content: u64) {
        if seq > FARTHEST {
            return self.unexpected(room, format!("member {member} saw seq {seq}"));
        }
        let Room { contents, members, .. } = &mut self.rooms[room];
        let seen = &mut members[member];
        let found = if seq > seen.last {
            let from = seen.last + 1;
            seen.skipped.extend(from..seq);
            seen.last = seq;
            (from < seq).then_some(Violation::Hole { room, member, from, to: seq - 1 })
        } else if let Some(at) = seen.skipped.iter().position(|&skipped| skipped == seq) {
            seen.skipped.swap_remove(at);
            Some(Violation::Disorder { room, member, seq, after: seen.last })
        } else {
            Some(Violation::Duplicate { room, member, seq })
        };
        let same = agrees(contents, seq, content);
        self.tell(found);
        self.tell((!same).then_some(Violation::Content { room, member: Some(member), seq }));
    }

    /// An author was told that its message has this seq.
    pub(crate) fn acknowledged(&mut self, room: usize, seq: Seq, content: u64) {
        if seq > FARTHEST {
            return self.unexpected(room, format!("an ack names seq {seq}"));
        }
        self.rooms[room].acknowledged += 1;
        let same = agrees(&mut self.rooms[room].contents, seq, content);
        self.tell((!same).then_some(Violation::Content { room, member: None, seq }));
    }

    /// An ack named the room's epoch.
    pub(crate) fn in_epoch(&mut self, room: usize, is: Epoch) {
        let was = *self.rooms[room].epoch.get_or_insert(is);
        self.tell((was != is).then_some(Violation::Epoch { room, was, is }));
    }

    /// Something came that breaks the promise by itself: a gap, a reset, an error.
    pub(crate) fn unexpected(&mut self, room: usize, what: String) {
        self.tell(Some(Violation::Unexpected { room, what }));
    }

    /// Messages acknowledged in all rooms.
    pub(crate) fn acknowledged_in_all(&self) -> u64 {
        self.rooms.iter().map(|room| room.acknowledged).sum()
    }

    /// Closes the books: the violations kept, and how many there were.
    pub(crate) fn finish(mut self) -> (Vec<Violation>, u64) {
        let mut found = Vec::new();
        for (room, Room { contents, members, acknowledged, .. }) in self.rooms.iter().enumerate() {
            let (seen, acknowledged) = (contents.len() as u64, *acknowledged);
            if seen != acknowledged || contents.contains(&None) {
                found.push(Violation::Count { room, acknowledged, seen });
            }
            for (member, Seen { last, .. }) in members.iter().enumerate() {
                if *last < seen {
                    found.push(Violation::Missing { room, member, from: last + 1, to: seen });
                }
            }
        }
        for violation in found {
            self.tell(Some(violation));
        }
        (self.kept, self.count)
    }

    fn tell(&mut self, violation: Option<Violation>) {
        let Some(violation) = violation else { return };
        self.count += 1;
        if self.kept.len() < KEPT {
            self.kept.push(violation);
        }
    }
}

/// Notes what stands at a seq; false if something else was noted before.
fn agrees(contents: &mut Vec<Option<u64>>, seq: Seq, content: u64) -> bool {
    let Some(at) = seq.checked_sub(1) else { return false };
    let at = at as usize;
    if contents.len() <= at {
        contents.resize(at + 1, None);
    }
    *contents[at].get_or_insert(content) == content
}

#[cfg(test)]
mod tests;
