//! Pages for members that stand before a room's log: after a resume, or when the memory budget took
//! their messages. One read of the bus at a time for each room, whoever and however many ask: a
//! reconnect storm costs one read. Pure: the driver reads.

use std::collections::VecDeque;
use std::sync::Arc;

use roomcast_bus::History;
use roomcast_protocol::{Position, RoomName, Seq};

use super::{Page, PageAnswer};
use crate::log::{Batch, Budget, Entry, RoomLog};

/// A page's messages, in bytes of data: what a batch may hold.
pub(crate) const PAGE_BYTES: usize = 64 * 1024;
/// Reads of one page that may find the room between two epochs, or the bus away, before joins are
/// told (members ask again): with the driver's pause of 250 ms about two seconds.
const MAX_TRIES: u32 = 8;

/// Pages kept for the next who ask: 256 KiB of a room for some seconds.
const MAX_PAGES: usize = 4;

/// What to do for a request.
#[derive(Debug)]
pub(crate) enum Ask {
    /// Answer at once.
    Answer(PageAnswer),
    /// Read the bus from here, then call `arrived`.
    Read(Seq),
    /// A read is under way: the answer comes with it.
    Wait,
}

/// The page requests of one room.
#[derive(Debug, Default)]
pub(crate) struct CatchUp {
    /// The last pages, newest last: a crowd that comes back reads the same few, each client at its
    /// own pace.
    pages: VecDeque<Page>,
    waiting: Vec<(usize, Seq)>,
    reading: Option<Seq>,
    tries: u32,
}

impl CatchUp {
    /// A worker asks for what follows `after`.
    pub(crate) fn ask(&mut self, worker: usize, after: Seq, log: &RoomLog) -> Ask {
        if log.cursor_after(after).is_some() {
            return Ask::Answer(PageAnswer::InLog);
        }
        let epoch = log.end().epoch;
        let known = self.pages.iter().find(|page| page.epoch == epoch && page.serves(after));
        if let Some(page) = known {
            return Ask::Answer(PageAnswer::Page(page.clone()));
        }
        self.waiting.push((worker, after));
        self.read_next()
    }

    /// The oldest waiting position is read first.
    fn read_next(&mut self) -> Ask {
        let oldest = self.waiting.iter().map(|&(_, after)| after).min();
        match (self.reading, oldest) {
            (None, Some(after)) => {
                self.reading = Some(after);
                Ask::Read(after)
            }
            _ => Ask::Wait,
        }
    }

    /// A page is here: answers for those it serves, then perhaps another read. One that was asked
    /// for before a reset answers nobody.
    pub(crate) fn arrived(&mut self, page: Page) -> (Vec<(usize, PageAnswer)>, Ask) {
        if self.reading != Some(page.from) {
            return (Vec::new(), Ask::Wait);
        }
        self.reading = None;
        self.tries = 0;
        let (served, rest): (Vec<_>, Vec<_>) =
            self.waiting.drain(..).partition(|&(_, after)| page.serves(after));
        self.waiting = rest;
        let mut answers: Vec<(usize, PageAnswer)> = Vec::new();
        for (worker, _) in served {
            if !answers.iter().any(|(known, _)| *known == worker) {
                answers.push((worker, PageAnswer::Page(page.clone())));
            }
        }
        if self.pages.len() == MAX_PAGES {
            self.pages.pop_front();
        }
        self.pages.push_back(page);
        (answers, self.read_next())
    }

    /// The read from `after` failed, or met another epoch than the log's, which the feed will tell
    /// soon. `Ok`: try again there after a pause; else answers for those who waited.
    pub(crate) fn failed(&mut self, after: Seq) -> Result<Seq, Vec<(usize, PageAnswer)>> {
        if self.reading != Some(after) {
            return Err(Vec::new());
        }
        self.tries += 1;
        if self.tries < MAX_TRIES { Ok(after) } else { Err(self.give_up(PageAnswer::Failed)) }
    }

    /// The room began anew: whoever waits looks again.
    pub(crate) fn reset(&mut self) -> Vec<(usize, PageAnswer)> {
        self.pages = VecDeque::new();
        self.give_up(PageAnswer::InLog)
    }

    fn give_up(&mut self, answer: PageAnswer) -> Vec<(usize, PageAnswer)> {
        self.reading = None;
        self.tries = 0;
        let mut workers: Vec<usize> = self.waiting.drain(..).map(|(worker, _)| worker).collect();
        workers.sort_unstable();
        workers.dedup();
        workers.into_iter().map(|worker| (worker, answer.clone())).collect()
    }

    /// Lets go of the pages.
    pub(crate) fn forget_pages(&mut self) {
        self.pages = VecDeque::new();
    }
}

/// Makes a page of what was read after `after`; `None` if the room is in another epoch than
/// the log, or behind it.
pub(crate) fn page(
    room: &RoomName,
    after: Seq,
    history: History,
    log: &RoomLog,
    budget: &Budget,
) -> Option<Page> {
    let end = log.end();
    if history.lineage.epoch != end.epoch {
        return None;
    }
    // What the bus has and the log has not comes through the log.
    let last = history.last.min(end.seq);
    if last <= after {
        // The bus stands behind what this node was told: the feed will tell why.
        return None;
    }
    // What the log has is not lost, however little of it users may read back.
    let until = last.min(log.reach().seq).max(after + 1);
    let mut messages = history.messages;
    messages.retain(|message| message.seq > after && message.seq <= last);
    let start = match messages.first() {
        Some(first) if first.seq <= until => first.seq - 1,
        _ => {
            return Some(Page {
                epoch: end.epoch,
                from: after,
                to: until,
                start: until,
                batch: None,
            });
        }
    };
    let (mut entries, mut at) = (Vec::new(), start);
    let lose = |at: &mut Seq, to: Seq, entries: &mut Vec<Entry>| {
        if *at < to {
            entries.push(Entry::Gap { from: *at + 1, to });
            *at = to;
        }
    };
    for message in messages {
        lose(&mut at, until.min(message.seq - 1), &mut entries);
        if message.seq != at + 1 {
            break;
        }
        at = message.seq;
        entries.push(Entry::Message(message));
    }
    if !history.more {
        lose(&mut at, until, &mut entries);
    }
    let begin = Position { epoch: end.epoch, seq: start };
    let batch = Some(Arc::new(Batch::new(room.clone(), begin, entries, budget)));
    Some(Page { epoch: end.epoch, from: after, to: at, start, batch })
}

#[cfg(test)]
mod tests;
