//! Catching up: how pages are made of what the bus has, and who is answered when.

use std::collections::BTreeSet;

use proptest::prelude::*;
use roomcast_protocol::{Epoch, Lineage};

use super::*;
use crate::tests::{EPOCH, at, entry, message, reset, room_name};

/// What the bus answers: it stands at `last` and has these messages.
fn history(last: Seq, seqs: &[Seq], more: bool) -> History {
    let messages = seqs.iter().map(|&seq| Arc::new(message(seq, 9))).collect();
    History { lineage: Lineage::new(EPOCH), last, messages, more }
}

/// A log that reaches from `start` to `end`.
fn log(start: Seq, end: Seq) -> RoomLog {
    let mut log = RoomLog::new(at(start));
    if start < end {
        let entries = (start + 1..=end).map(|seq| entry(seq, 9)).collect();
        log.append(Arc::new(Batch::new(room_name(), at(start), entries, &Budget::default())));
    }
    log
}

/// A page as a table row: from, to, start, and its frames (gaps as pairs).
#[track_caller]
fn check_page(after: Seq, history: History, log: &RoomLog, expected: Option<(Seq, Seq, &str)>) {
    let page = page(&room_name(), after, history, log, &Budget::default());
    let got = page.map(|page| {
        assert_eq!((page.epoch, page.from), (EPOCH, after));
        let frames: Vec<String> = (page.batch.iter().flat_map(|batch| batch.entries()))
            .map(|entry| match entry {
                Entry::Message(message) => message.seq.to_string(),
                Entry::Gap { from, to } => format!("gap {from}-{to}"),
                Entry::Reset { .. } => "reset".to_owned(),
            })
            .collect();
        if let Some(batch) = &page.batch {
            assert_eq!((batch.start(), batch.end()), (at(page.start), at(page.to)));
        }
        (page.to, page.start, frames.join(" "))
    });
    let expected = expected.map(|(to, start, frames)| (to, start, frames.to_owned()));
    assert_eq!(got, expected);
}

#[test]
fn a_page_tells_messages_and_what_is_missing_between_them() {
    let log = log(20, 25);
    let whole = history(25, &[11, 12, 13], true);
    check_page(10, whole, &log, Some((13, 10, "11 12 13")));
    let later = history(25, &[14, 15], true);
    check_page(10, later, &log, Some((15, 13, "14 15")));
    let holes = history(25, &[11, 13, 17], true);
    check_page(10, holes, &log, Some((17, 10, "11 gap 12-12 13 gap 14-16 17")));
    // A hole that the log fills ends the page.
    let in_log = history(25, &[19, 20, 21, 24, 25], false);
    check_page(18, in_log, &log, Some((21, 18, "19 20 21")));
    let across = history(25, &[18, 24, 25], false);
    check_page(17, across, &log, Some((20, 17, "18 gap 19-20")));
    // What ends before the log begins has lost its end.
    let short = history(25, &[11, 12], false);
    check_page(10, short, &log, Some((20, 10, "11 12 gap 13-20")));
    check_page(10, history(25, &[], false), &log, Some((20, 20, "")));
}

#[test]
fn what_the_log_has_not_told_comes_through_the_log() {
    let log = log(20, 25);
    let ahead = history(30, &[18, 19, 20, 21, 22, 23, 24, 25, 26, 27], false);
    check_page(17, ahead, &log, Some((25, 17, "18 19 20 21 22 23 24 25")));
    let only_later = history(30, &[28, 29, 30], false);
    check_page(10, only_later, &log, Some((20, 20, "")));
    let only_within = history(25, &[23, 24, 25], false);
    check_page(10, only_within, &log, Some((20, 20, "")));
    // Messages that the reader has are none of its business.
    let from_before = history(25, &[9, 10, 11], true);
    check_page(10, from_before, &log, Some((11, 10, "11")));
}

#[test]
fn no_page_is_made_of_another_epoch_or_of_a_bus_that_stands_behind() {
    let log = log(20, 25);
    let mut other = history(25, &[11], false);
    other.lineage = Lineage { epoch: Epoch(2), ancestors: vec![(EPOCH, 25)] };
    check_page(10, other, &log, None);
    check_page(10, history(10, &[], false), &log, None);
    check_page(10, history(0, &[], false), &log, None);
}

#[test]
fn a_page_is_charged_and_given_back() {
    let budget = Budget::default();
    let page = page(&room_name(), 10, history(25, &[11, 12], true), &log(20, 25), &budget).unwrap();
    assert!(budget.used() > 0);
    let mut catch_up = CatchUp::default();
    assert!(matches!(catch_up.ask(0, 10, &log(20, 25)), Ask::Read(10)));
    catch_up.arrived(page);
    assert!(budget.used() > 0, "kept for the next who asks");
    catch_up.forget_pages();
    assert_eq!(budget.used(), 0);
}

/// The room of a storm: what the bus has, and where the log begins.
struct World {
    last: Seq,
    lost: BTreeSet<Seq>,
    /// Only the last so many may be read back.
    readable: Seq,
    log: RoomLog,
    budget: Budget,
    page_size: usize,
}

impl World {
    fn read(&self, after: Seq) -> History {
        let first = (after + 1).max((self.last + 1).saturating_sub(self.readable));
        let kept = (first..=self.last).filter(|seq| !self.lost.contains(seq));
        let seqs: Vec<Seq> = kept.clone().take(self.page_size).collect();
        history(self.last, &seqs, kept.count() > self.page_size)
    }

    /// Whether a reader behind the log may be told that it is lost: the bus does not give it, and
    /// it does not lie in the log.
    fn is_lost(&self, seq: Seq) -> bool {
        let given = !self.lost.contains(&seq) && seq + self.readable > self.last;
        !given && seq <= self.log.reach().seq
    }

    /// New messages, and as many batches gone but the last `keep`.
    fn grow(&mut self, count: u64, keep: u64) {
        let start = self.log.end();
        let entries = (self.last + 1..=self.last + count).map(|seq| entry(seq, 9)).collect();
        self.log.append(Arc::new(Batch::new(room_name(), start, entries, &self.budget)));
        self.last += count;
        self.log.trim(self.log.end_cursor().batch.saturating_sub(keep));
    }
}

/// Readers behind the log, by worker: where each stands.
struct Storm {
    world: World,
    catch_up: CatchUp,
    readers: Vec<Vec<Seq>>,
    /// Per worker: its question that was not answered.
    asked: Vec<Option<Seq>>,
    /// The read under way.
    reading: Option<Seq>,
    reads: usize,
}

impl Storm {
    fn new(world: World, readers: Vec<Vec<Seq>>) -> Self {
        let asked = vec![None; readers.len()];
        let catch_up = CatchUp::default();
        Self { world, catch_up, readers, asked, reading: None, reads: 0 }
    }

    /// Readers that the log reaches go on there; the worker asks for its oldest other one.
    fn ask(&mut self, worker: usize) {
        let log = &self.world.log;
        self.readers[worker].retain(|&at| log.cursor_after(at).is_none());
        if self.asked[worker].is_some() {
            return;
        }
        let Some(&oldest) = self.readers[worker].iter().min() else { return };
        self.asked[worker] = Some(oldest);
        match self.catch_up.ask(worker, oldest, &self.world.log) {
            Ask::Answer(answer) => self.answer(worker, answer),
            next => self.follow(next),
        }
        assert!(self.asked[worker].is_none() || self.reading.is_some(), "a read is under way");
    }

    fn follow(&mut self, next: Ask) {
        match next {
            Ask::Answer(answer) => panic!("nobody asked: {answer:?}"),
            Ask::Read(after) => {
                assert_eq!(self.reading, None, "one read at a time");
                let waiting = self.asked.iter().flatten().min();
                assert_eq!(Some(&after), waiting, "the oldest first");
                self.reading = Some(after);
                self.reads += 1;
            }
            Ask::Wait => {}
        }
    }

    fn answer(&mut self, worker: usize, answer: PageAnswer) {
        let asked = self.asked[worker].take().expect("answered once");
        let PageAnswer::Page(page) = answer else { return };
        assert!(page.serves(asked), "{asked} in {page:?}");
        for reader in &mut self.readers[worker] {
            if page.serves(*reader) {
                check_told(&page, *reader, &self.world);
                *reader = page.to;
            }
        }
    }

    fn arrive(&mut self) {
        let Some(after) = self.reading.take() else { return };
        let World { log, budget, .. } = &self.world;
        let page = page(&room_name(), after, self.world.read(after), log, budget).unwrap();
        let (answers, next) = self.catch_up.arrived(page);
        assert!(!answers.is_empty(), "who was read for is answered");
        for (worker, answer) in answers {
            self.answer(worker, answer);
        }
        self.follow(next);
    }
}

/// A reader of a page is told of every seq in it once, and as lost of just what is lost.
fn check_told(page: &Page, reader: Seq, world: &World) {
    let missing = page.missing(reader).into_iter().flat_map(|(from, to)| from..=to);
    let mut told: Vec<(Seq, bool)> = missing.map(|seq| (seq, false)).collect();
    if let Some(batch) = &page.batch {
        for entry in &batch.entries()[batch.frame_after(reader, 0) as usize..] {
            match entry {
                Entry::Message(message) => told.push((message.seq, true)),
                Entry::Gap { from, to } => told.extend((*from..=*to).map(|seq| (seq, false))),
                Entry::Reset { .. } => panic!("no page has a reset"),
            }
        }
    }
    // A reader inside of a gap is told of all of it: it has nothing of what lies before, either.
    told.retain(|&(seq, _)| seq > reader);
    let seqs: Vec<Seq> = told.iter().map(|&(seq, _)| seq).collect();
    assert_eq!(seqs, (reader + 1..=page.to).collect::<Vec<_>>(), "{reader} in {page:?}");
    for (seq, got) in told {
        let may_be = if got { !world.lost.contains(&seq) } else { world.is_lost(seq) };
        assert!(may_be, "{seq} of {page:?} for {reader}");
    }
}

fn storm_op() -> impl Strategy<Value = (u8, usize)> {
    (0..10u8, 0..6usize)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// 1,000 storms: up to 6 workers with up to 8 readers each, while the log moves on.
    #[test]
    fn a_storm_reads_one_page_at_a_time_and_answers_everybody_once(
        last in 30..120u64,
        back in 0..20u64,
        lost in prop::collection::btree_set(1..130u64, 0..30), readable in 0..150u64,
        readers in prop::collection::vec(prop::collection::vec(0..120u64, 0..8), 1..6),
        page_size in 1..40usize,
        ops in prop::collection::vec(storm_op(), 0..60),
    ) {
        let log = log(last - back, last);
        let world = World { last, lost, readable, log, budget: Budget::default(), page_size };
        let readers: Vec<Vec<Seq>> = readers.into_iter()
            .map(|all| all.into_iter().filter(|&at| at <= last).collect())
            .collect();
        let workers = readers.len();
        let mut storm = Storm::new(world, readers);
        for (op, at) in ops {
            match op {
                0..5 => storm.ask(at % workers),
                5..8 => storm.arrive(),
                8 => storm.world.grow(at as u64 + 1, 3),
                _ => if let Some(after) = storm.reading {
                    // A read that fails once is tried again at the same place.
                    prop_assert_eq!(storm.catch_up.failed(after).ok(), Some(after));
                    storm.catch_up.tries = 0;
                },
            }
        }
        let mut rounds = 0;
        while storm.readers.iter().any(|readers| !readers.is_empty()) {
            (0..workers).for_each(|worker| storm.ask(worker));
            storm.arrive();
            rounds += 1;
            prop_assert!(rounds < 2000, "everybody comes to the log");
        }
        while storm.reading.is_some() {
            storm.arrive();
        }
        prop_assert!(storm.asked.iter().all(Option::is_none), "everybody is answered");
        let used = storm.world.budget.used();
        storm.catch_up.forget_pages();
        prop_assert!(storm.world.budget.used() <= used);
    }
}

#[test]
fn a_crowd_at_one_place_costs_one_read() {
    let world = World {
        last: 100,
        lost: BTreeSet::new(),
        readable: 1000,
        log: log(90, 100),
        budget: Budget::default(),
        page_size: 1000,
    };
    let mut storm = Storm::new(world, vec![vec![50, 60, 70]; 8]);
    (0..8).for_each(|worker| storm.ask(worker));
    storm.arrive();
    (0..8).for_each(|worker| storm.ask(worker));
    assert_eq!((storm.reads, storm.reading), (1, None));
    assert!(storm.readers.iter().all(Vec::is_empty));
    // Who comes later is served from the page that was read.
    let late = storm.catch_up.ask(3, 55, &storm.world.log);
    assert!(matches!(late, Ask::Answer(PageAnswer::Page(page)) if page.serves(55)));
    let earlier = storm.catch_up.ask(3, 49, &storm.world.log);
    assert!(matches!(earlier, Ask::Read(49)));
}

#[test]
fn a_read_that_keeps_failing_is_given_up() {
    let log = log(20, 25);
    let mut catch_up = CatchUp::default();
    assert!(matches!(catch_up.ask(2, 10, &log), Ask::Read(10)));
    assert!(matches!(catch_up.ask(0, 12, &log), Ask::Wait));
    assert!(matches!(catch_up.ask(2, 11, &log), Ask::Wait));
    for _ in 1..MAX_TRIES {
        assert_eq!(catch_up.failed(10).ok(), Some(10));
    }
    let answers = catch_up.failed(10).unwrap_err();
    let workers: Vec<usize> = answers.iter().map(|(worker, _)| *worker).collect();
    assert_eq!(workers, [0, 2], "each worker once");
    assert!(answers.iter().all(|(_, answer)| matches!(answer, PageAnswer::Failed)));
    assert!(matches!(catch_up.ask(1, 10, &log), Ask::Read(10)), "and the next may try again");
    assert_eq!(catch_up.failed(10).ok(), Some(10), "from the first try on");
}

#[test]
fn a_reset_sends_everybody_back_to_the_log() {
    let before = log(20, 25);
    let mut catch_up = CatchUp::default();
    assert!(matches!(catch_up.ask(0, 10, &before), Ask::Read(10)));
    let read = page(&room_name(), 10, history(25, &[11], true), &before, &Budget::default());
    catch_up.arrived(read.unwrap());
    assert!(matches!(catch_up.ask(1, 12, &before), Ask::Read(12)));
    let answers = catch_up.reset();
    assert!(matches!(answers[..], [(1, PageAnswer::InLog)]));

    let mut after = before;
    let entries = vec![reset(Epoch(2), 24), entry(25, 9)];
    after.append(Arc::new(Batch::new(room_name(), at(25), entries, &Budget::default())));
    assert!(matches!(catch_up.ask(1, 10, &after), Ask::Read(10)), "the old page serves nobody");
}

#[test]
fn a_page_of_another_epoch_serves_nobody() {
    let mut log = log(20, 25);
    let mut catch_up = CatchUp::default();
    assert!(matches!(catch_up.ask(0, 10, &log), Ask::Read(10)));
    let read = page(&room_name(), 10, history(25, &[11, 12], true), &log, &Budget::default());
    catch_up.arrived(read.unwrap());
    assert!(matches!(catch_up.ask(0, 11, &log), Ask::Answer(PageAnswer::Page(_))));
    let entries = vec![reset(Epoch(2), 25)];
    log.append(Arc::new(Batch::new(room_name(), at(25), entries, &Budget::default())));
    assert!(matches!(catch_up.ask(0, 11, &log), Ask::Read(11)));
    assert!(matches!(catch_up.ask(0, 25, &log), Ask::Answer(PageAnswer::InLog)));
}

#[test]
fn a_read_that_a_reset_overtook_starts_no_other() {
    let log = log(20, 25);
    let stale =
        |after| page(&room_name(), after, history(25, &[11], true), &log, &Budget::default());
    let mut catch_up = CatchUp::default();
    assert!(matches!(catch_up.ask(0, 10, &log), Ask::Read(10)));
    catch_up.reset();
    assert!(matches!(catch_up.ask(0, 12, &log), Ask::Read(12)));
    assert!(matches!(catch_up.ask(1, 14, &log), Ask::Wait));
    // Two reads are under way now; what comes of the first must not end the second.
    assert_eq!(catch_up.failed(10).unwrap_err().len(), 0);
    let (answers, next) = catch_up.arrived(stale(10).unwrap());
    assert!(answers.is_empty() && matches!(next, Ask::Wait));
    let read = history(25, &[13, 14], true);
    let second = page(&room_name(), 12, read, &log, &Budget::default()).unwrap();
    let (answers, next) = catch_up.arrived(second);
    assert!(matches!(answers[..], [(0, PageAnswer::Page(_))]));
    assert!(matches!(next, Ask::Read(14)));
}
