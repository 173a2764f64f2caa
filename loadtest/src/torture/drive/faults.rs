//! What faults mean for a run: what the checker must know, and what is done to clients.

use std::time::{Duration, Instant};

use super::Drive;
use crate::random::Random;
use crate::torture::checker::{MemberId, Rule};
use crate::torture::execute::News;
use crate::torture::fault::{Harm, Kind};

/// One client of so many is cut, or one member stalled, by one fault.
const CUT: u64 = 3;
const STALLED: u64 = 8;

impl Drive {
    /// Takes in what was done.
    pub(super) fn take(&mut self, news: News) {
        let now = self.now();
        match news {
            News::Begins(number) => self.begins(number, now),
            News::Ended(number) => self.ended(number, now),
            News::Wrong(what) => {
                let who = "a process".to_owned();
                self.judges.checker.fail(Rule::Program, None, (who, what), now.1);
            }
            News::Quiet => self.quiet = true,
        }
    }

    /// Tells the checker of replicas that took over.
    pub(super) fn see_takeovers(&mut self) {
        let now = self.began.elapsed();
        for port in self.watch.news().collect::<Vec<_>>() {
            self.judges.write(now, &format!("--- the server at port {port} took over"));
            self.judges.checker.took_over(now);
        }
    }

    fn begins(&mut self, number: usize, now: (Instant, Duration)) {
        let fault = self.faults[number].clone();
        self.judges.timeline.faults[number].began = Some(now.1);
        self.judges.write(now.1, &format!("--- {}", fault.text()));
        self.load.people.fault_began(&fault);
        let harm = fault.kind.harm(self.topology);
        if harm > Harm::None {
            let harm = self.judges.checker.harmed(harm, now.1);
            self.harms.insert(number, harm);
        }
        let chosen = |one_of: u64| {
            move |number: usize| Random::new(fault.aim ^ number as u64).below(one_of) == 0
        };
        match fault.kind {
            Kind::Disconnects => self.load.disconnect(&mut self.judges, now, chosen(CUT)),
            Kind::Stalls => {
                let is_chosen = chosen(STALLED);
                let mut stalled = Vec::new();
                for member in (0..self.load.members.len()).filter(|&member| is_chosen(member)) {
                    if self.load.mute(member) {
                        stalled.push(member);
                        for seat in &self.load.members[member].seats {
                            let room = self.judges.checker.room_of(seat.id);
                            self.judges.repairs.stalled(seat.id, room, now.1);
                        }
                    }
                }
                self.stalled.insert(number, stalled);
            }
            _ => {}
        }
    }

    fn ended(&mut self, number: usize, now: (Instant, Duration)) {
        self.judges.timeline.faults[number].ended = Some(now.1);
        self.load.people.fault_ended(&self.faults[number], now.1);
        let text = format!("--- end of {}", self.faults[number].text());
        self.judges.write(now.1, &text);
        for member in self.stalled.remove(&number).unwrap_or_default() {
            self.load.wake(member, &mut self.judges, now);
        }
        if let Some(harm) = self.harms.remove(&number) {
            self.judges.checker.calmed(harm, now.1);
        }
        let still: Vec<MemberId> = self
            .stalled
            .values()
            .flatten()
            .flat_map(|&member| self.load.members[member].seats.iter().map(|seat| seat.id))
            .collect();
        let thin = self.load.publishers.iter().map(|it| (it.number, it.next));
        let from = thin.chain(self.authors.iter().map(|(&number, &next)| (number, next))).collect();
        let reads = |member: MemberId| !still.contains(&member);
        self.judges.repairs.ended(number, now.1, from, reads);
    }
}
