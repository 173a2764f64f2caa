//! Holds what one membership is told to P1, P2 and P4: the next message, or first what is missing.

use roomcast_protocol::{Position, Seq, ServerFrame};

use super::{Joined, TestClient};

/// One membership's position, moved by its frames.
#[derive(Debug)]
pub struct Follow {
    pub room: String,
    pub at: Position,
    /// Messages received.
    pub messages: Vec<Seq>,
    /// Gaps that were told, both ends included.
    pub gaps: Vec<(Seq, Seq)>,
}

impl Follow {
    /// Of a membership that began here.
    pub fn new(room: &str, joined: Joined) -> Self {
        Self { room: room.into(), at: joined.at, messages: Vec::new(), gaps: Vec::new() }
    }

    /// Takes one frame; fails if it leaves a hole, comes twice, or is of no room.
    pub fn take(&mut self, frame: &ServerFrame) {
        match frame {
            ServerFrame::Message { room, message } => {
                assert_eq!(room.as_str(), self.room);
                assert_eq!(message.seq, self.at.seq + 1, "the next one, and nothing else");
                self.messages.push(message.seq);
                self.at.seq = message.seq;
            }
            ServerFrame::Gap { room, from, to, .. } => {
                assert_eq!(room.as_str(), self.room);
                assert_eq!(*from, self.at.seq + 1, "a gap begins where the reader stands");
                assert!(to >= from);
                self.gaps.push((*from, *to));
                self.at.seq = *to;
            }
            other => panic!("a message or a gap was expected, not {other:?}"),
        }
    }

    /// Reads until the reader stands at `last`.
    pub async fn until(&mut self, client: &mut TestClient, last: Seq) {
        while self.at.seq < last {
            let frame = client.frame().await;
            self.take(&frame);
        }
        assert_eq!(self.at.seq, last);
    }
}
