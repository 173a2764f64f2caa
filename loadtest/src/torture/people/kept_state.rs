//! A room's state as a client keeps it by the rules of docs/protocol.md, and what breaks them. The old
//! values are kept until a snapshot's last part. Pure: no sockets, no clock.

use std::collections::BTreeMap;

use roomcast_protocol::{Position, Seq, StateKey};

use crate::torture::journal::Content;

/// Under each key: which message set it, and to what.
pub(super) type StateMap = BTreeMap<StateKey, (Seq, Content)>;

/// A snapshot on its way.
#[derive(Debug)]
enum Incoming {
    Announced,
    Begun { at: Position, values: StateMap },
}

/// One part of a snapshot.
#[derive(Debug)]
pub(super) struct JudgedPart {
    pub(super) at: Position,
    pub(super) entries: Vec<(StateKey, Seq, Content)>,
    pub(super) more: bool,
}

/// What a client knows of a room's state.
#[derive(Debug, Default)]
pub(super) struct StateCopy {
    pub(super) values: StateMap,
    /// What it resumes from.
    at: Option<Position>,
    /// Where a join that did not recover goes on, until a gap or reset names what is missing.
    beyond: Option<Position>,
    incoming: Option<Incoming>,
}

impl StateCopy {
    /// What the client resumes from.
    pub(super) fn position(&self) -> Option<Position> {
        self.at
    }

    /// Whether it has a whole state.
    pub(super) fn is_whole(&self) -> bool {
        self.at.is_some() && self.beyond.is_none() && self.incoming.is_none()
    }

    /// The connection ended.
    pub(super) fn lost(&mut self) {
        (self.beyond, self.incoming) = (None, None);
    }

    /// `joined`.
    pub(super) fn joined(
        &mut self,
        at: Position,
        recovered: Option<bool>,
        follows: AfterFrame,
    ) -> Result<(), String> {
        (self.beyond, self.incoming) = (None, None);
        match (follows, self.at, recovered) {
            (AfterFrame::Snapshot, None, None) | (AfterFrame::Snapshot, Some(_), Some(false)) => {
                self.incoming = Some(Incoming::Announced);
                Ok(())
            }
            (AfterFrame::Changes, Some(stood), Some(true)) => {
                self.at = Some(at);
                if stood.seq == at.seq {
                    return Ok(());
                }
                Err(format!("resumed at {} although it was at {}", at.seq, stood.seq))
            }
            (AfterFrame::Changes, Some(_), Some(false)) => {
                self.beyond = Some(at);
                Ok(())
            }
            (_, stood, _) => {
                self.at = self.at.or(Some(at));
                Err(format!(
                    "`joined` with recovered {recovered:?}, {follows:?}; it was at {stood:?}"
                ))
            }
        }
    }

    /// `message`: sets a key, or removes it.
    pub(super) fn message(
        &mut self,
        seq: Seq,
        key: &StateKey,
        value: Option<Content>,
    ) -> Result<Position, String> {
        // A join that did not recover may begin with what is not left out.
        let is_next = self.at.is_some_and(|at| at.seq + 1 == seq);
        if self.incoming.is_none()
            && is_next
            && let Some(beyond) = self.beyond.take()
        {
            self.at = self.at.map(|at| Position { epoch: beyond.epoch, ..at });
        }
        let Some(stood) = self.at.filter(|_| self.is_whole()) else {
            let Self { at, beyond, incoming, .. } = self;
            let part = incoming.as_ref().map(|incoming| match incoming {
                Incoming::Announced => None,
                Incoming::Begun { at, .. } => Some(*at),
            });
            return Err(format!(
                "message {seq} before the snapshot, gap or reset that is due; it was at {at:?}, its \
                 join at {beyond:?}, its snapshot at {part:?}"
            ));
        };
        let at = Position { seq, ..stood };
        self.at = Some(at);
        let before = match value {
            Some(content) => self.values.insert(key.clone(), (seq, content)),
            None => self.values.remove(key),
        };
        if seq != stood.seq + 1 {
            return Err(format!("message {seq} after {}", stood.seq));
        }
        match before {
            Some((older, _)) if older >= seq => {
                Err(format!("{key} goes from {older} back to {seq}"))
            }
            _ => Ok(at),
        }
    }

    /// `gap`.
    pub(super) fn gap(
        &mut self,
        (from, to): (Seq, Seq),
        follows: AfterFrame,
    ) -> Result<(), String> {
        let (stood, beyond) = (self.at, self.beyond.take());
        let fits = to >= from && stood.is_none_or(|at| from == at.seq + 1);
        let wrong = format!("gap {from} to {to}, {follows:?}, but it was at {stood:?}");
        match (follows, stood, &self.incoming) {
            (AfterFrame::Snapshot, ..) => self.incoming = Some(Incoming::Announced),
            (AfterFrame::Changes, Some(stood), None) => {
                self.at = Some(Position { seq: to, ..beyond.unwrap_or(stood) });
            }
            _ => return Err(wrong),
        }
        if fits { Ok(()) } else { Err(wrong) }
    }

    /// `reset`; the whole state follows always.
    pub(super) fn reset(&mut self, follows: AfterFrame) -> Result<(), String> {
        (self.beyond, self.incoming) = (None, Some(Incoming::Announced));
        match follows {
            AfterFrame::Snapshot => Ok(()),
            AfterFrame::Changes => Err("`reset` without a snapshot".to_owned()),
        }
    }

    /// `state`: a part of the snapshot; true if it was the last one.
    pub(super) fn part(&mut self, part: JudgedPart) -> Result<bool, String> {
        let (at, mut values) = match self.incoming.take() {
            Some(Incoming::Announced) => (part.at, StateMap::new()),
            Some(Incoming::Begun { at, values }) => (at, values),
            None => return Err("a part of a snapshot that nothing announced".to_owned()),
        };
        let mut wrong =
            (at != part.at).then(|| format!("a snapshot at {at:?} goes on at {:?}", part.at));
        for (key, seq, content) in part.entries {
            if seq > at.seq {
                wrong.get_or_insert(format!("{key} is of {seq} in a snapshot at {}", at.seq));
            }
            if values.insert(key.clone(), (seq, content)).is_some() {
                wrong.get_or_insert(format!("{key} comes twice in a snapshot"));
            }
        }
        if part.more {
            self.incoming = Some(Incoming::Begun { at, values });
        } else {
            (self.values, self.at, self.beyond) = (values, Some(at), None);
        }
        wrong.map_or(Ok(!part.more), Err)
    }
}

/// What a `joined`, `gap` or `reset` says that comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AfterFrame {
    Snapshot,
    Changes,
}

impl AfterFrame {
    /// Of the field `state`.
    pub(super) fn of(state: bool) -> Self {
        if state { Self::Snapshot } else { Self::Changes }
    }
}

#[cfg(test)]
#[path = "kept_state_tests.rs"]
mod tests;
