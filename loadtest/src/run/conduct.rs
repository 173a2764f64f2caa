//! Leads a run: brings the clients in, lets the load begin, kills what is to be killed, reads what
//! the servers use, and adds everything up.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::clock::Clock;
use super::crew::Crew;
use super::outcome::{Cost, Outcome, Readings, Recovery, add_second, merge};
use super::peer::Peer;
use super::sample::{Sampler, Use};
use super::scenario::Scenario;
use super::stage::Stage;
use super::talk::{Found, Say, Second, Share, Tell};
use crate::children::Children;
use crate::cluster::fresh_room;
use crate::print;

/// Quiet between the last client's coming and the first message.
const QUIET: Duration = Duration::from_millis(1_000);
/// How long a load process may be silent before the run is taken for broken.
const SILENCE: Duration = Duration::from_secs(90);

/// What happens at a moment, in seconds after the first message.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Cue {
    From,
    Until,
    Kill,
    Sample,
}

/// A run under way.
struct Conductor<'a> {
    scenario: &'a Scenario,
    stage: &'a mut Stage,
    crew: Crew,
    sampler: Sampler,
    clock: Clock,
    begin: Instant,
    heard: Instant,
    seconds: Vec<Second>,
    uses: Vec<Use>,
    marks: [Option<Use>; 2],
    killed: Option<u64>,
}

/// Runs a scenario on these servers.
pub(crate) fn conduct(
    scenario: &Scenario,
    (peer, stage): (Peer, &mut Stage),
    children: &Children,
) -> Result<Outcome> {
    let addrs = stage.addrs();
    let nodes = addrs.len();
    let at = stage.urls().to_vec();
    let door = stage.door().clone();
    let publishers = peer.publishers(scenario);
    let of = scenario.load_processes(scenario.clients + publishers);
    let first_room = fresh_room();
    let share = |number| {
        let (scenario, addrs, door) = (scenario.clone(), addrs.clone(), door.clone());
        Share { scenario, peer, addrs, door, first_room, number, of }
    };
    let shares: Vec<Share> = (0..of).map(share).collect();
    let mut sampler = Sampler::new(&stage.pids(), stage.redis_pid())?;
    let idle = sampler.read(-1.0);
    let now = Instant::now();
    let mut conductor = Conductor {
        scenario,
        crew: Crew::start(&shares, children)?,
        stage,
        sampler,
        clock: Clock::new(),
        begin: now,
        heard: now,
        seconds: Vec::new(),
        uses: Vec::new(),
        marks: [None, None],
        killed: None,
    };
    conductor.gather()?;
    let full = conductor.sampler.read(0.0);
    conductor.begin()?;
    let sent = conductor.publish()?;
    let found = conductor.settle(&sent)?;
    let (all, [delay, connect, lateness]) = merge(found)?;
    let Conductor { sampler, uses, marks: [from, until], killed, seconds, .. } = conductor;
    let counted_seconds = scenario.seconds - scenario.warmup;
    let messages = scenario.rate * counted_seconds;
    let cost = match (from, until) {
        (Some(from), Some(until)) if !sampler.is_blind() => {
            let early = scenario.clients - scenario.storm.map_or(0, |storm| storm.clients);
            let links = (early + publishers) as u64;
            let readings = Readings { idle, full, from, until };
            Some(Cost::of(&readings, &uses, (links, all.counted, messages)))
        }
        _ => None,
    };
    let recovery =
        killed.map(|killed| Recovery::of(&all.outages, nodes - 1, killed)).transpose()?;
    Ok(Outcome {
        scenario: scenario.clone(),
        peer,
        command: std::env::args().skip(1).collect::<Vec<_>>().join(" "),
        nodes,
        at,
        found: all.nodes,
        processes: of,
        sent: sent.iter().map(|&sent| u64::from(sent)).sum(),
        deliveries_per_second: all.counted as f64 / counted_seconds,
        offered_per_second: offered(scenario),
        tally: all.tally,
        delay,
        connect,
        lateness,
        recovery,
        cost,
        load_cores: all.cpu_seconds / scenario.seconds,
        repeats: all.repeats,
        unacknowledged: all.unacknowledged,
        ends: all.ends,
        delays: all.delays,
        seconds,
        uses,
    })
}

/// Deliveries per second, if all clients are there: each stream has the same rate if publishers
/// have as many streams each, which the mean over rooms evens out.
fn offered(scenario: &Scenario) -> f64 {
    scenario.rate * scenario.clients as f64 / scenario.rooms as f64
}

impl Conductor<'_> {
    /// Until everybody is there who is to be there from the start.
    fn gather(&mut self) -> Result<()> {
        let mut ready = 0;
        let mut coming = vec![0; self.crew.len()];
        while ready < self.crew.len() {
            match self.hear(Instant::now() + Duration::from_secs(1))? {
                Some((_, Say::Ready)) => ready += 1,
                Some((number, Say::Coming(count))) => {
                    coming[number] = count;
                    let sum: usize = coming.iter().sum();
                    print::note(format_args!("  {sum} of {} clients", self.scenario.clients));
                }
                _ => {}
            }
        }
        let quiet = Instant::now() + QUIET;
        while Instant::now() < quiet {
            self.hear(quiet)?;
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<()> {
        self.begin = Instant::now() + Duration::from_millis(200);
        self.crew.tell(&Tell::Begin(self.clock.nanos(self.begin)))
    }

    /// Until all is published; returns how many messages of each stream.
    fn publish(&mut self) -> Result<Vec<u32>> {
        let mut cues = cues(self.scenario).into_iter().peekable();
        let mut sent = vec![0; self.scenario.streams()];
        let mut finished = 0;
        while finished < self.crew.len() || cues.peek().is_some() {
            let next = cues.peek().map(|(at, _)| self.begin + Duration::from_secs_f64(*at));
            let until = next.unwrap_or_else(|| Instant::now() + Duration::from_secs(1));
            if Instant::now() >= until {
                if let Some((at, cue)) = cues.next() {
                    self.perform(at, cue)?;
                }
                continue;
            }
            if let Some((_, Say::Sent(part))) = self.hear(until)? {
                finished += 1;
                sent.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
            }
        }
        Ok(sent)
    }

    fn perform(&mut self, at: f64, cue: Cue) -> Result<()> {
        match cue {
            Cue::From => self.marks[0] = Some(self.sampler.read(at)),
            Cue::Until => self.marks[1] = Some(self.sampler.read(at)),
            Cue::Kill => {
                let last = self.sampler.read(at);
                self.uses.push(last);
                self.killed = Some(self.clock.nanos(Instant::now()));
                self.stage.kill_last();
                print::note(format_args!("  {at:.0} s: the last node is killed"));
            }
            Cue::Sample => {
                let now = self.sampler.read(at);
                self.uses.push(now);
                self.stage.check()?;
            }
        }
        Ok(())
    }

    /// Until all members have what was sent, or wait in vain.
    fn settle(&mut self, sent: &[u32]) -> Result<Vec<Found>> {
        self.crew.tell(&Tell::Sent(sent.to_vec()))?;
        let mut found = Vec::new();
        while found.len() < self.crew.len() {
            if let Some((_, Say::Done(part))) = self.hear(Instant::now() + QUIET)? {
                found.push(*part);
            }
        }
        self.stage.check()?;
        Ok(found)
    }

    /// What a load process says until then; seconds are taken in on the way.
    fn hear(&mut self, until: Instant) -> Result<Option<(usize, Say)>> {
        let said = self.crew.hear(until)?;
        match &said {
            Some((_, say)) => {
                self.heard = Instant::now();
                if let Say::Second(part) = say {
                    self.take_second(part);
                }
            }
            None if self.heard.elapsed() > SILENCE => bail!("the load says nothing any more"),
            None => {}
        }
        Ok(said)
    }

    fn take_second(&mut self, part: &Second) {
        let before = self.seconds.len();
        add_second(&mut self.seconds, part);
        // The one before is whole, or nearly so.
        if self.seconds.len() > before && before > 0 && before.is_multiple_of(5) {
            let Second { second, connected, sent, received } = self.seconds[before - 1];
            print::note(format_args!(
                "  {} s: {connected} connected, {sent} messages/s, {received} deliveries/s",
                second + 1
            ));
        }
    }
}

/// What is to happen when, in this order.
fn cues(scenario: &Scenario) -> Vec<(f64, Cue)> {
    let mut cues = vec![(scenario.warmup, Cue::From), (scenario.seconds, Cue::Until)];
    cues.extend(scenario.kill.map(|kill| (kill.at, Cue::Kill)));
    cues.extend((0..=scenario.seconds as usize).map(|second| (second as f64, Cue::Sample)));
    cues.sort_by(|a, b| a.0.total_cmp(&b.0));
    cues
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cues_come_in_order_and_all_of_them() {
        let scenario = Scenario::parse(
            "name = 'x'\nabout = 'y'\nclients = 9\nrooms = 3\npublishers = 1\nrate = 2.0\n\
             seconds = 4.5\n[kill]\nat = 3.2",
        );
        let scenario = scenario.unwrap();
        let cues = cues(&scenario);
        assert!(cues.is_sorted_by(|a, b| a.0 <= b.0));
        assert!(cues.contains(&(3.2, Cue::Kill)) && cues.contains(&(2.0, Cue::From)));
        assert_eq!(cues.iter().filter(|(_, cue)| *cue == Cue::Sample).count(), 5);
        assert_eq!(offered(&scenario), 6.0);
    }
}
