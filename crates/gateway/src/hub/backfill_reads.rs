//! The hub's reads of history for readers behind a room's log: when they start, and what becomes of
//! their results. Which part of the history is read is decided in `backfill.rs`.

use std::time::Duration;

use roomcast_bus::{History, ReadError};
use roomcast_protocol::{RoomName, Seq};

use super::backfill::BackfillStep;
use super::backfill_page::{BackfillPage, BackfillRange};
use super::driver::Hub;
use super::{BackfillAnswer, WorkerEvent};

/// Pause before a read that failed is started again.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// A finished read: its room, its range, and the result.
pub(super) type BackfillRead = (RoomName, BackfillRange, Result<History, ReadError>);

impl Hub {
    /// A worker asks for what follows `after` in a room.
    pub(super) fn request_backfill(&mut self, worker: usize, room: &RoomName, after: Seq) {
        let Some(ledger) = self.rooms.get_mut(room) else { return };
        match ledger.backfill.ask(worker, after, &ledger.log) {
            BackfillStep::Answer(answer) => self.answer_backfill(room, vec![(worker, answer)]),
            BackfillStep::Read(range) => self.read_soon(room.clone(), range, Duration::ZERO),
            BackfillStep::Wait => {}
        }
    }

    /// Sends answers to workers.
    pub(super) fn answer_backfill(
        &mut self,
        room: &RoomName,
        answers: Vec<(usize, BackfillAnswer)>,
    ) {
        for (worker, answer) in answers {
            let event = WorkerEvent::Backfill { room: room.clone(), answer };
            self.send(worker, room, event);
        }
    }

    /// Has a read started at the end of this turn of the loop.
    fn read_soon(&mut self, room: RoomName, range: BackfillRange, pause: Duration) {
        self.reads_due.push((room, range, pause));
    }

    /// The reads to start now, each after its pause.
    pub(crate) fn take_reads_due(&mut self) -> Vec<(RoomName, BackfillRange, Duration)> {
        std::mem::take(&mut self.reads_due)
    }

    /// Starts a read; its result comes back through the hub's queue of reads.
    pub(super) fn start_read(&self, room: RoomName, range: BackfillRange, pause: Duration) {
        self.metrics.rooms.catchup_reads.inc();
        let (bus, done) = (self.bus.clone(), self.read_done.clone());
        let request = range.request(self.settings.borrow().namespace_of(&room).retention);
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            let read = bus.history(&room, request).await;
            // The hub that started the read may have ended meanwhile.
            let _ = done.send((room, range, read));
        });
    }

    /// A read has ended.
    pub(crate) fn read_ended(
        &mut self,
        room: RoomName,
        range: BackfillRange,
        read: Result<History, ReadError>,
    ) {
        let Some(ledger) = self.rooms.get_mut(&room) else { return };
        let page = read
            .ok()
            .and_then(|history| BackfillPage::of(&room, range, history, &ledger.log, &self.budget));
        let (answers, next) = match page {
            Some(page) => {
                let arrived = ledger.backfill.arrived(range, page);
                if ledger.backfill.has_pages() && !self.paged.contains(&room) {
                    self.paged.insert(room.clone());
                }
                arrived
            }
            None => match ledger.backfill.failed(range) {
                Ok(range) => return self.read_soon(room, range, RETRY_PAUSE),
                Err(answers) => (answers, BackfillStep::Wait),
            },
        };
        self.answer_backfill(&room, answers);
        if let BackfillStep::Read(range) = next {
            self.read_soon(room, range, Duration::ZERO);
        }
        self.keep_budget(None);
    }
}
