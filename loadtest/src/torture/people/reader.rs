//! A client that keeps the state of a room; some read in bursts, some are away for a while. Those that
//! are at one node read its state at the end.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use roomcast_protocol::{
    ClientFrame, JoinRoom, Message, Position, RequestId, RoomName, ServerFrame, Since, StateEntry,
    StateKey,
};

use super::kept_state::{AfterFrame, JudgedPart, StateCopy, StateMap};
use super::ledger::{StateLedger, differs};
use super::{Broken, PONGS, PeopleCounts, is_overdue, pause_after};
use crate::dialect::text_of;
use crate::engine::Engine;
use crate::random::Random;
use crate::torture::checker::Rule;
use crate::torture::journal::Content;
use crate::torture::way::{Turn, Way};

/// Between two reads of a node's state at the end.
const LOOK_AGAIN: Duration = Duration::from_millis(1_000);
/// How long a reader reads, and how long it does not or is away, in ms.
const READS: (u64, u64) = (500, 4_000);
const PAUSES: (u64, u64) = (200, 3_000);

/// How a reader reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Habit {
    /// Without pause.
    Steady,
    /// In bursts.
    Bursts,
    /// It is away now and then.
    Returns,
    /// At the node of this number, whose state it reads at the end.
    Resident(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pose {
    Out { from: Option<Instant> },
    Joining { id: RequestId, pongs: u64 },
    In,
}

/// One reader.
pub(super) struct StateReader {
    pub(super) way: Way,
    number: usize,
    pub(super) room: (usize, RoomName),
    habit: Habit,
    pose: Pose,
    state: StateCopy,
    change: Instant,
    is_muted: bool,
    next_id: RequestId,
    /// The answer that comes in parts, its request, and when the next is due.
    look: Option<RequestId>,
    looked: StateMap,
    look_at: Duration,
}

impl StateReader {
    /// Reader `number`, without anything yet.
    pub(super) fn new((way, number): (Way, usize), room: (usize, RoomName), habit: Habit) -> Self {
        Self {
            way,
            number,
            room,
            habit,
            pose: Pose::Out { from: None },
            state: StateCopy::default(),
            change: Instant::now() + Duration::from_millis(READS.1),
            is_muted: false,
            next_id: 1,
            look: None,
            looked: StateMap::new(),
            look_at: Duration::ZERO,
        }
    }

    /// Does what is due; true if its connection was given up.
    pub(super) fn tick(
        &mut self,
        (engine, random): (&mut Engine, &mut Random),
        broken: &mut Vec<Broken>,
        is_quiet: bool,
        now: (Instant, Duration),
    ) -> bool {
        if self.change <= now.0 || (is_quiet && self.is_muted) {
            let pause = Duration::from_millis(random.between(PAUSES.0, PAUSES.1));
            self.change = now.0 + Duration::from_millis(random.between(READS.0, READS.1));
            match self.habit {
                Habit::Bursts if self.is_muted => {
                    self.is_muted = false;
                    if matches!(self.way.wake(engine, random, now.0), Turn::Down) {
                        return true;
                    }
                }
                Habit::Bursts if !is_quiet && self.way.mute(engine) => {
                    (self.is_muted, self.change) = (true, now.0 + pause);
                }
                Habit::Returns if !is_quiet && self.pose == Pose::In => {
                    self.way.cut(engine, random, now.0);
                    self.way.rest(now.0 + pause);
                    return true;
                }
                _ => {}
            }
        }
        if !self.way.is_live() {
            return false;
        }
        match self.pose {
            Pose::Out { from } if from.is_none_or(|from| from <= now.0) => {
                let id = self.id();
                self.pose = Pose::Joining { id, pongs: self.way.pongs };
                let since = self.state.position().map(Since::Position);
                let join = JoinRoom { since, ..JoinRoom::new(self.room.1.clone()) };
                self.way.send(engine, &ClientFrame::Join { id: Some(id), rooms: vec![join] });
            }
            Pose::Joining { id, pongs } if is_overdue(&self.way, pongs) => {
                let what = format!("a join unanswered while {PONGS} pongs came");
                broken.push((Rule::Answer, self.name(), what));
                self.pose = Pose::Joining { id, pongs: u64::MAX };
            }
            Pose::In if is_quiet && self.look_at <= now.1 => {
                if let Habit::Resident(_) = self.habit {
                    self.look_at = now.1 + LOOK_AGAIN;
                    self.ask(engine, None);
                }
            }
            _ => {}
        }
        false
    }

    /// The connection is gone; what it has is kept.
    pub(super) fn down(&mut self) {
        (self.pose, self.is_muted, self.look) = (Pose::Out { from: None }, false, None);
        self.state.lost();
    }

    /// Takes in a frame of its link.
    pub(super) fn frame(
        &mut self,
        payload: &[u8],
        engine: &mut Engine,
        (ledger, counts, broken): (&mut StateLedger, &mut PeopleCounts, &mut Vec<Broken>),
        now: (Instant, Duration),
    ) -> Result<()> {
        let Turn::Frame(frame) = self.way.frame(payload, now.0)? else { return Ok(()) };
        let judged = match frame {
            ServerFrame::Joined { id, epoch, seq, recovered, state, .. } => {
                if !matches!(self.pose, Pose::Joining { id: sent, .. } if id == Some(sent)) {
                    bail!("`joined` that was not asked for");
                }
                self.pose = Pose::In;
                self.state.joined(Position { epoch, seq }, recovered, AfterFrame::of(state))
            }
            ServerFrame::Message { message, .. } => {
                counts.changes += 1;
                let (key, value) = change(&message)?;
                self.state
                    .message(message.seq, &key, value)
                    .and_then(|at| ledger.saw(at, (key, value)))
            }
            ServerFrame::Gap { from, to, conflated, state, .. } => {
                counts.conflated += u64::from(conflated);
                self.state.gap((from, to), AfterFrame::of(state))
            }
            ServerFrame::Reset { state, .. } => self.state.reset(AfterFrame::of(state)),
            ServerFrame::State { id: None, epoch, seq, entries, more, .. } => {
                let entries = entries.iter().map(entry).collect::<Result<_>>()?;
                let part = JudgedPart { at: Position { epoch, seq }, entries, more };
                self.state.part(part).map(|is_whole| counts.snapshots += u64::from(is_whole))
            }
            ServerFrame::State { id, epoch, seq, entries, more, page, .. } => {
                if id.is_none() || id != self.look {
                    return Ok(());
                }
                for (key, seq, content) in entries.iter().map(entry).collect::<Result<Vec<_>>>()? {
                    self.looked.insert(key, (seq, content));
                }
                match (more, self.habit) {
                    (true, _) => self.ask(engine, page),
                    (false, Habit::Resident(node)) => {
                        let values = std::mem::take(&mut self.looked);
                        ledger.read(node, Position { epoch, seq }, values);
                    }
                    (false, _) => {}
                }
                Ok(())
            }
            ServerFrame::Error { id, code, retry_after_ms, .. } => {
                let pause = pause_after("a reader of a state", (code, retry_after_ms))?;
                if matches!(self.pose, Pose::Joining { id: sent, .. } if id == Some(sent)) {
                    self.pose = Pose::Out { from: Some(now.0 + pause) };
                }
                Ok(())
            }
            other => bail!("a reader of a state got {other:?}"),
        };
        if let Err(what) = judged {
            broken.push((Rule::State, self.name(), what));
        }
        Ok(())
    }

    /// What it knows that is not so; `None` if all of it is.
    pub(super) fn differs(&self, truth: &(Position, StateMap)) -> Option<String> {
        if self.pose != Pose::In || !self.state.is_whole() {
            return Some(format!("it is {:?}, its state {:?}", self.pose, self.state));
        }
        let at = self.state.position();
        (at != Some(truth.0) || self.state.values != truth.1).then(|| {
            let key = differs(&self.state.values, &truth.1);
            format!("it is at {at:?}, the room at {:?}{key}", truth.0)
        })
    }

    /// In words.
    pub(super) fn name(&self) -> String {
        format!("reader {} ({:?}) of {}", self.number, self.habit, self.room.1)
    }

    fn ask(&mut self, engine: &mut Engine, page: Option<Box<str>>) {
        if page.is_none() {
            self.looked.clear();
        }
        let (id, room) = (self.id(), self.room.1.clone());
        self.look = Some(id);
        self.way.send(engine, &ClientFrame::State { id: Some(id), room, page });
    }

    fn id(&mut self) -> RequestId {
        self.next_id += 1;
        self.next_id
    }
}

fn change(message: &Message) -> Result<(StateKey, Option<Content>)> {
    let key = message.state_key.clone().context("a message without a key of the state")?;
    if message.remove {
        return Ok((key, None));
    }
    let content = Content::of(text_of(&message.data)?).context("a payload that was not sent")?;
    Ok((key, Some(content)))
}

fn entry(entry: &StateEntry) -> Result<(StateKey, u64, Content)> {
    let key = entry.key.clone().context("an entry without a key of the state")?;
    let content = Content::of(text_of(&entry.data)?).context("a value that was not sent")?;
    Ok((key, entry.seq, content))
}
