//! Pages for members that stand before a room's log: after a resume, or when the memory budget took
//! their messages. One read of the bus at a time for each room, whoever and however many ask. The
//! first takes what stands right before the log, whoever asked first: a reconnect storm costs one
//! read, and those further back are read for from the oldest. Pure: the driver reads.

use std::collections::VecDeque;

use roomcast_protocol::Seq;

use super::BackfillAnswer;
use super::backfill_page::{BackfillPage, BackfillRange, PAGE_MESSAGES};
use crate::log::RoomLog;

/// Messages in the page right before the log, or twice as many as who asks first misses. A crowd
/// stood closer together when it lost its node, and reading that many costs Redis 1 ms at most
/// (3.3 µs each, measured on version 7.0).
const FIRST_MESSAGES: u32 = 256;
/// Reads of one page that may find the room between two epochs, or the bus away, before joins are
/// told (members ask again): with the driver's pause of 250 ms about two seconds.
const MAX_TRIES: u32 = 8;
/// Pages kept for the next who ask: 256 KiB of a room for some seconds.
const MAX_PAGES: usize = 4;

/// What to do for a request.
#[derive(Debug)]
pub(crate) enum BackfillStep {
    /// Answer at once.
    Answer(BackfillAnswer),
    /// Read this from the bus, then call `arrived`.
    Read(BackfillRange),
    /// A read is under way: the answer comes with it.
    Wait,
}

/// The page requests of one room. Whoever waits, waits for a read that is under way.
#[derive(Debug, Default)]
pub(crate) struct Backfill {
    /// The last pages, newest last: a crowd that comes back reads the same few, each client at its
    /// own pace.
    pages: VecDeque<KeptPage>,
    waiting: Vec<(usize, Seq)>,
    reading: Option<BackfillRange>,
    tries: u32,
}

/// A page for the next who ask.
#[derive(Debug)]
struct KeptPage {
    page: BackfillPage,
    part: BackfillRange,
    /// It was made or asked for since the last look.
    used: bool,
}

impl Backfill {
    /// A worker asks for what follows `after`.
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

    /// What to read for somebody at `after`, whom no page serves, while nobody else waits.
    fn first(&self, after: Seq, log: &RoomLog) -> BackfillRange {
        let reach = log.reach().seq;
        let behind = u32::try_from(reach.saturating_sub(after)).unwrap_or(u32::MAX);
        // If a page leads to the log already, or others stand further back than one reaches, this
        // reader is not one of a crowd before the log.
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

    /// A page is here: answers for those it serves, then perhaps another read, for the oldest of
    /// the others. One that was asked for before a reset answers nobody.
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

    /// A read failed, or met another epoch than the log's, which the feed will tell soon. `Ok`: try
    /// the same again after a pause; else answers for those who waited.
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

    /// The room began anew: whoever waits looks again.
    pub(crate) fn reset(&mut self) -> Vec<(usize, BackfillAnswer)> {
        self.forget_pages();
        self.give_up(&BackfillAnswer::InLog)
    }

    fn give_up(&mut self, answer: &BackfillAnswer) -> Vec<(usize, BackfillAnswer)> {
        self.reading = None;
        self.tries = 0;
        once_each(std::mem::take(&mut self.waiting), answer)
    }

    /// Lets go of the pages that nobody asked for since this was called last.
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

    /// Lets go of all pages.
    pub(crate) fn forget_pages(&mut self) {
        std::mem::take(&mut self.pages).iter().for_each(|kept| kept.page.leave());
    }

    /// Whether pages are kept.
    pub(crate) fn has_pages(&self) -> bool {
        !self.pages.is_empty()
    }
}

/// An answer for each worker among those who waited.
fn once_each(waiting: Vec<(usize, Seq)>, answer: &BackfillAnswer) -> Vec<(usize, BackfillAnswer)> {
    let mut workers: Vec<usize> = waiting.into_iter().map(|(worker, _)| worker).collect();
    workers.sort_unstable();
    workers.dedup();
    workers.into_iter().map(|worker| (worker, answer.clone())).collect()
}

#[cfg(test)]
mod tests;
