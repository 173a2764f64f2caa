//! One run: gathers the clients, lets the faults come, waits for quiet, and has history judged.

use std::collections::{HashMap, HashSet};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tokio::sync::watch;

use super::checker::{MemberId, Rule};
use super::client::Told;
use super::execute::News;
use super::fault::{Harm, Kind};
use super::judges::Judges;
use super::load::Load;
use super::past::Past;
use super::plan::Fault;
use super::random::Random;
use super::topology::Topology;
use crate::children::Children;

/// How long all clients together may take to be in their rooms.
const GATHER: Duration = Duration::from_secs(30);
/// How long the last repairs, the last acks, the last deliveries may take, each.
const SETTLE: Duration = Duration::from_secs(30);
/// How much of the load of an outage is made up for afterwards.
const CATCH_UP: Duration = Duration::from_secs(2);
/// One client of so many is cut, or one member stalled, by one fault.
const CUT: u64 = 3;
const STALLED: u64 = 8;

/// A run under way.
pub(super) struct Drive {
    pub(super) load: Load,
    pub(super) judges: Judges,
    told: Receiver<Told>,
    /// The next message of each publisher that uses the Rust client.
    authors: HashMap<u32, u32>,
    /// Those of them that have all of their acks.
    finished: HashSet<u32>,
    stop_authors: watch::Sender<bool>,
    /// Messages that they published again.
    pub(super) retries: u64,
    faults: Vec<Fault>,
    topology: Topology,
    rate: f64,
    began: Instant,
    /// By the fault's number, what the checker knows it by.
    harms: HashMap<usize, usize>,
    /// By the fault's number, the members that do not read.
    stalled: HashMap<usize, Vec<usize>>,
    quiet: bool,
    children: Children,
}

impl Drive {
    /// A run of these clients and faults.
    pub(super) fn new(
        (load, judges): (Load, Judges),
        (told, stop_authors): (Receiver<Told>, watch::Sender<bool>),
        (faults, topology, rate): (Vec<Fault>, Topology, f64),
        children: &Children,
    ) -> Self {
        Self {
            load,
            judges,
            told,
            authors: HashMap::new(),
            finished: HashSet::new(),
            stop_authors,
            retries: 0,
            faults,
            topology,
            rate,
            began: Instant::now(),
            harms: HashMap::new(),
            stalled: HashMap::new(),
            quiet: false,
            children: children.clone(),
        }
    }

    /// Waits until everybody is in its rooms; returns the beginning of the run.
    pub(super) fn gather(&mut self, members: usize) -> Result<Instant> {
        let deadline = Instant::now() + GATHER;
        let there = |drive: &Self| {
            (0..members).filter(|&id| drive.judges.checker.position(id).is_some()).count()
        };
        while there(self) < members {
            if Instant::now() > deadline {
                bail!("{} of {members} memberships began within {GATHER:?}", there(self));
            }
            self.turn(None)?;
        }
        self.began = Instant::now();
        Ok(self.began)
    }

    /// Lets the faults come until all is quiet and repaired, then waits for the last messages.
    pub(super) fn run(&mut self, news: &Receiver<News>) -> Result<()> {
        self.load.publish(self.rate, Duration::ZERO, Instant::now());
        while !self.quiet {
            self.load.publish(self.rate, CATCH_UP, Instant::now());
            self.turn(Some(news))?;
        }
        self.until(news, |drive| {
            drive.load.publish(drive.rate, CATCH_UP, Instant::now());
            drive.judges.repairs.is_whole()
        })?;
        let now = self.began.elapsed();
        for fault in self.judges.repairs.pending().collect::<Vec<_>>() {
            let what = format!("not repaired: {}", self.faults[fault].text());
            self.judges.checker.fail(Rule::Behind, None, ("a room".to_owned(), what), now);
        }
        self.stop_authors.send_replace(true);
        let acked = self.until(news, |drive| {
            drive.load.publishers.iter().all(|publisher| publisher.is_done())
                && drive.authors.keys().all(|author| drive.finished.contains(author))
        })?;
        if !acked {
            let who = "publishers".to_owned();
            let what = "messages are never acknowledged".to_owned();
            self.judges.checker.fail(Rule::Answer, None, (who, what), self.began.elapsed());
        }
        let members = self.judges.checker.member_count();
        self.until(news, |drive| {
            (0..members).all(|member| drive.judges.checker.is_caught_up(member))
        })?;
        Ok(())
    }

    /// Reads and judges every room's history.
    pub(super) fn judge(&mut self, readers: Vec<Past>, news: &Receiver<News>) -> Result<()> {
        self.load.pasts = readers;
        self.until(news, |drive| drive.load.pasts.iter().all(|past| past.done))?;
        let now = self.began.elapsed();
        for (room, past) in std::mem::take(&mut self.load.pasts).into_iter().enumerate() {
            match past.finish() {
                Some(history) => self.judges.checker.close(room, &history, now),
                None => {
                    let what = "it could not be read".to_owned();
                    let who = "history".to_owned();
                    self.judges.checker.fail(Rule::History, Some(room), (who, what), now);
                }
            }
        }
        Ok(())
    }

    /// How long the run has been going on.
    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Turns until something holds; false if it takes too long.
    fn until(&mut self, news: &Receiver<News>, holds: impl Fn(&mut Self) -> bool) -> Result<bool> {
        let deadline = Instant::now() + SETTLE;
        while !holds(self) {
            if Instant::now() > deadline {
                return Ok(false);
            }
            self.turn(Some(news))?;
        }
        Ok(true)
    }

    fn turn(&mut self, news: Option<&Receiver<News>>) -> Result<()> {
        if self.children.is_over() {
            bail!("interrupted");
        }
        let now = self.now();
        self.load.tick(&mut self.judges, now);
        self.load.wait()?;
        // Before anything that a fault brought about is judged.
        if let Some(news) = news {
            loop {
                match news.try_recv() {
                    Ok(news) => self.take(news),
                    Err(TryRecvError::Disconnected) if !self.quiet => {
                        bail!("the faults' thread ended before its work was done");
                    }
                    Err(_) => break,
                }
            }
        }
        self.load.absorb(&mut self.judges, self.began);
        self.listen();
        Ok(())
    }

    fn now(&self) -> (Instant, Duration) {
        let now = Instant::now();
        (now, now.saturating_duration_since(self.began))
    }

    /// Takes in what the Rust clients told.
    fn listen(&mut self) {
        let now = self.began.elapsed();
        while let Ok(told) = self.told.try_recv() {
            match told {
                Told::Noted(member, entry) => self.judges.note(member, entry, now),
                Told::Begun { publisher, next } => drop(self.authors.insert(publisher, next)),
                Told::Acked { room, content, at } => {
                    self.judges.checker.acked(room, content, at, now);
                    self.judges.timeline.acked(now);
                }
                Told::Again => self.retries += 1,
                Told::Finished { publisher } => drop(self.finished.insert(publisher)),
                Told::Wrong { room, who, what } => {
                    self.judges.checker.fail(Rule::Answer, Some(room), (who, what), now);
                }
            }
        }
    }

    fn take(&mut self, news: News) {
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

    fn begins(&mut self, number: usize, now: (Instant, Duration)) {
        let fault = self.faults[number].clone();
        self.judges.timeline.faults[number].began = Some(now.1);
        self.judges.write(now.1, &format!("--- {}", fault.text()));
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
