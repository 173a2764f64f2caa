//! The state of a room, and what readers get of it: whatever happens, a reader's map ends as the truth,
//! and each change that it missed is named.

use std::collections::BTreeMap;

use proptest::prelude::*;
use roomcast_bus::StateValue;
use roomcast_protocol::{Data, Epoch, Lineage};

use super::*;
use crate::room_log::{Batch, LogEntry};
use crate::tests::room_name;

const EPOCH: Epoch = Epoch(1);
const KEYS: u8 = 5;
/// Batches that the log keeps.
const LOG_BATCHES: u64 = 3;

fn key(number: u8) -> Option<StateKey> {
    StateKey::parse(&format!("k{number}")).ok().filter(|_| number > 0)
}

type Map = BTreeMap<Option<StateKey>, Seq>;

/// What happens to the room.
#[derive(Debug, Clone)]
enum Step {
    /// A group of changes: key, and whether it is removed; some with a time to live.
    Publish(Vec<(u8, bool, Option<u64>)>),
    /// A read of the bus that was asked for comes.
    ReadComes,
    /// The feed loses so many changes.
    Lose(Vec<(u8, bool, Option<u64>)>),
    /// The memory is needed for something else.
    Forget,
    /// The node removes what has expired.
    End,
    /// Time passes, in ms.
    Wait(u64),
    /// A reader takes its next page, or a part of the log.
    Read(usize),
    /// A reader begins again without a position.
    Join(usize),
}

fn changes() -> impl Strategy<Value = Vec<(u8, bool, Option<u64>)>> {
    let ttl = prop_oneof![3 => Just(None), 1 => (1..50u64).prop_map(Some)];
    prop::collection::vec((0..KEYS, prop::bool::weighted(0.3), ttl), 1..6)
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => changes().prop_map(Step::Publish),
        3 => Just(Step::ReadComes),
        1 => changes().prop_map(Step::Lose),
        1 => Just(Step::Forget),
        2 => Just(Step::End),
        2 => (1..40u64).prop_map(Step::Wait),
        6 => (0..3usize).prop_map(Step::Read),
        1 => (0..3usize).prop_map(Step::Join),
    ]
}

/// A reader: its map, its position, and the snapshot or page that it is in.
#[derive(Debug, Default)]
struct Reader {
    at: Option<Seq>,
    map: Map,
}

/// The room in the bus, the log of a node, and its readers.
struct World {
    now: Instant,
    /// All messages.
    messages: Vec<Arc<Message>>,
    /// When each value of the bus expires.
    ends: BTreeMap<Option<StateKey>, Instant>,
    truth: Map,
    forgotten: Seq,
    log: RoomLog,
    budget: Budget,
    state: KeptState,
    /// The read that is under way.
    read: Option<u64>,
    readers: Vec<Reader>,
}

impl World {
    fn new() -> Self {
        let budget = Budget::default();
        let log = RoomLog::new(Position { epoch: EPOCH, seq: 0 });
        let mut state = KeptState::new(0, &budget);
        let read = Some(state.begin(log.end()));
        let readers = (0..3).map(|_| Reader::default()).collect();
        Self {
            now: Instant::now(),
            messages: Vec::new(),
            ends: BTreeMap::new(),
            truth: Map::new(),
            forgotten: 0,
            log,
            budget,
            state,
            read,
            readers,
        }
    }

    /// The bus stores changes.
    fn store(&mut self, changes: &[(u8, bool, Option<u64>)]) -> Vec<Arc<Message>> {
        let stored = changes.iter().map(|&(number, remove, ttl_ms)| {
            let seq = self.messages.len() as u64 + 1;
            let plain = Message::new(seq, 1, Data::Json("1".into()));
            let state_key = key(number);
            if remove {
                if self.truth.remove(&state_key).is_some() {
                    self.forgotten = seq;
                }
                self.ends.remove(&state_key);
            } else {
                self.truth.insert(state_key.clone(), seq);
                match ttl_ms {
                    Some(ttl) => {
                        self.ends.insert(state_key.clone(), self.now + Duration::from_millis(ttl));
                    }
                    None => drop(self.ends.remove(&state_key)),
                }
            }
            let message = Arc::new(Message { state_key, ttl_ms, remove, ..plain });
            self.messages.push(message.clone());
            message
        });
        stored.collect()
    }

    fn append(&mut self, entries: Vec<LogEntry>) {
        let batch = Batch::new(room_name(), self.log.end(), entries, &self.budget);
        self.log.append(Arc::new(batch));
    }

    fn publish(&mut self, changes: &[(u8, bool, Option<u64>)]) {
        let stored = self.store(changes);
        self.append(stored.iter().cloned().map(LogEntry::Message).collect());
        stored.iter().for_each(|message| self.state.follow(message, self.now));
        self.state.caught_up(self.log.end().seq);
        let floor = self.log.end_cursor().batch.saturating_sub(LOG_BATCHES);
        self.log.trim(floor);
    }

    fn lose(&mut self, changes: &[(u8, bool, Option<u64>)]) {
        let from = self.messages.len() as u64 + 1;
        let to = self.store(changes).last().map_or(from, |message| message.seq);
        self.append(vec![LogEntry::Gap { from, to }]);
        self.log.trim(self.log.end_cursor().batch);
        self.read = Some(self.state.begin(self.log.end()));
    }

    fn bus_state(&self) -> RoomStateRead {
        let value = |(key, seq): (&Option<StateKey>, &Seq)| StateValue {
            message: self.messages[*seq as usize - 1].clone(),
            left: self.ends.get(key).map(|end| end.saturating_duration_since(self.now)),
            points: Vec::new(),
        };
        RoomStateRead {
            lineage: Lineage::new(EPOCH),
            last: self.messages.len() as u64,
            forgotten: self.forgotten,
            entries: self.truth.iter().map(value).collect(),
        }
    }

    fn view(&mut self) -> Option<Arc<StateView>> {
        if self.state.is_unread() {
            self.read = Some(self.state.begin(self.log.end()));
        }
        self.state.want(0, 0);
        let served = self.state.serve(&room_name(), &self.log, self.now)?;
        assert!(served.1.leads_into(&self.log));
        Some(served.1)
    }

    fn end(&mut self) {
        for (key, seq) in self.state.take_ends(self.now, 10) {
            // The bus decides: the value may be another by now, or removed by another node.
            let is_over = self.ends.get(&key).is_some_and(|end| *end <= self.now);
            if self.truth.get(&key) == Some(&seq) && is_over {
                let number = (0..KEYS).find(|number| super::tests::key(*number) == key).unwrap();
                self.publish(&[(number, true, None)]);
            }
        }
    }

    /// A reader takes what is next for it: from the log, or from a view.
    fn step(&mut self, index: usize) {
        let at = self.readers[index].at;
        if let Some(cursor) = at.and_then(|at| self.log.cursor_after(at)) {
            let entries: Vec<LogEntry> = (cursor.batch..self.log.end_cursor().batch)
                .filter_map(|number| self.log.batch(number))
                .flat_map(|batch| batch.entries().to_vec())
                .collect();
            entries.iter().for_each(|entry| self.take(index, entry));
            return;
        }
        let Some(view) = self.view() else { return };
        let page = at.and_then(|at| view.page(at));
        match page {
            Some(page) => {
                assert_eq!(page.start().seq, at.unwrap());
                page.entries().iter().for_each(|entry| self.take(index, entry));
            }
            None => {
                assert!(at.is_none_or(|at| at < view.forgotten), "a snapshot without a reason");
                self.readers[index].map.clear();
                let entries = view.snapshot.entries().to_vec();
                entries.iter().for_each(|entry| self.take(index, entry));
                assert_eq!(self.readers[index].at, Some(view.at.seq));
            }
        }
    }

    fn take(&mut self, index: usize, entry: &LogEntry) {
        let reader = &mut self.readers[index];
        let at = reader.at;
        match entry {
            LogEntry::Message(message) if Some(message.seq) <= at => {}
            LogEntry::Message(message) => {
                assert_eq!(message.seq, at.unwrap() + 1, "nothing is left out without a name");
                let key = message.state_key.clone();
                match message.remove {
                    true => drop(reader.map.remove(&key)),
                    false => drop(reader.map.insert(key, message.seq)),
                }
                reader.at = Some(message.seq);
            }
            LogEntry::Conflated { from, to } => {
                assert!(*from == at.unwrap() + 1 && from <= to);
                reader.at = Some(*to);
            }
            LogEntry::State(part) => {
                for entry in &part.entries {
                    assert!(reader.map.insert(entry.key.clone(), entry.seq).is_none());
                    let is_over = self.ends.get(&entry.key).is_some_and(|end| *end <= self.now);
                    let is_newest = self.truth.get(&entry.key) == Some(&entry.seq);
                    assert!(!(is_over && is_newest), "an expired value");
                }
                if !part.more {
                    reader.at = Some(part.at.seq);
                }
            }
            other => panic!("{other:?} in a room with state"),
        }
    }

    fn read_comes(&mut self) {
        if let Some(number) = self.read.take()
            && self.state.awaits(number)
        {
            let read = self.bus_state();
            self.state.arrived(read, self.log.end().seq, self.now);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_reader_ends_with_the_truth(steps in prop::collection::vec(steps(), 0..60)) {
        let mut world = World::new();
        for step in steps {
            match step {
                Step::Publish(changes) => world.publish(&changes),
                Step::ReadComes => world.read_comes(),
                Step::Lose(changes) => world.lose(&changes),
                Step::Forget => world.state.forget(),
                Step::End => world.end(),
                Step::Wait(ms) => world.now += Duration::from_millis(ms),
                Step::Read(reader) => world.step(reader),
                Step::Join(reader) => world.readers[reader] = Reader::default(),
            }
        }
        // Everything that has expired is removed, and the readers come to the end.
        world.now += Duration::from_secs(60);
        while world.ends.values().any(|end| *end <= world.now) {
            world.now += Duration::from_secs(2);
            world.read_comes();
            if world.state.is_unread() {
                world.read = Some(world.state.begin(world.log.end()));
            }
            world.end();
        }
        let last = world.log.end().seq;
        for index in 0..world.readers.len() {
            for _ in 0..100 {
                world.read_comes();
                world.step(index);
                if world.readers[index].at == Some(last) {
                    break;
                }
            }
            prop_assert_eq!(world.readers[index].at, Some(last));
            prop_assert_eq!(&world.readers[index].map, &world.truth);
        }
        let World { state, log, readers, budget, .. } = world;
        drop((state, log, readers));
        prop_assert_eq!((budget.used(), budget.kept()), (0, 0), "the memory is given back");
    }
}

#[test]
fn a_view_is_shared_until_the_log_has_grown() {
    let mut world = World::new();
    world.read_comes();
    (0..8).for_each(|key| world.publish(&[(key, false, None)]));
    let first = world.view().unwrap();
    assert_eq!((first.at.seq, first.snapshot.entries().len()), (8, 1));
    world.publish(&[(1, false, None)]);
    assert!(Arc::ptr_eq(&first, &world.view().unwrap()));
    world.publish(&[(1, false, Some(10))]);
    assert!(Arc::ptr_eq(&first, &world.view().unwrap()));
    world.now += Duration::from_millis(11);
    assert_eq!(world.view().unwrap().at.seq, 10, "without what is over");
    (0..3).for_each(|_| world.publish(&[(2, false, None)]));
    assert_eq!(world.view().unwrap().at.seq, 13, "a joiner reads a quarter of the view at most");
    world.state.forget_unused();
    world.state.forget_unused();
    assert!(world.state.view.is_none());
}

#[test]
fn a_read_ahead_of_the_log_waits_for_it() {
    let mut world = World::new();
    let stored = world.store(&[(1, false, None), (2, false, None)]);
    world.read_comes();
    assert!(world.view().is_none(), "the log is at 0, the state at 2");
    world.append(vec![LogEntry::Message(stored[0].clone())]);
    world.state.follow(&stored[0], world.now);
    world.state.caught_up(1);
    assert!(world.view().is_none());
    world.append(vec![LogEntry::Message(stored[1].clone())]);
    world.state.follow(&stored[1], world.now);
    world.state.caught_up(2);
    assert_eq!(world.view().unwrap().at.seq, 2);
}

#[test]
fn a_read_behind_the_log_is_not_the_state() {
    let mut world = World::new();
    world.publish(&[(1, false, None), (2, false, None)]);
    // The state was forgotten, and is read from a replica that lacks the last message.
    world.state.begin(world.log.end());
    let read = world.bus_state();
    assert!(world.state.accepts(&read));
    assert!(!world.state.accepts(&RoomStateRead { last: 1, ..read.clone() }));
    assert!(!world.state.accepts(&RoomStateRead { lineage: Lineage::new(Epoch(2)), ..read }));
}
