//! The stalled members after the run, read again: were they cut, or do they have everything from
//! where they stood, or a `gap` that names what they lack? Pure; it is told of frames and ends.

use roomcast_protocol::{CloseCode, ServerFrame};
use serde::Serialize;

use crate::dialect::Dialect;

/// How the stalled members ended, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Ends {
    /// Closed with the slow code.
    pub(super) closed_4000: usize,
    /// Ended without a Close frame: the node had waited for them in vain.
    pub(super) cut: usize,
    /// Still there; received every message.
    pub(super) whole: usize,
    /// Still there; were told of a gap and received every other message.
    pub(super) gapped: usize,
    /// Ended in another way, or silently lack messages. A fault.
    pub(super) wrong: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Waits for this seq; `None` before its first message.
    Reading {
        next: Option<u64>,
        gapped: bool,
    },
    Closed,
    Cut,
    Wrong,
}

/// All stalled members of one run.
#[derive(Debug)]
pub(super) struct Woken {
    dialect: Dialect,
    states: Vec<State>,
    /// The room's first seq and the one after its last.
    seqs: (u64, u64),
}

impl Woken {
    /// So many members that were not read since they joined.
    pub(super) fn new(dialect: Dialect, members: usize) -> Self {
        let reading = State::Reading { next: None, gapped: false };
        Self { dialect, states: vec![reading; members], seqs: (0, 0) }
    }

    /// Everything was published: from the first of these seqs up to the second, not included.
    pub(super) fn expect(&mut self, seqs: (u64, u64)) {
        self.seqs = seqs;
    }

    /// A member received one frame.
    pub(super) fn receive(&mut self, member: usize, payload: &[u8]) {
        let State::Reading { next, gapped } = self.states[member] else { return };
        let expected = next.unwrap_or(self.seqs.0);
        self.states[member] = match self.dialect.decode(payload) {
            Ok(ServerFrame::Message { message, .. }) if message.seq == expected => {
                State::Reading { next: Some(expected + 1), gapped }
            }
            Ok(ServerFrame::Gap { from, to, .. }) if from == expected => {
                State::Reading { next: Some(to + 1), gapped: true }
            }
            _ => State::Wrong,
        };
    }

    /// A member's link ended; `why` in the engine's words.
    pub(super) fn end(&mut self, member: usize, why: &str) {
        let slow = format!("closed by the server: {}", CloseCode::Slow.code());
        self.states[member] = match self.states[member] {
            State::Reading { .. } if why.starts_with(&slow) => State::Closed,
            State::Reading { .. } if !why.starts_with("closed by the server") => State::Cut,
            _ => State::Wrong,
        };
    }

    fn has_all(&self, next: Option<u64>) -> bool {
        next.unwrap_or(self.seqs.0) == self.seqs.1
    }

    /// Whether nothing more is to come.
    pub(super) fn is_settled(&self) -> bool {
        let reads_on = |state: &State| match state {
            State::Reading { next, .. } => !self.has_all(*next),
            _ => false,
        };
        !self.states.iter().any(reads_on)
    }

    /// How they ended; who has not everything by now is wrong.
    pub(super) fn ends(&self) -> Ends {
        let mut ends = Ends::default();
        for state in &self.states {
            let count = match state {
                State::Reading { next, gapped: false } if self.has_all(*next) => &mut ends.whole,
                State::Reading { next, .. } if self.has_all(*next) => &mut ends.gapped,
                State::Closed => &mut ends.closed_4000,
                State::Cut => &mut ends.cut,
                State::Reading { .. } | State::Wrong => &mut ends.wrong,
            };
            *count += 1;
        }
        ends
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use roomcast_protocol::{Data, Encoding as Wire, Message};

    use super::*;
    use crate::dialect::{WireEncoding, room_name};
    use crate::server::Kind;

    fn bytes(frame: &ServerFrame) -> Vec<u8> {
        let mut payload = Vec::new();
        frame.encode(Wire::Json, &mut payload);
        payload
    }

    fn message(seq: u64) -> Vec<u8> {
        let data = Data::Json(Bytes::from_static(b"0"));
        let message = Message::new(seq, 0, data);
        bytes(&ServerFrame::Message { room: room_name(0).unwrap(), message: Arc::new(message) })
    }

    fn gap(from: u64, to: u64) -> Vec<u8> {
        bytes(&ServerFrame::gap(room_name(0).unwrap(), (from, to)))
    }

    /// What becomes of a member of a room with the seqs 3, 4 and 5.
    fn check(frames: &[Vec<u8>], end: Option<&str>, expected: Ends) {
        let addr = ([127, 0, 0, 1], 1).into();
        let dialect = Dialect {
            kind: Kind::Node,
            encoding: WireEncoding::Json,
            addr,
            door: Default::default(),
        };
        let mut woken = Woken::new(dialect, 1);
        woken.expect((3, 6));
        for frame in frames {
            woken.receive(0, frame);
        }
        if let Some(why) = end {
            woken.end(0, why);
        }
        assert_eq!(woken.ends(), expected);
        let unfinished = end.is_none() && frames.len() == 1;
        assert_eq!(woken.is_settled(), !unfinished);
    }

    #[test]
    fn ends_are_told_apart() {
        let all = [message(3), message(4), message(5)];
        check(&all, None, Ends { whole: 1, ..Ends::default() });
        check(&all[..1], None, Ends { wrong: 1, ..Ends::default() });
        check(&[message(3), message(5)], None, Ends { wrong: 1, ..Ends::default() });
        let gapped = Ends { gapped: 1, ..Ends::default() };
        check(&[message(3), gap(4, 4), message(5)], None, gapped);
        check(&[message(3), gap(4, 5)], None, gapped);
        check(&[message(3), gap(5, 5)], None, Ends { wrong: 1, ..Ends::default() });
        let closed = Ends { closed_4000: 1, ..Ends::default() };
        check(&all[..1], Some("closed by the server: 4000 slow"), closed);
        let cut = Ends { cut: 1, ..Ends::default() };
        check(&all[..1], Some("reading: Connection reset by peer (os error 104)"), cut);
        let wrong = Ends { wrong: 1, ..Ends::default() };
        check(&all[..1], Some("closed by the server: 1001 bye"), wrong);
    }
}
