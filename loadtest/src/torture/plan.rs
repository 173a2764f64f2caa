//! The schedule of faults: from a seed, the same every time. Pure. Faults overlap, but never so that
//! nothing can work: Redis as a whole has one at a time, and one node at least is always whole.

use std::time::Duration;

use serde::Serialize;

use super::fault::{Harm, Kind, Scope, mix};
use super::random::Random;
use super::topology::Topology;

/// Nothing fails before this: every member is in its rooms by then.
const PROLOGUE: u64 = 1_500;
/// Faults at work at once.
const AT_ONCE: usize = 3;
/// What was hit is left alone for so long afterwards, in ms, so that a repair can be seen at all.
const REST: u64 = 700;
/// Draws for one fault before the one that is always possible is taken.
const DRAWS: usize = 32;
/// The longest time between the beginnings of two faults, in ms.
pub(super) const LONGEST: u64 = 2_000;

/// One fault to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Fault {
    pub(super) kind: Kind,
    /// Which node or server; 0 where there is no choice.
    pub(super) target: usize,
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
        match self.kind.scope() {
            Scope::Node | Scope::Link | Scope::Front => {
                format!("{} (node {})", self.kind.name(), self.target + 1)
            }
            Scope::Redis | Scope::Clients => self.kind.name(),
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
    let mix = mix(outline.topology);
    let all: u64 = mix.iter().map(|(_, weight)| weight).sum();
    for _ in 0..DRAWS {
        let mut ticket = random.below(all);
        let chosen = mix.iter().find(|(_, weight)| {
            let is_it = ticket < *weight;
            ticket = ticket.saturating_sub(*weight);
            is_it
        });
        let Some(&(kind, _)) = chosen else { continue };
        if outline.lossless && kind.harm() == Harm::Loses {
            continue;
        }
        let target = match kind.scope() {
            Scope::Redis | Scope::Clients => 0,
            Scope::Node | Scope::Link | Scope::Front => random.index(outline.nodes),
        };
        let (shortest, longest) = kind.lasts();
        let lasts = random.between(shortest, longest + 1);
        let fault = Fault { kind, target, at, lasts, aim: random.next() };
        if is_bearable(&fault, before, outline.nodes) {
            return fault;
        }
    }
    Fault { kind: Kind::Disconnects, target: 0, at, lasts: 0, aim: random.next() }
}

/// Whether everything can still work in part beside what is under way.
fn is_bearable(fault: &Fault, before: &[Fault], nodes: usize) -> bool {
    let active = || before.iter().filter(|other| other.end() + REST > fault.at);
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
    !active().any(same_place) && (!impairs(fault) || impaired + 1 < nodes.max(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outline(seed: u64) -> Outline {
        Outline {
            topology: Topology::Standalone,
            nodes: 3,
            length: Duration::from_secs(300),
            every: Duration::from_millis(1_200),
            lossless: false,
            seed,
        }
    }

    #[test]
    fn a_seed_is_one_schedule() {
        assert_eq!(schedule(&outline(5)), schedule(&outline(5)));
        assert_ne!(schedule(&outline(5)), schedule(&outline(6)));
    }

    #[test]
    fn a_fault_begins_every_two_seconds_and_every_kind_comes() {
        let faults = schedule(&outline(1));
        assert!(faults.windows(2).all(|two| two[1].at - two[0].at <= LONGEST));
        assert!(faults[0].at <= LONGEST && faults.last().unwrap().at > 298_000);
        for (kind, _) in mix(Topology::Standalone) {
            assert!(faults.iter().any(|fault| fault.kind == *kind), "no {}", kind.name());
        }
    }

    #[test]
    fn faults_overlap_but_leave_something_whole() {
        for seed in 0..20 {
            let faults = schedule(&outline(seed));
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
