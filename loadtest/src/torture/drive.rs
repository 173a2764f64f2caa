//! One run: gathers the clients, lets the faults come, waits for quiet, and has history judged.

use std::collections::{HashMap, HashSet};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tokio::sync::watch;

use super::checker::Rule;
use super::client::Told;
use super::execute::News;
use super::judges::Judges;
use super::load::Load;
use super::past::Past;
use super::plan::Fault;
use super::topology::Topology;
use super::watch::Watch;
use crate::children::Children;

mod faults;

/// How long all clients together may take to be in their rooms.
const GATHER: Duration = Duration::from_secs(30);
/// How long the last repairs, the last acks, the last deliveries may take, each.
const SETTLE: Duration = Duration::from_secs(30);
/// How much of the load of an outage is made up for afterwards.
const CATCH_UP: Duration = Duration::from_secs(2);

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
    watch: Watch,
    children: Children,
}

impl Drive {
    /// A run of these clients and faults.
    pub(super) fn new(
        (load, judges): (Load, Judges),
        (told, stop_authors): (Receiver<Told>, watch::Sender<bool>),
        (faults, topology, rate): (Vec<Fault>, Topology, f64),
        watch: Watch,
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
            watch,
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
        self.load.people.calm();
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
        self.until(news, |drive| drive.load.people.is_settled())?;
        let now = self.began.elapsed();
        self.load.people.close(&mut self.judges.checker, now);
        Ok(())
    }

    /// Reads and judges every room's history.
    pub(super) fn judge(&mut self, readers: Vec<Past>, news: &Receiver<News>) -> Result<()> {
        self.load.pasts = readers;
        self.until(news, |drive| drive.load.pasts.iter().all(|past| past.done))?;
        self.watch.finish();
        self.see_takeovers();
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
        self.see_takeovers();
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
                Told::TurnedAway { room, who, what } => {
                    self.judges.checker.fail(Rule::Door, Some(room), (who, what), now);
                }
                Told::Wrong { room, who, what } => {
                    self.judges.checker.fail(Rule::Answer, Some(room), (who, what), now);
                }
            }
        }
    }
}
