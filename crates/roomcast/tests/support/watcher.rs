//! A member that reads in a task of its own and holds all it is told to P1, P2 and P4.

use std::collections::BTreeMap;

use roomcast_protocol::{Position, Seq, ServerFrame};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{TestClient, soon, text};

/// What one membership was told.
#[derive(Debug, Clone)]
pub struct Heard {
    /// Where it stands.
    pub at: Position,
    /// Each message with its payload as JSON.
    pub messages: Vec<(Position, String)>,
    /// Both ends included.
    pub gaps: Vec<(Seq, Seq)>,
    /// Where each reset left it, and how many messages it lost.
    pub resets: Vec<(Position, u64)>,
}

impl Heard {
    fn new(at: Position) -> Self {
        Self { at, messages: Vec::new(), gaps: Vec::new(), resets: Vec::new() }
    }

    fn take(&mut self, frame: &ServerFrame) {
        match frame {
            ServerFrame::Message { message, .. } => {
                assert_eq!(message.seq, self.at.seq + 1, "the next one, and nothing else");
                self.at.seq = message.seq;
                self.messages.push((self.at, text(&message.data)));
            }
            ServerFrame::Gap { from, to, .. } => {
                assert_eq!(*from, self.at.seq + 1, "a gap begins where the reader stands");
                assert!(to >= from);
                self.at.seq = *to;
                self.gaps.push((*from, *to));
            }
            ServerFrame::Reset { epoch, seq, lost, .. } => {
                assert_ne!(*epoch, self.at.epoch, "a reset tells a new epoch");
                self.at = Position { epoch: *epoch, seq: *seq };
                self.resets.push((self.at, *lost));
            }
            other => panic!("a message, gap or reset was expected, not {other:?}"),
        }
    }

    /// Fails if anything was missing or began anew.
    #[track_caller]
    pub fn is_whole(&self) {
        assert_eq!((&self.gaps[..], &self.resets[..]), (&[][..], &[][..]));
    }
}

/// A connection that is a member of some rooms; dropping it cuts the connection.
pub struct Watcher {
    heard: watch::Receiver<BTreeMap<String, Heard>>,
    task: JoinHandle<()>,
}

impl Watcher {
    /// Joins the rooms at their ends and reads from then on.
    pub async fn join(mut client: TestClient, rooms: &[&str]) -> Self {
        let mut begun = BTreeMap::new();
        for room in rooms {
            begun.insert((*room).to_owned(), Heard::new(client.join(room).await.at));
        }
        let (told, heard) = watch::channel(begun);
        let task = tokio::spawn(async move {
            loop {
                let frame = client.frame().await;
                let room = match &frame {
                    ServerFrame::Message { room, .. }
                    | ServerFrame::Gap { room, .. }
                    | ServerFrame::Reset { room, .. } => room.as_str(),
                    other => panic!("{other:?}"),
                };
                told.send_modify(|rooms| rooms.get_mut(room).unwrap().take(&frame));
            }
        });
        Self { heard, task }
    }

    /// What it was told in a room, once that is enough.
    pub async fn until(&mut self, room: &str, enough: impl Fn(&Heard) -> bool) -> Heard {
        let what = format!("enough in {room}");
        let heard = soon(&what, self.heard.wait_for(|rooms| enough(&rooms[room]))).await;
        heard.expect("the reader's task goes on").get(room).unwrap().clone()
    }

    /// What it was told in a room once it stands at a position.
    pub async fn up_to(&mut self, room: &str, last: Position) -> Heard {
        self.until(room, |heard| heard.at.epoch == last.epoch && heard.at.seq >= last.seq).await
    }

    /// What it was told so far.
    pub fn heard(&self, room: &str) -> Heard {
        self.heard.borrow()[room].clone()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}
