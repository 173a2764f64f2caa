//! Reads a room's history back at the end of a run, page by page, from the newest message on.

use anyhow::{Result, bail};
use roomcast_protocol::{
    ClientFrame, ErrorCode, HistoryQuery, MAX_HISTORY_LIMIT, RoomName, Seq, ServerFrame,
};
use std::time::{Duration, Instant};

use super::checker::HistoryRead;
use super::journal::Content;
use super::way::{Turn, Way};
use crate::dialect::text_of;
use crate::engine::Engine;

/// Until a page that was refused is asked for again, if the node says nothing better.
const PAUSE: Duration = Duration::from_millis(200);

/// A reader of one room's history.
pub(super) struct Past {
    pub(super) way: Way,
    name: RoomName,
    read: Option<HistoryRead>,
    /// A page was refused: when it is asked for again.
    again: Option<Instant>,
    pub(super) done: bool,
}

impl Past {
    /// A reader that has nothing yet.
    pub(super) fn new(way: Way, name: RoomName) -> Self {
        Self { way, name, read: None, again: None, done: false }
    }

    /// Asks for the page before what it has.
    pub(super) fn ask(&self, engine: &mut Engine) {
        let before = self.read.as_ref().and_then(|read| read.messages.last()).map(|last| last.0);
        let (room, limit) = (self.name.clone(), MAX_HISTORY_LIMIT);
        let frame =
            ClientFrame::History(HistoryQuery { id: Some(1), room, after: None, before, limit });
        if !self.done {
            self.way.send(engine, &frame);
        }
    }

    /// Asks again for a page that was refused.
    pub(super) fn tick(&mut self, engine: &mut Engine, now: Instant) {
        if self.again.is_some_and(|again| again <= now) {
            self.again = None;
            self.ask(engine);
        }
    }

    /// Takes in a frame of its link, and asks on.
    pub(super) fn frame(
        &mut self,
        payload: &[u8],
        engine: &mut Engine,
        now: Instant,
    ) -> Result<()> {
        match self.way.frame(payload, now)? {
            Turn::Up => self.ask(engine),
            Turn::Frame(ServerFrame::History { epoch, messages, more, .. }) => {
                let begin = || HistoryRead { epoch, messages: Vec::new() };
                let read = self.read.get_or_insert_with(begin);
                if read.epoch != epoch {
                    // A replica took over between two pages.
                    self.read = None;
                    self.ask(engine);
                    return Ok(());
                }
                for message in messages.iter().rev() {
                    let Some(content) = Content::of(text_of(&message.data)?) else {
                        bail!("history holds a payload nobody sent, at {}", message.seq);
                    };
                    read.messages.push((message.seq, content));
                }
                self.done = !more;
                self.ask(engine);
            }
            Turn::Frame(ServerFrame::Error {
                code: ErrorCode::BusUnavailable | ErrorCode::Overloaded,
                retry_after_ms,
                ..
            }) => self.again = Some(now + retry_after_ms.map_or(PAUSE, Duration::from_millis)),
            Turn::Frame(other) => bail!("a reader of history got {other:?}"),
            _ => {}
        }
        Ok(())
    }

    /// What it read, ascending.
    pub(super) fn finish(self) -> Option<HistoryRead> {
        let mut read = self.read.filter(|_| self.done)?;
        read.messages.sort_unstable_by_key(|&(seq, _): &(Seq, Content)| seq);
        Some(read)
    }
}
