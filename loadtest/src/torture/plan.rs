//! The schedule of faults: from a seed, the same every time. Pure. Faults overlap, but never so that
//! nothing can work: Redis as a whole has one at a time, and one node at least is always whole.

use std::time::Duration;

use serde::Serialize;

use super::fault::{Harm, Kind, Scope};
use super::mix::mix;
use super::topology::Topology;
use crate::random::Random;

/// Nothing fails before this: every member is in its rooms by then.
const PROLOGUE: u64 = 1_500;
/// Faults at work at once.
const AT_ONCE: usize = 3;
/// Draws for one fault before the one that is always possible is taken.
const DRAWS: usize = 32;
/// The longest time between the beginnings of two faults, in ms.
pub(super) const LONGEST: u64 = 2_000;

/// One fault to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Fault {
    pub(super) kind: Kind,
    /// Which node; 0 where there is no choice.
    pub(super) target: usize,
    /// Which primary; 0 where there is no choice.
    pub(super) server: usize,
    /// Begins so many ms after the run did.
    pub(super) at: u64,
    /// How long, in ms, until it is undone; 0: it is over at once.
    pub(super) lasts: u64,
    /// Whatever else is to be chosen (members, how slow): from this.
    pub(super) aim: u64,
}

impl Fault {
    /// When it is undone, in ms.
    pub(super) fn end(&self) -> u64 {
        self.at + self.lasts
    }

    /// What and where.
    pub(super) fn text(&self) -> String {
        let (name, node, server) = (self.kind.name(), self.target + 1, self.server + 1);
        match self.kind.scope() {
            Scope::Node | Scope::Front => format!("{name} (node {node})"),
            Scope::Link => format!("{name} (node {node}, server {server})"),
            Scope::Redis => format!("{name} (server {server})"),
            Scope::Clients => name,
        }
    }
}

/// What a schedule is made from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outline {
    pub(super) topology: Topology,
    pub(super) nodes: usize,
    pub(super) length: Duration,
    /// Mean time between the beginnings of two faults.
    pub(super) every: Duration,
    /// Only faults after which Redis has all that it had.
    pub(super) lossless: bool,
    pub(super) seed: u64,
}

/// Draws the schedule, in the order in which faults begin.
pub(super) fn schedule(outline: &Outline) -> Vec<Fault> {
    let mut random = Random::new(outline.seed);
    let (length, every) = (outline.length.as_millis() as u64, outline.every.as_millis() as u64);
    let mut faults = Vec::new();
    let mut at = PROLOGUE;
    while at < length {
        let fault = draw(outline, at, &faults, &mut random);
        faults.push(fault);
        at += random.between(every * 3 / 10, every * 17 / 10).clamp(50, LONGEST);
    }
    for fault in &mut faults {
        fault.lasts = fault.lasts.min(length.saturating_sub(fault.at).max(200));
    }
    faults
}

fn draw(outline: &Outline, at: u64, before: &[Fault], random: &mut Random) -> Fault {
    let topology = outline.topology;
    let mix = mix(topology);
    let all: u64 = mix.iter().map(|(_, weight)| weight).sum();
    for _ in 0..DRAWS {
        let mut ticket = random.below(all);
        let chosen = mix.iter().find(|(_, weight)| {
            let is_it = ticket < *weight;
            ticket = ticket.saturating_sub(*weight);
            is_it
        });
        let Some(&(kind, _)) = chosen else { continue };
        if outline.lossless && kind.harm(topology) == Harm::Loses {
            continue;
        }
        let target = match kind.scope() {
            Scope::Redis | Scope::Clients => 0,
            Scope::Node | Scope::Link | Scope::Front => random.index(outline.nodes),
        };
        let server = match kind.scope() {
            Scope::Redis | Scope::Link => random.index(topology.primaries()),
            Scope::Node | Scope::Front | Scope::Clients => 0,
        };
        let (shortest, longest) = kind.lasts(topology);
        let lasts = random.between(shortest, longest + 1);
        let fault = Fault { kind, target, server, at, lasts, aim: random.next() };
        if is_bearable(&fault, before, outline) {
            return fault;
        }
    }
    Fault { kind: Kind::Disconnects, target: 0, server: 0, at, lasts: 0, aim: random.next() }
}

/// Whether everything can still work in part beside what is under way.
fn is_bearable(fault: &Fault, before: &[Fault], outline: &Outline) -> bool {
    let until = |other: &Fault| other.end() + other.kind.rest(outline.topology);
    let active = || before.iter().filter(|other| until(other) > fault.at);
    if active().filter(|other| other.end() > fault.at).count() >= AT_ONCE {
        return false;
    }
    let same_place = |other: &Fault| {
        other.target == fault.target
            && match (other.kind.scope(), fault.kind.scope()) {
                (Scope::Clients, Scope::Clients) => other.kind == fault.kind,
                (Scope::Front, Scope::Node) | (Scope::Node, Scope::Front) => true,
                (Scope::Node | Scope::Link, Scope::Node | Scope::Link) => true,
                (one, two) => one == two,
            }
    };
    let impairs = |other: &Fault| match other.kind {
        Kind::Link(trouble) => !trouble.is_mild(),
        kind => kind.scope() == Scope::Node,
    };
    let impaired = active().filter(|other| impairs(other)).count();
    !active().any(same_place) && (!impairs(fault) || impaired + 1 < outline.nodes.max(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Topology; 4] =
        [Topology::Standalone, Topology::Sentinel, Topology::Cluster, Topology::Servers];

    fn outline(topology: Topology, seed: u64) -> Outline {
        Outline {
            topology,
            nodes: 3,
            length: Duration::from_secs(300),
            every: Duration::from_millis(1_200),
            lossless: false,
            seed,
        }
    }

    #[test]
    fn a_seed_is_one_schedule() {
        for topology in ALL {
            let [one, again, other] = [5, 5, 6].map(|seed| schedule(&outline(topology, seed)));
            assert_eq!(one, again);
            assert_ne!(one, other);
        }
    }

    #[test]
    fn a_fault_begins_every_two_seconds_and_every_kind_comes() {
        for topology in ALL {
            let mut faults = schedule(&outline(topology, 1));
            assert!(faults.windows(2).all(|two| two[1].at - two[0].at <= LONGEST));
            assert!(faults[0].at <= LONGEST && faults.last().unwrap().at > 298_000);
            faults.extend(schedule(&outline(topology, 2)));
            for (kind, _) in mix(topology) {
                assert!(faults.iter().any(|fault| fault.kind == kind), "no {}", kind.name());
            }
        }
    }

    #[test]
    fn a_run_without_loss_has_no_fault_that_loses() {
        for topology in ALL {
            let outline = Outline { lossless: true, ..outline(topology, 3) };
            let loses = |fault: &Fault| fault.kind.harm(topology) == Harm::Loses;
            assert!(!schedule(&outline).iter().any(loses));
        }
    }

    #[test]
    fn faults_overlap_but_leave_something_whole() {
        for seed in 0..20 {
            let faults = schedule(&outline(ALL[seed as usize % 4], seed));
            let mut overlaps = 0;
            for fault in &faults {
                let active: Vec<_> = faults
                    .iter()
                    .filter(|other| other.at <= fault.at && other.end() > fault.at)
                    .collect();
                overlaps += usize::from(active.len() > 1);
                assert!(active.len() <= AT_ONCE + 1, "{active:?}");
                let of = |scope| active.iter().filter(|other| other.kind.scope() == scope).count();
                assert!(of(Scope::Redis) <= 1 && of(Scope::Node) <= 2, "{active:?}");
            }
            assert!(overlaps > faults.len() / 10, "{overlaps} of {}", faults.len());
        }
    }
}
