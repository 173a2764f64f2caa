//! A model of a cluster's leases: real holders and judges of several nodes against a hash that does
//! what the scripts do. Nodes pause and stop, answers are lost, calls arrive late, and Redis
//! refuses writes, stops answering, fails over or loses its data. Drawn from a seed.

use std::collections::{BTreeMap, BTreeSet};

use super::judge::DEAD_ADVANCES;
use super::{Incarnation, Lease, LeaseHolder, LeaseJudge, LeaseTable};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// One step of the world, in ms.
const STEP_MS: u64 = 100;

/// The hash, as `advance.lua` and `bury.lua` treat it.
#[derive(Debug, Clone, Default)]
struct Hash {
    /// Rises with each server that takes over.
    life: u64,
    leases: BTreeMap<Incarnation, u64>,
    dead: BTreeSet<Incarnation>,
}

enum Answer {
    Table(LeaseTable),
    Dead,
    Late,
}

impl Hash {
    fn advance(&mut self, incarnation: Incarnation, counter: u64, time: u64) -> Answer {
        if self.dead.contains(&incarnation) {
            return Answer::Dead;
        }
        if self.leases.get(&incarnation).is_some_and(|&known| known >= counter) {
            return Answer::Late;
        }
        self.leases.insert(incarnation, counter);
        let lease = |(&incarnation, &counter): (&_, &_)| Lease { incarnation, counter };
        let leases = self.leases.iter().map(lease).collect();
        let life = self.life.to_string().into();
        Answer::Table(LeaseTable { life, time, leases, dead: self.dead.iter().copied().collect() })
    }

    fn bury(&mut self, lease: Lease) {
        if self.leases.get(&lease.incarnation) == Some(&lease.counter) {
            self.leases.remove(&lease.incarnation);
            self.dead.insert(lease.incarnation);
        }
    }
}

struct Node {
    holder: LeaseHolder,
    judge: LeaseJudge,
    /// When it sends its next advance.
    next: u64,
    /// The time before which it does nothing, in ms.
    paused_until: u64,
    stopped: bool,
    /// When Redis last accepted an advance of its present incarnation.
    taken: Option<u64>,
}

/// What may happen in a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Faults {
    None,
    OfRedis,
    All,
}

struct World {
    faults: Faults,
    dice: SmallRng,
    now: u64,
    hash: Hash,
    /// An earlier state of the hash, which a replica has.
    replica: Hash,
    /// Redis refuses or does not answer before this time, in ms.
    away_until: u64,
    nodes: Vec<Node>,
    /// Calls on abandoned connections.
    late: Vec<(u64, Incarnation, u64)>,
    incarnations: u64,
}

impl World {
    fn new(seed: u64, faults: Faults) -> Self {
        let mut world = Self {
            faults,
            dice: SmallRng::seed_from_u64(seed),
            now: 0,
            hash: Hash::default(),
            replica: Hash::default(),
            away_until: 0,
            nodes: Vec::new(),
            late: Vec::new(),
            incarnations: 0,
        };
        for _ in 0..world.dice.random_range(2..5) {
            let node = Node {
                holder: LeaseHolder::new(world.fresh()),
                judge: LeaseJudge::default(),
                next: world.dice.random_range(0..1_000),
                paused_until: 0,
                stopped: false,
                taken: None,
            };
            world.nodes.push(node);
        }
        world
    }

    fn fresh(&mut self) -> Incarnation {
        self.incarnations += 1;
        Incarnation(self.incarnations)
    }

    fn chance(&mut self, one_in: u32) -> bool {
        self.dice.random_range(0..one_in) == 0
    }

    fn step(&mut self) {
        self.now += STEP_MS;
        let now = self.now;
        if self.faults != Faults::None {
            self.fault();
        }
        if self.chance(5) {
            self.replica = self.hash.clone();
        }
        let due: Vec<_> = self.late.extract_if(.., |(at, ..)| *at <= now).collect();
        for (_, incarnation, counter) in due {
            self.hash.advance(incarnation, counter, now);
        }
        for node in 0..self.nodes.len() {
            let it = &self.nodes[node];
            if !it.stopped && it.paused_until <= now && it.next <= now {
                self.advance(node);
            }
        }
    }

    fn fault(&mut self) {
        let (now, node) = (self.now, self.dice.random_range(0..self.nodes.len()));
        if self.faults == Faults::All && self.chance(40) {
            let pause = self.dice.random_range(100..20_000);
            self.nodes[node].paused_until = now + pause;
        }
        if self.chance(80) {
            self.away_until = now + self.dice.random_range(100..30_000);
        }
        if self.chance(150) {
            self.hash = Hash { life: self.hash.life + 1, ..self.replica.clone() };
        }
        if self.chance(400) {
            self.hash = Hash { life: self.hash.life + 1, ..Hash::default() };
        }
    }

    fn advance(&mut self, node: usize) {
        let now = self.now;
        let fresh = self.fresh();
        let it = &mut self.nodes[node];
        let (incarnation, counter) = it.holder.next_advance();
        it.next = now + 1_000;
        let is_lost = self.faults == Faults::All && self.chance(30);
        if self.away_until > now || (is_lost && self.chance(2)) {
            if self.chance(3) {
                let at = self.away_until.max(now) + self.dice.random_range(0..3_000);
                self.late.push((at, incarnation, counter));
            }
            return self.nodes[node].judge.interrupted();
        }
        let answer = self.hash.advance(incarnation, counter, now);
        let it = &mut self.nodes[node];
        if !matches!(answer, Answer::Dead) {
            it.taken = Some(now);
        }
        if is_lost {
            return it.judge.interrupted();
        }
        match answer {
            Answer::Table(table) => {
                it.holder.answered();
                for dead in it.judge.advanced(incarnation, &table) {
                    self.bury(dead);
                }
            }
            Answer::Dead => {
                it.judge.interrupted();
                it.holder.renew(fresh);
                it.taken = None;
            }
            Answer::Late => {}
        }
    }

    /// The promise: an incarnation that a node holds dies only if Redis got no advance of it for
    /// the shortest time to a death, and never because of an outage of Redis alone.
    fn bury(&mut self, dead: Lease) {
        let now = self.now;
        let shortest = u64::from(DEAD_ADVANCES) * 900;
        if let Some(node) = self.nodes.iter().find(|it| it.holder.incarnation() == dead.incarnation)
        {
            let silent = node.taken.is_none_or(|at| now - at >= shortest);
            assert!(silent, "an incarnation died that had just advanced");
            let may_pause = self.faults != Faults::OfRedis;
            assert!(may_pause, "a node that never paused died of an outage");
        }
        self.hash.bury(dead);
    }
}

#[test]
fn no_outage_kills_a_node_that_goes_on() {
    for seed in 0..400 {
        let mut world = World::new(seed, Faults::OfRedis);
        (0..1_500).for_each(|_| world.step());
    }
}

#[test]
fn only_who_is_silent_dies() {
    for seed in 0..400 {
        let mut world = World::new(seed, Faults::All);
        (0..1_500).for_each(|_| world.step());
        // Afterwards a node that stops for good dies within ten seconds, and no other does.
        world.faults = Faults::None;
        world.away_until = 0;
        world.late.clear();
        world.nodes.iter_mut().for_each(|node| node.paused_until = 0);
        (0..150).for_each(|_| world.step());
        let before = world.hash.dead.clone();
        world.nodes[0].stopped = true;
        let stopped = world.nodes[0].holder.incarnation();
        (0..100).for_each(|_| world.step());
        let died: Vec<_> = world.hash.dead.difference(&before).copied().collect();
        assert_eq!(died, [stopped], "seed {seed}");
        let live: BTreeSet<_> =
            world.nodes[1..].iter().map(|node| node.holder.incarnation()).collect();
        let listed: BTreeSet<_> = world.hash.leases.keys().copied().collect();
        assert_eq!(live, listed, "seed {seed}");
    }
}
