//! A thin client in one or two rooms. It notes every frame exactly as it came, and after each loss
//! resumes where it stood, at any node; a few begin anew instead.

use std::time::{Duration, Instant};

use anyhow::Result;
use roomcast_protocol::{
    ClientFrame, ErrorCode, JoinRoom, Position, RequestId, RoomName, ServerFrame, Since,
};

use super::checker::{Checker, MemberId, Rule};
use super::journal::{Content, Entry};
use super::way::{Turn, Way};
use crate::dialect::text_of;
use crate::engine::Engine;

/// Messages that a first join begins with.
const HISTORY: u32 = 50;
/// A live node answers a join within so many of its pongs, one a second.
const PATIENCE: u64 = 12;
/// Before a join that was turned away is tried again, if the node does not say.
const PAUSE: Duration = Duration::from_millis(200);

/// One thin client.
pub(super) struct TortureMember {
    pub(super) way: Way,
    pub(super) seats: Vec<Seat>,
    forgets: bool,
    joins: RequestId,
}

/// Its place in one room.
pub(super) struct Seat {
    pub(super) id: MemberId,
    name: RoomName,
    standing: Standing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Wanted { from: Option<Instant> },
    Joining { id: RequestId, pongs: u64 },
    Joined,
}

impl TortureMember {
    /// A client that will be in these rooms.
    pub(super) fn new(way: Way, rooms: Vec<(MemberId, RoomName)>, forgets: bool) -> Self {
        let standing = Standing::Wanted { from: None };
        let seat = |(id, name)| Seat { id, name, standing };
        Self { way, seats: rooms.into_iter().map(seat).collect(), forgets, joins: 0 }
    }

    /// Whether it is one of those that begin anew after a loss, with some history.
    pub(super) fn forgets(&self) -> bool {
        self.forgets
    }

    /// Joins whatever is wanted and may be joined.
    pub(super) fn tick(
        &mut self,
        engine: &mut Engine,
        checker: &mut Checker,
        now: (Instant, Duration),
    ) {
        if !self.way.is_live() {
            return;
        }
        let mut rooms = Vec::new();
        let id = self.joins + 1;
        for seat in &mut self.seats {
            match seat.standing {
                Standing::Wanted { from } if from.is_none_or(|from| from <= now.0) => {
                    seat.standing = Standing::Joining { id, pongs: self.way.pongs };
                    let since = checker.position(seat.id);
                    rooms.push(JoinRoom {
                        since: since.map(Since::Position),
                        history: since.is_none().then_some(HISTORY),
                        ..JoinRoom::new(seat.name.clone())
                    });
                }
                Standing::Joining { pongs, .. } if self.way.pongs > pongs + PATIENCE => {
                    let what = format!("a join unanswered while {PATIENCE} pongs came");
                    let room = checker.room_of(seat.id);
                    let who = format!("member {}", seat.id);
                    checker.fail(Rule::Answer, Some(room), (who, what), now.1);
                    seat.standing = Standing::Joining { id, pongs: u64::MAX / 2 };
                }
                _ => {}
            }
        }
        if !rooms.is_empty() {
            self.joins = id;
            self.way.send(engine, &ClientFrame::Join { id: Some(id), rooms });
        }
    }

    /// The connection is gone; which memberships it takes with it.
    pub(super) fn down(&mut self) -> Vec<MemberId> {
        let mut lost = Vec::new();
        for seat in &mut self.seats {
            if seat.standing == Standing::Joined {
                lost.push(seat.id);
            }
            seat.standing = Standing::Wanted { from: None };
        }
        lost
    }

    /// Takes in a frame of its link; what there is to note in which room.
    pub(super) fn frame(
        &mut self,
        payload: &[u8],
        now: Instant,
    ) -> Result<Option<(MemberId, Entry)>> {
        let frame = match self.way.frame(payload, now)? {
            Turn::Frame(frame) => frame,
            _ => return Ok(None),
        };
        let (entry, room) = match frame {
            ServerFrame::Message { room, message } => {
                let text = text_of(&message.data)?;
                let Some(content) = Content::of(text) else {
                    anyhow::bail!("a payload nobody sent: {}", text.escape_ascii());
                };
                (Entry::Message { seq: message.seq, content }, room)
            }
            ServerFrame::Joined { room, epoch, seq, recovered, .. } => {
                let at = Position { epoch, seq };
                (Entry::Joined { at, recovered }, room)
            }
            ServerFrame::Gap { room, from, to, .. } => (Entry::Gap { from, to }, room),
            ServerFrame::Reset { room, epoch, seq, lost, .. } => {
                (Entry::Reset { at: Position { epoch, seq }, lost }, room)
            }
            ServerFrame::Error { id: Some(id), room, code, retry_after_ms, .. } => {
                return self.refused(id, room.as_ref(), (code, retry_after_ms), now).map(|()| None);
            }
            other => anyhow::bail!("a member got {other:?}"),
        };
        let seat = self.seats.iter_mut().find(|seat| seat.name == room);
        let Some(seat) = seat else { anyhow::bail!("{entry:?} of a room it is not in: {room}") };
        if let Entry::Joined { .. } = entry {
            if !matches!(seat.standing, Standing::Joining { .. }) {
                anyhow::bail!("`joined` that nobody asked for");
            }
            seat.standing = Standing::Joined;
        } else if seat.standing != Standing::Joined {
            anyhow::bail!("{} before `joined`", entry.text());
        }
        Ok(Some((seat.id, entry)))
    }

    fn refused(
        &mut self,
        id: RequestId,
        room: Option<&RoomName>,
        (code, retry_after_ms): (ErrorCode, Option<u64>),
        now: Instant,
    ) -> Result<()> {
        if code != ErrorCode::BusUnavailable {
            anyhow::bail!("a join was answered {}", code.as_str());
        }
        let pause = retry_after_ms.map_or(PAUSE, Duration::from_millis);
        for seat in &mut self.seats {
            let is_meant = room.is_none_or(|room| *room == seat.name)
                && matches!(seat.standing, Standing::Joining { id: sent, .. } if sent == id);
            if is_meant {
                seat.standing = Standing::Wanted { from: Some(now + pause) };
            }
        }
        Ok(())
    }
}
