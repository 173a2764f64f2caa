//! Backfill of one room: pages of history for readers behind the room's log, after a resume or when
//! the memory budget took their messages. A room has one read of the bus at a time, however many
//! readers wait. The first read takes the messages right before the log, so that a reconnect storm
//! costs one read; the next ones begin at the oldest reader. Pure: `backfill_reads.rs` reads.

use std::collections::VecDeque;

use roomcast_protocol::Seq;

use super::BackfillAnswer;
use super::backfill_page::{BackfillPage, BackfillRange, PAGE_MESSAGES};
use crate::room_log::RoomLog;

/// Fewest messages in the page right before the log; it has twice as many as the first reader misses
/// if that is more. The positions of a crowd that lost its node differ by less, and reading so many
/// costs Redis 1 ms at most (3.3 µs each, measured on version 7.0).
const FIRST_MESSAGES: u32 = 256;
/// Reads of one page that may fail, because the room is between two epochs or the bus does not
/// answer, before the waiting joins are refused (members ask again). With the pause of 250 ms
/// between reads this takes about 2 s.
const MAX_TRIES: u32 = 8;
/// Pages kept for the next requests: 256 KiB for each room, for some seconds.
const MAX_PAGES: usize = 4;

/// What the hub does next for the backfill of a room.
#[derive(Debug)]
pub(crate) enum BackfillStep {
    /// Answer the request.
    Answer(BackfillAnswer),
    /// Read this range from the bus, then call `arrived` or `failed`.
    Read(BackfillRange),
    /// Wait for the read that is under way.
    Wait,
}

/// The requests for pages of one room. Invariant: requests wait only while a read is under way.
#[derive(Debug, Default)]
pub(crate) struct Backfill {
    /// The last pages, the newest at the end. The clients of a crowd read the same few pages, each
    /// at its own pace.
    pages: VecDeque<KeptPage>,
    waiting: Vec<(usize, Seq)>,
    reading: Option<BackfillRange>,
    tries: u32,
}

/// A page that is kept for the next requests.
#[derive(Debug)]
struct KeptPage {
    page: BackfillPage,
    part: BackfillRange,
    /// It was made or requested since the last call of `forget_unused`.
    used: bool,
}

impl Backfill {
    /// A worker requests what follows `after`.
    pub(crate) fn ask(&mut self, worker: usize, after: Seq, log: &RoomLog) -> BackfillStep {
        if log.cursor_after(after).is_some() {
            return BackfillStep::Answer(BackfillAnswer::InLog);
        }
        let epoch = log.end().epoch;
        let serves = |kept: &&mut KeptPage| kept.page.epoch == epoch && kept.page.serves(after);
        if let Some(kept) = self.pages.iter_mut().find(serves) {
            kept.used = true;
            return BackfillStep::Answer(BackfillAnswer::Page(kept.page.clone()));
        }
        self.waiting.push((worker, after));
        if self.reading.is_some() {
            return BackfillStep::Wait;
        }
        self.read(self.first(after, log))
    }

    /// What to read for a reader at `after` that no page serves, while no other request waits.
    fn first(&self, after: Seq, log: &RoomLog) -> BackfillRange {
        let reach = log.reach().seq;
        let behind = u32::try_from(reach.saturating_sub(after)).unwrap_or(u32::MAX);
        // If a page leads to the log already, or other readers are further behind than one page
        // reaches, this reader does not belong to a crowd right before the log.
        let alone =
            |kept: &KeptPage| kept.page.to >= reach || matches!(kept.part, BackfillRange::After(_));
        if behind > PAGE_MESSAGES || self.pages.iter().any(alone) {
            return BackfillRange::After(after);
        }
        BackfillRange::UpTo(reach, behind.saturating_mul(2).clamp(FIRST_MESSAGES, PAGE_MESSAGES))
    }

    fn read(&mut self, part: BackfillRange) -> BackfillStep {
        self.reading = Some(part);
        BackfillStep::Read(part)
    }

    /// A read gave a page. Returns answers for the requests that it serves, and another read for the
    /// oldest of the other requests. A page that was read for before a reset serves no request.
    pub(crate) fn arrived(
        &mut self,
        part: BackfillRange,
        page: BackfillPage,
    ) -> (Vec<(usize, BackfillAnswer)>, BackfillStep) {
        if self.reading != Some(part) {
            return (Vec::new(), BackfillStep::Wait);
        }
        self.reading = None;
        self.tries = 0;
        let (served, rest): (Vec<_>, Vec<_>) =
            self.waiting.drain(..).partition(|&(_, after)| page.serves(after));
        self.waiting = rest;
        let answers = once_each(served, &BackfillAnswer::Page(page.clone()));
        if self.pages.len() == MAX_PAGES
            && let Some(oldest) = self.pages.pop_front()
        {
            oldest.page.leave();
        }
        self.pages.push_back(KeptPage { page, part, used: true });
        let oldest = self.waiting.iter().map(|&(_, after)| after).min();
        let next = oldest.map(|after| self.read(BackfillRange::After(after)));
        (answers, next.unwrap_or(BackfillStep::Wait))
    }

    /// A read failed, or found another epoch than the log's, in which case the feed will deliver a
    /// reset soon. `Ok`: read the same range again after a pause. `Err`: answers for all requests.
    pub(crate) fn failed(
        &mut self,
        part: BackfillRange,
    ) -> Result<BackfillRange, Vec<(usize, BackfillAnswer)>> {
        if self.reading != Some(part) {
            return Err(Vec::new());
        }
        self.tries += 1;
        if self.tries < MAX_TRIES { Ok(part) } else { Err(self.give_up(&BackfillAnswer::Failed)) }
    }

    /// The room continues in another epoch: all waiting requests are answered with `InLog`.
    pub(crate) fn reset(&mut self) -> Vec<(usize, BackfillAnswer)> {
        self.forget_pages();
        self.give_up(&BackfillAnswer::InLog)
    }

    fn give_up(&mut self, answer: &BackfillAnswer) -> Vec<(usize, BackfillAnswer)> {
        self.reading = None;
        self.tries = 0;
        once_each(std::mem::take(&mut self.waiting), answer)
    }

    /// Drops the pages that were not requested since the last call.
    pub(crate) fn forget_unused(&mut self) {
        self.pages.retain_mut(|kept| {
            let used = std::mem::take(&mut kept.used);
            if !used {
                kept.page.leave();
            }
            used
        });
        if self.pages.is_empty() {
            self.pages = VecDeque::new();
        }
    }

    /// Drops all pages.
    pub(crate) fn forget_pages(&mut self) {
        std::mem::take(&mut self.pages).iter().for_each(|kept| kept.page.leave());
    }

    /// Whether pages are kept.
    pub(crate) fn has_pages(&self) -> bool {
        !self.pages.is_empty()
    }
}

/// The same answer for each worker that has a waiting request, once.
fn once_each(waiting: Vec<(usize, Seq)>, answer: &BackfillAnswer) -> Vec<(usize, BackfillAnswer)> {
    let mut workers: Vec<usize> = waiting.into_iter().map(|(worker, _)| worker).collect();
    workers.sort_unstable();
    workers.dedup();
    workers.into_iter().map(|worker| (worker, answer.clone())).collect()
}

#[cfg(test)]
mod tests;
