//! Crowds behind a log that moves on: everybody is answered once, by as few reads as can be.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

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
    fn new(last: Seq, back: u64) -> Self {
        let lost = BTreeSet::new();
        let log = log(last - back, last);
        Self { last, lost, readable: 5000, log, budget: Budget::default(), page_size: 1000 }
    }

    fn read(&self, part: BackfillRange) -> History {
        let oldest = (self.last + 1).saturating_sub(self.readable).max(1);
        let range = match part {
            BackfillRange::After(after) => oldest.max(after + 1)..=self.last,
            BackfillRange::UpTo(to, _) => oldest..=to,
        };
        let mut seqs: Vec<Seq> = range.filter(|seq| !self.lost.contains(seq)).collect();
        let count = seqs.len();
        match part {
            BackfillRange::After(_) => seqs.truncate(self.page_size),
            BackfillRange::UpTo(_, limit) => {
                let most = self.page_size.min(limit as usize);
                seqs.drain(..count.saturating_sub(most));
            }
        }
        history(self.last, &seqs, seqs.len() < count)
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
    backfill: Backfill,
    readers: Vec<Vec<Seq>>,
    /// Per worker: its question that was not answered.
    asked: Vec<Option<Seq>>,
    /// The read under way.
    reading: Option<BackfillRange>,
    reads: usize,
}

impl Storm {
    fn new(world: World, readers: Vec<Vec<Seq>>) -> Self {
        let asked = vec![None; readers.len()];
        let backfill = Backfill::default();
        Self { world, backfill, readers, asked, reading: None, reads: 0 }
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
        match self.backfill.ask(worker, oldest, &self.world.log) {
            BackfillStep::Answer(answer) => self.answer(worker, answer),
            next => self.follow(next),
        }
        assert!(self.asked[worker].is_none() || self.reading.is_some(), "a read is under way");
    }

    fn follow(&mut self, next: BackfillStep) {
        match next {
            BackfillStep::Answer(answer) => panic!("nobody asked: {answer:?}"),
            BackfillStep::Read(part) => {
                assert_eq!(self.reading, None, "one read at a time");
                match part {
                    BackfillRange::After(after) => {
                        let waiting = self.asked.iter().flatten().min();
                        assert_eq!(Some(&after), waiting, "the oldest first");
                    }
                    BackfillRange::UpTo(to, _) => assert_eq!(to, self.world.log.reach().seq),
                }
                self.reading = Some(part);
                self.reads += 1;
            }
            BackfillStep::Wait => {}
        }
    }

    fn answer(&mut self, worker: usize, answer: BackfillAnswer) {
        let asked = self.asked[worker].take().expect("answered once");
        let BackfillAnswer::Page(page) = answer else { return };
        assert!(page.serves(asked), "{asked} in {page:?}");
        for reader in &mut self.readers[worker] {
            if page.serves(*reader) {
                check_told(&page, *reader, &self.world);
                *reader = page.to;
            }
        }
    }

    fn arrive(&mut self) {
        let Some(part) = self.reading.take() else { return };
        let World { log, budget, .. } = &self.world;
        let page =
            BackfillPage::of(&room_name(), part, self.world.read(part), log, budget).unwrap();
        let (answers, next) = self.backfill.arrived(part, page);
        let for_one = matches!(part, BackfillRange::After(_));
        assert!(!for_one || !answers.is_empty(), "who was read for is answered");
        for (worker, answer) in answers {
            self.answer(worker, answer);
        }
        self.follow(next);
    }

    fn is_over(&self) -> bool {
        self.readers.iter().all(Vec::is_empty)
    }

    /// Lets everybody go on until all stand in the log.
    fn finish(&mut self) {
        let mut rounds = 0;
        while !self.is_over() {
            (0..self.readers.len()).for_each(|worker| self.ask(worker));
            self.arrive();
            rounds += 1;
            assert!(rounds < 2000, "everybody comes to the log");
        }
        while self.reading.is_some() {
            self.arrive();
        }
        assert!(self.asked.iter().all(Option::is_none), "everybody is answered");
    }
}

/// A reader of a page is told of every seq in it once, and as lost of just what is lost.
fn check_told(page: &BackfillPage, reader: Seq, world: &World) {
    let missing = page.missing(reader).into_iter().flat_map(|(from, to)| from..=to);
    let mut told: Vec<(Seq, bool)> = missing.map(|seq| (seq, false)).collect();
    if let Some(batch) = &page.batch {
        for entry in &batch.entries()[batch.frame_after(reader, 0) as usize..] {
            match entry {
                LogEntry::Message(message) => told.push((message.seq, true)),
                LogEntry::Gap { from, to } => told.extend((*from..=*to).map(|seq| (seq, false))),
                _ => panic!("no page has a reset, or state"),
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
        ops in prop::collection::vec((0..12u8, 0..6usize), 0..60),
    ) {
        let world = World { lost, readable, page_size, ..World::new(last, back) };
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
                9 => storm.backfill.forget_unused(),
                10 => storm.backfill.forget_pages(),
                _ => if let Some(part) = storm.reading {
                    // A read that fails once is tried again at the same place.
                    prop_assert_eq!(storm.backfill.failed(part).ok(), Some(part));
                    storm.backfill.tries = 0;
                },
            }
        }
        storm.finish();
        let used = storm.world.budget.used();
        storm.backfill.forget_pages();
        prop_assert!(storm.world.budget.used() <= used);
    }

    /// 1,000 crowds before the log, whoever of them comes first, whatever the log does meanwhile
    /// but forget: none needs a second read.
    #[test]
    fn a_crowd_within_a_page_costs_one_read(
        last in 600..3000u64,
        back in 0..300u64,
        far in 0..1000u64,
        crowd in prop::collection::vec(prop::collection::vec(0.0..1.0, 1..8), 1..6),
        ops in prop::collection::vec((0..7u8, 0..6usize), 0..60),
    ) {
        let reach = last - back;
        // Where its first stands; nobody stands twice as far back, or further than a page.
        let depth = (2 * far).clamp(FIRST_MESSAGES.into(), PAGE_MESSAGES.into()).min(reach);
        let place = |share: f64| reach - 1 - (share * depth as f64) as u64;
        let mut readers: Vec<Vec<Seq>> =
            crowd.into_iter().map(|all| all.into_iter().map(place).collect()).collect();
        readers.insert(0, vec![reach.saturating_sub(far.max(1))]);
        let workers = readers.len();
        let mut storm = Storm::new(World::new(last, back), readers);
        storm.ask(0);
        for (op, at) in ops {
            match op {
                0..4 => storm.ask(at % workers),
                4..6 => storm.arrive(),
                _ => storm.world.grow(at as u64 + 1, u64::MAX),
            }
        }
        storm.finish();
        prop_assert_eq!(storm.reads, 1);
    }
}

#[test]
fn whoever_stands_further_back_is_read_for_from_there() {
    let log = log(2000, 2050);
    let first = |at| part(Backfill::default().ask(0, at, &log));
    assert_eq!(first(1999), BackfillRange::UpTo(2000, 256));
    assert_eq!(first(1800), BackfillRange::UpTo(2000, 400));
    assert_eq!(first(1000), BackfillRange::UpTo(2000, 1000));
    assert_eq!(first(999), BackfillRange::After(999), "it would not be reached");

    // Messages may be too large for so many in a page.
    let world = World { page_size: 50, ..World::new(2050, 50) };
    let mut storm = Storm::new(world, vec![vec![1900], vec![1960], vec![1850]]);
    storm.ask(0);
    assert_eq!(storm.reading, Some(BackfillRange::UpTo(2000, 256)));
    storm.ask(1);
    storm.ask(2);
    storm.arrive();
    assert_eq!(storm.asked, [Some(1900), None, Some(1850)]);
    assert_eq!(storm.reading, Some(BackfillRange::After(1850)));
    storm.finish();
    assert_eq!(storm.reads, 3, "1951-2000, 1851-1900, 1901-1950");
    // The page that leads to the log is there still, and this reader stands before it.
    assert_eq!(part(storm.backfill.ask(0, 1700, &log)), BackfillRange::After(1700));
}

#[test]
fn a_crowd_at_one_place_costs_one_read() {
    let mut storm = Storm::new(World::new(100, 10), vec![vec![50, 60, 70]; 8]);
    (0..8).for_each(|worker| storm.ask(worker));
    storm.arrive();
    (0..8).for_each(|worker| storm.ask(worker));
    assert_eq!((storm.reads, storm.reading), (1, None));
    assert!(storm.is_over());
    // Who comes later is served from the page that was read, however far back it stands.
    for at in [55, 49, 0] {
        let late = storm.backfill.ask(3, at, &storm.world.log);
        assert!(
            matches!(late, BackfillStep::Answer(BackfillAnswer::Page(page)) if page.serves(at))
        );
    }
}
