//! What a member notes of one room, frame by frame, and where it stands by the protocol's rules:
//! only `joined`, `message`, `gap` and `reset` move a position. Pure.

use std::fmt;
use std::time::Duration;

use roomcast_protocol::{Position, Seq};

/// Who published a message, and as which of its messages: enough to tell all of them apart.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Content {
    pub(super) publisher: u32,
    pub(super) number: u32,
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}n{}", self.publisher, self.number)
    }
}

impl Content {
    /// As it stands at the head of a message's text: `p4n17|`.
    pub(super) fn text(self) -> String {
        format!("{self:?}|")
    }

    /// Reads a text that `text` began and the load filled up with `x`; `None` if it is another.
    pub(super) fn of(text: &[u8]) -> Option<Self> {
        let bar = text.iter().position(|&byte| byte == b'|')?;
        let (head, fill) = (std::str::from_utf8(&text[..bar]).ok()?, &text[bar + 1..]);
        let (publisher, number) = head.strip_prefix('p')?.split_once('n')?;
        let is_whole = fill.iter().all(|&byte| byte == b'x');
        let content = Self { publisher: publisher.parse().ok()?, number: number.parse().ok()? };
        is_whole.then_some(content)
    }
}

/// One thing that happened to one membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// `joined`.
    Joined { at: Position, recovered: Option<bool> },
    /// `message`.
    Message { seq: Seq, content: Content },
    /// `gap`.
    Gap { from: Seq, to: Seq },
    /// `reset`.
    Reset { at: Position, lost: u64 },
    /// The connection is gone, whoever ended it.
    Lost,
    /// It forgets where it stood: its next join is a first one.
    Forgot,
}

/// An entry and when it was made, since the run began.
pub(super) type Noted = (Duration, Entry);

impl Entry {
    /// One word or two.
    pub(super) fn text(&self) -> String {
        let place = |at: &Position| format!("{}:{}", at.epoch, at.seq);
        match self {
            Self::Joined { at, recovered: None } => format!("joined {}", place(at)),
            Self::Joined { at, recovered: Some(true) } => format!("resumed {}", place(at)),
            Self::Joined { at, .. } => format!("joined {} not recovered", place(at)),
            Self::Message { seq, content } => format!("{seq}={content:?}"),
            Self::Gap { from, to } => format!("gap {from}–{to}"),
            Self::Reset { at, lost } => format!("reset {} lost {lost}", place(at)),
            Self::Lost => "connection lost".to_owned(),
            Self::Forgot => "forgot".to_owned(),
        }
    }
}

/// Where a member stands in its room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Stand {
    /// What it resumes from; `None` before its first `joined`.
    pub(super) at: Option<Position>,
    /// Where a join that did not recover continues, until a `gap` or `reset` names what is missing.
    /// Until then the position stays: a connection lost in between must not hide the hole.
    pub(super) beyond: Option<Position>,
}

impl Stand {
    /// Where the next frames continue from.
    pub(super) fn front(&self) -> Option<Position> {
        self.beyond.or(self.at)
    }

    /// Moves by the protocol's rules.
    pub(super) fn advance(&mut self, entry: &Entry) {
        match *entry {
            Entry::Joined { at, recovered: Some(false) } if self.at.is_some() => {
                self.beyond = Some(at);
            }
            Entry::Joined { at, .. } | Entry::Reset { at, .. } => self.stand(at),
            Entry::Message { seq, .. } | Entry::Gap { to: seq, .. } => {
                if let Some(front) = self.front() {
                    self.stand(Position { seq, ..front });
                }
            }
            Entry::Lost => self.beyond = None,
            Entry::Forgot => *self = Self::default(),
        }
    }

    fn stand(&mut self, at: Position) {
        *self = Self { at: Some(at), beyond: None };
    }
}

#[cfg(test)]
mod tests {
    use roomcast_protocol::Epoch;

    use super::*;

    fn at(epoch: u64, seq: Seq) -> Position {
        Position { epoch: Epoch(epoch), seq }
    }

    #[test]
    fn contents_are_read_back_whole_only() {
        let content = Content { publisher: 4, number: 17 };
        assert_eq!(Content::of(format!("{}xxx", content.text()).as_bytes()), Some(content));
        assert_eq!(Content::of(content.text().as_bytes()), Some(content));
        for bad in ["p4n17|xyx", "p4n17", "p4|", "", "|"] {
            assert_eq!(Content::of(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn only_four_frames_move_a_position() {
        let mut stand = Stand::default();
        let content = Content { publisher: 0, number: 0 };
        for (entry, expected) in [
            (Entry::Lost, None),
            (Entry::Joined { at: at(1, 5), recovered: None }, Some(at(1, 5))),
            (Entry::Message { seq: 6, content }, Some(at(1, 6))),
            (Entry::Gap { from: 7, to: 9 }, Some(at(1, 9))),
            (Entry::Reset { at: at(2, 3), lost: 6 }, Some(at(2, 3))),
            (Entry::Lost, Some(at(2, 3))),
            (Entry::Forgot, None),
        ] {
            stand.advance(&entry);
            assert_eq!(stand.at, expected, "{entry:?}");
        }
    }

    #[test]
    fn a_hole_without_a_name_is_not_passed() {
        let mut stand = Stand { at: Some(at(1, 7)), beyond: None };
        let join = Entry::Joined { at: at(2, 30), recovered: Some(false) };
        stand.advance(&join);
        assert_eq!((stand.at, stand.front()), (Some(at(1, 7)), Some(at(2, 30))));
        stand.advance(&Entry::Lost);
        assert_eq!(stand.front(), Some(at(1, 7)));
        stand.advance(&join);
        stand.advance(&Entry::Reset { at: at(2, 30), lost: 7 });
        assert_eq!(stand.front(), Some(at(2, 30)));
    }
}
