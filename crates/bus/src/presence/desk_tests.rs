//! The desk beside a model of Redis: members come, show themselves and go, calls are lost before or
//! after they were done, run late, or find the incarnation dead; data is rolled back. In the end
//! Redis has exactly the desk's truth, and no call changed anything that it should not.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use roomcast_protocol::{ConnectionId, RoomName, UserName};
use tokio::time::Instant;

use super::call::CallOutcome;
use super::desk::{Desk, DeskTask, IndexOutcome, NumberFound};
use super::store_model::{POLICY, Store};
use crate::api::{Departure, PresenceMember};
use crate::leases::Incarnation;

#[derive(Debug, Clone)]
enum Step {
    Enter(u8, u8),
    Show(u8, u8),
    Exit(u8, u8, bool),
    /// A task is done; lost before; lost after; or lost and done later.
    Done,
    LostBefore,
    LostAfter,
    Late,
    /// What is late arrives.
    Arrive,
    /// The incarnation is marked dead and reaped; the node takes another one.
    Die,
    /// A replica has what Redis has.
    Save,
    /// Redis goes back to the replica's state.
    RollBack,
    /// All rooms are compared.
    Compare,
    Wait,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3_u8, 0..6_u8).prop_map(|(room, id)| Step::Enter(room, id)),
        1 => (0..3_u8, 0..6_u8).prop_map(|(room, id)| Step::Show(room, id)),
        4 => (0..3_u8, 0..6_u8, any::<bool>()).prop_map(|(room, id, how)| Step::Exit(room, id, how)),
        8 => Just(Step::Done),
        1 => Just(Step::LostBefore),
        1 => Just(Step::LostAfter),
        1 => Just(Step::Late),
        1 => Just(Step::Arrive),
        1 => Just(Step::Die),
        1 => Just(Step::Save),
        1 => Just(Step::RollBack),
        2 => Just(Step::Compare),
        2 => Just(Step::Wait),
    ]
}

struct World {
    desk: Desk<u32>,
    store: Store,
    saved: Store,
    own: Incarnation,
    now: Instant,
    late: Vec<(Incarnation, DeskTask)>,
    truth: BTreeMap<RoomName, BTreeSet<u64>>,
    replies: u32,
    answered: BTreeSet<u32>,
    /// Whether Redis has only what this run wrote: a rollback may bring a place in the index back.
    is_pure: bool,
}

fn room(number: u8) -> RoomName {
    RoomName::parse(&format!("r{number}")).unwrap()
}

fn member(id: u8) -> PresenceMember {
    let user = UserName::parse(["ann", "bob"][usize::from(id) % 2]).ok();
    PresenceMember {
        connection: ConnectionId(id.into()),
        user,
        info: None,
        status: Default::default(),
    }
}

impl World {
    fn new() -> Self {
        let own = Incarnation(1);
        let mut desk = Desk::new();
        desk.write_as(own);
        Self {
            desk,
            store: Store::default(),
            saved: Store::default(),
            own,
            now: Instant::now(),
            late: Vec::new(),
            truth: BTreeMap::new(),
            replies: 0,
            answered: BTreeSet::new(),
            is_pure: true,
        }
    }

    fn act(&mut self, step: Step) {
        match step {
            Step::Enter(at, id) => {
                self.replies += 1;
                self.truth.entry(room(at)).or_default().insert(id.into());
                self.desk.enter(&room(at), member(id), POLICY, (true, self.replies));
            }
            Step::Show(at, id) => {
                self.replies += 1;
                self.desk.show(&room(at), member(id), self.replies);
            }
            Step::Exit(at, id, is_left) => {
                let how = if is_left { Departure::Left } else { Departure::Ended };
                self.truth.entry(room(at)).or_default().remove(&id.into());
                self.desk.exit(&room(at), ConnectionId(id.into()), how);
            }
            Step::Done => self.task(|world, task| world.run(world.own, task)),
            Step::LostBefore => self.task(|_, task| lost(task)),
            Step::LostAfter => self.task(|world, task| {
                world.run(world.own, task);
                lost(task)
            }),
            Step::Late => self.task(|world, task| {
                world.late.push((world.own, task.clone()));
                lost(task)
            }),
            Step::Arrive => {
                for (own, task) in std::mem::take(&mut self.late) {
                    self.run(own, &task);
                }
            }
            Step::Die => self.die(),
            Step::Save => self.saved = self.store.clone(),
            Step::RollBack => {
                // The marks of the dead are never older than the rooms': reapers come again.
                let dead = self.store.dead.clone();
                self.store = self.saved.clone();
                self.store.dead = dead;
                self.reap_all();
                // A server that loses data loses its connections.
                self.late.clear();
                self.desk.reindex(|_| true);
                self.is_pure = false;
            }
            Step::Compare => self.compare(),
            Step::Wait => {
                self.now += POLICY.grace + Duration::from_millis(10);
                self.desk.tick(self.now);
            }
        }
        for (reply, _) in std::mem::take(&mut self.desk.answers) {
            assert!(self.answered.insert(reply), "answered once");
        }
    }

    fn task(&mut self, run: impl FnOnce(&mut Self, &DeskTask) -> Outcome) {
        self.desk.tick(self.now);
        let Some(task) = self.desk.next() else { return };
        let outcome = run(self, &task);
        self.tell(task, outcome);
    }

    fn run(&mut self, own: Incarnation, task: &DeskTask) -> Outcome {
        match task {
            DeskTask::Call(call) => {
                let mut is_indexed = true;
                let outcome = self.store.call(call, Some(&mut is_indexed));
                assert!(is_indexed || !self.is_pure, "the index has it first");
                Outcome::Called(outcome)
            }
            task => Outcome::Indexed(self.store.index(own, task)),
        }
    }

    fn tell(&mut self, task: DeskTask, outcome: Outcome) {
        let own = self.own;
        let is_dead = matches!(
            outcome,
            Outcome::Called(CallOutcome::Dead) | Outcome::Indexed(IndexOutcome::Dead)
        );
        match (task, outcome) {
            (DeskTask::Index(room, _), Outcome::Indexed(outcome)) => {
                self.desk.indexed(&room, own, outcome, self.now);
            }
            (DeskTask::Unindex(room, ..), Outcome::Indexed(outcome)) => {
                if self.desk.unindexed(&room, own, outcome, self.now) {
                    self.scan(&room);
                }
            }
            (DeskTask::Call(call), Outcome::Called(outcome)) => {
                if self.desk.called(&call.room, own, outcome, self.now) {
                    self.scan(&call.room);
                }
            }
            _ => unreachable!(),
        }
        if is_dead {
            self.renew();
        }
    }

    fn die(&mut self) {
        self.store.dead.insert(self.own);
        self.reap_all();
        self.renew();
    }

    fn reap_all(&mut self) {
        for dead in self.store.dead.clone() {
            // The rooms of the index are marked whether they have a hash or not.
            for (_, room) in
                self.store.index.extract_if(.., |(own, _), _| *own == dead).map(|it| it.0)
            {
                self.store.rooms.entry(room).or_default();
            }
            for room in self.store.rooms.values_mut() {
                room.dead.insert(dead);
                room.seats.retain(|(own, _), _| *own != dead);
            }
        }
    }

    fn renew(&mut self) {
        self.own = Incarnation(self.own.0 + 1);
        self.desk.write_as(self.own);
    }

    fn compare(&mut self) {
        // A comparison sees all incarnations that have members in the room.
        for room in self.store.rooms.values_mut() {
            let found: Vec<_> = room.seats.keys().map(|(own, _)| *own).collect();
            for dead in found.into_iter().filter(|own| self.store.dead.contains(own)) {
                room.dead.insert(dead);
                room.seats.retain(|(own, _), _| *own != dead);
            }
        }
        let index: Vec<_> = self.store.index.keys().cloned().collect();
        for (own, room) in index {
            if own == self.own && self.desk.adopt(&room) {
                self.scan(&room);
            }
        }
        for room in (0..3).map(room) {
            let Some(done) = self.desk.settled(&room) else { continue };
            let there = self.store.rooms.get(&room).and_then(|it| it.calls.get(&self.own));
            let found = there.map_or(NumberFound::Missing, |number| NumberFound::Call(*number));
            if self.desk.compared(&room, done, found) {
                self.scan(&room);
            }
        }
    }

    fn scan(&mut self, room: &RoomName) {
        let there = self.store.rooms.get(room).cloned().unwrap_or_default();
        let seats = there.seats.iter().filter(|((own, _), _)| *own == self.own);
        let seats = seats.map(|((_, id), user)| (ConnectionId(*id), Some(user.clone())));
        let (seats, graces) = (seats.collect(), there.graces.iter().cloned().collect());
        self.desk.scanned(room, seats, graces, self.now);
    }

    /// Everything comes to rest, and late calls arrive.
    fn rest(&mut self) {
        for _ in 0..6 {
            self.act(Step::Arrive);
            self.act(Step::Compare);
            for _ in 0..40 {
                self.act(Step::Wait);
                (0..12).for_each(|_| self.act(Step::Done));
            }
        }
    }
}

#[test]
fn only_the_newest_of_what_a_member_shows_waits() {
    let mut desk = Desk::new();
    desk.write_as(Incarnation(1));
    desk.enter(&room(0), member(1), POLICY, (false, 0));
    (1..=1000).for_each(|reply| desk.show(&room(0), member(1), reply));
    let answers = std::mem::take(&mut desk.answers);
    assert_eq!(answers, (1..1000).map(|reply| (reply, None)).collect::<Vec<_>>());
    // What a call has on its way comes back behind what is newer.
    let now = Instant::now();
    desk.opened(&room(0));
    assert!(matches!(desk.next(), Some(DeskTask::Index(..))));
    desk.indexed(&room(0), Incarnation(1), IndexOutcome::Done, now);
    assert!(matches!(desk.next(), Some(DeskTask::Call(_))));
    desk.show(&room(0), member(1), 1001);
    desk.called(&room(0), Incarnation(1), CallOutcome::Lost, now);
    assert_eq!(std::mem::take(&mut desk.answers), [(1000, None)]);
    desk.exit(&room(0), ConnectionId(1), Departure::Left);
    assert_eq!(std::mem::take(&mut desk.answers), [(0, None), (1001, None)]);
}

enum Outcome {
    Called(CallOutcome),
    Indexed(IndexOutcome),
}

fn lost(task: &DeskTask) -> Outcome {
    match task {
        DeskTask::Call(_) => Outcome::Called(CallOutcome::Lost),
        _ => Outcome::Indexed(IndexOutcome::Lost),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn redis_comes_to_the_desks_truth(steps in prop::collection::vec(step(), 1..80)) {
        let mut world = World::new();
        steps.into_iter().for_each(|step| world.act(step));
        world.rest();
        prop_assert!(world.desk.is_idle());
        prop_assert_eq!(world.answered.len() as u32, world.replies, "each is answered");
        for room in (0..3).map(room) {
            let expected = world.truth.remove(&room).unwrap_or_default();
            let there = world.store.rooms.get(&room).cloned().unwrap_or_default();
            let seats: BTreeSet<u64> = there.seats.keys().map(|(_, id)| *id).collect();
            prop_assert_eq!(&seats, &expected, "{}: {:?}", room, there);
            prop_assert_eq!(there.seats.len(), expected.len(), "each once");
            let is_indexed = world.store.index.contains_key(&(world.own, room.clone()));
            prop_assert!(is_indexed || expected.is_empty(), "the index has {}", room);
            if world.is_pure {
                prop_assert_eq!(is_indexed, !expected.is_empty(), "the index of {}", room);
                prop_assert!(there.graces.is_empty(), "every grace ends");
                prop_assert_eq!(world.desk.has(&room), !expected.is_empty());
            }
        }
    }
}
