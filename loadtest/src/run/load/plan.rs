//! What is planned from the start: who comes when, when messages go, and what goes wrong.

use std::time::{Duration, Instant};

use super::super::agenda::Task;
use super::{Load, Role};
use crate::pace::Pace;

impl Load {
    /// Plans the coming of everybody who is to be there from the start; returns how many.
    pub(in crate::run) fn invite(&mut self) -> usize {
        let apart = self.share.of as f64 / self.share.scenario.connects;
        let now = Instant::now();
        let mut count = 0;
        for client in 0..self.clients.len() {
            if !self.is_late(client) {
                self.want(client, now + Duration::from_secs_f64(apart * count as f64));
                count += 1;
            }
        }
        count
    }

    fn want(&mut self, client: usize, at: Instant) {
        if let Role::Member(member) = &mut self.clients[client].role {
            member.wanted = Some(self.clock.nanos(at));
        }
        self.agenda.at(at, Task::Open(client));
    }

    /// Whether a client of this process comes with the storm.
    fn is_late(&self, client: usize) -> bool {
        let number = self.share.number + client * self.share.of;
        client < self.members && self.share.scenario.is_late(number)
    }

    /// Publishes from this moment on, and plans what goes wrong.
    pub(in crate::run) fn begin(&mut self, at: u64) {
        let begin = self.clock.instant(at);
        let scenario = self.share.scenario.clone();
        let after = |seconds: f64| begin + Duration::from_secs_f64(seconds);
        self.count_from = self.clock.nanos(after(scenario.warmup));
        self.count_until = self.clock.nanos(after(scenario.seconds));
        let publishers = self.clients.len() - self.members;
        if publishers > 0 {
            let all = self.share.peer.publishers(&scenario);
            let phase = self.share.number as f64 / scenario.rate;
            let rate = scenario.rate * publishers as f64 / all as f64;
            let time = Duration::from_secs_f64(scenario.seconds);
            self.pace = Some(Pace::new(after(phase), rate, time));
        }
        if let Some(storm) = scenario.storm {
            self.at_once = storm.at_once;
            for client in 0..self.members {
                if self.is_late(client) {
                    self.want(client, after(storm.at));
                }
            }
        }
        if let Some(slow) = scenario.slow {
            for (number, client) in self.clients.iter().enumerate() {
                if matches!(&client.role, Role::Member(member) if member.slow) {
                    self.agenda.at(after(slow.at), Task::Mute(number));
                    self.agenda.at(after(slow.at + slow.pause), Task::Wake(number));
                }
            }
        }
        if scenario.churn > 0.0 && self.members > 0 {
            self.agenda.at(begin, Task::Churn);
        }
    }
}
