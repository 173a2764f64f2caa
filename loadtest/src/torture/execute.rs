//! Carries out the schedule: begins each fault at its time and undoes it at its end, on a thread of
//! its own, and tells the load, which must know before it sees what came of it.

use std::panic::AssertUnwindSafe;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::fault::Kind;
use super::nodes::TortureNode;
use super::plan::Fault;
use super::scene::Scene;
use crate::children::Children;

/// How often nodes are looked after.
const LOOK: Duration = Duration::from_millis(200);
/// How long the nodes may take to be ready when everything works again.
const READY: Duration = Duration::from_secs(30);

/// What the load is told.
#[derive(Debug)]
pub(super) enum News {
    /// A fault, by its number, is about to begin.
    Begins(usize),
    /// It was undone.
    Ended(usize),
    /// Something is wrong with a node or a fault.
    Wrong(String),
    /// All faults are undone and all nodes are ready.
    Quiet,
}

/// What faults are done to.
pub(super) struct Stage {
    pub(super) scene: Scene,
    pub(super) nodes: Vec<Arc<Mutex<TortureNode>>>,
}

impl Stage {
    /// One of the nodes.
    pub(super) fn node(&self, number: usize) -> std::sync::MutexGuard<'_, TortureNode> {
        self.nodes[number].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts to carry out the schedule. The thread hands the stage back when everything is quiet.
pub(super) fn execute(
    faults: Vec<Fault>,
    stage: Stage,
    began: Instant,
    children: &Children,
) -> (Receiver<News>, JoinHandle<Stage>) {
    let (news, told) = channel();
    let children = children.clone();
    let work = Execution { faults, stage, began, news, children, drains: Vec::new() };
    (told, spawn(|| work.run()))
}

struct Execution {
    faults: Vec<Fault>,
    stage: Stage,
    began: Instant,
    news: Sender<News>,
    children: Children,
    drains: Vec<JoinHandle<()>>,
}

impl Execution {
    fn run(mut self) -> Stage {
        let mut agenda: Vec<(u64, bool, usize)> = Vec::new();
        for (number, fault) in self.faults.iter().enumerate() {
            agenda.push((fault.at, true, number));
            if fault.kind != Kind::NodeDrain {
                agenda.push((fault.end(), false, number));
            }
        }
        // What ends at some moment ends before something else begins, but nothing before itself.
        agenda.sort_by_key(|&(at, begins, number)| {
            let rank = match (begins, self.faults[number].lasts) {
                (true, _) => 1,
                (false, 0) => 2,
                (false, _) => 0,
            };
            (at, rank, number)
        });
        for (at, begins, number) in agenda {
            let due = self.began + Duration::from_millis(at);
            while !due.saturating_duration_since(Instant::now()).is_zero() {
                sleep(LOOK.min(due.saturating_duration_since(Instant::now())));
                self.look_after_nodes();
            }
            if self.children.is_over() {
                return self.stage;
            }
            if begins { self.begin(number) } else { self.end(number) }
        }
        for drain in std::mem::take(&mut self.drains) {
            if drain.join().is_err() {
                self.tell(News::Wrong("a drain's thread panicked".to_owned()));
            }
        }
        self.settle();
        self.stage
    }

    fn tell(&self, news: News) {
        // The load ends only after this thread, or with the whole run.
        let _ = self.news.send(news);
    }

    fn begin(&mut self, number: usize) {
        let Fault { kind, target, lasts, .. } = self.faults[number];
        self.tell(News::Begins(number));
        let done = match kind {
            Kind::NodeKill => {
                let mut node = self.stage.node(target);
                let alive = node.look_after();
                node.kill();
                alive
            }
            Kind::NodeStop => self.stage.node(target).signal("STOP"),
            Kind::NodeDrain => {
                let (node, news) = (Arc::clone(&self.stage.nodes[target]), self.news.clone());
                self.drains.push(spawn(move || drain(&node, (number, target, lasts), &news)));
                Ok(())
            }
            _ => {
                let Self { stage, faults, .. } = self;
                carefully(|| stage.scene.begin(&faults[number]))
            }
        };
        if let Err(error) = done {
            self.tell(News::Wrong(format!("{}: {error:#}", self.faults[number].text())));
        }
    }

    fn end(&mut self, number: usize) {
        let Fault { kind, target, .. } = self.faults[number];
        let done = match kind {
            Kind::NodeKill => self.stage.node(target).run(),
            Kind::NodeStop => self.stage.node(target).signal("CONT"),
            _ => {
                let Self { stage, faults, .. } = self;
                carefully(|| {
                    stage.scene.end(&faults[number]);
                    Ok(())
                })
            }
        };
        if let Err(error) = done {
            self.tell(News::Wrong(format!("undoing {}: {error:#}", self.faults[number].text())));
        }
        self.tell(News::Ended(number));
    }

    /// Nodes that could not start are started again.
    fn look_after_nodes(&self) {
        for (number, node) in self.stage.nodes.iter().enumerate() {
            // One that is being drained is not looked after.
            let Ok(mut node) = node.try_lock() else { continue };
            if let Err(error) = node.look_after() {
                self.tell(News::Wrong(format!("node {}: {error:#}", number + 1)));
            }
        }
    }

    /// Waits until all nodes are ready.
    fn settle(&self) {
        let deadline = Instant::now() + READY;
        for number in 0..self.stage.nodes.len() {
            while !self.stage.node(number).is_ready() {
                self.look_after_nodes();
                if self.children.is_over() {
                    return;
                }
                if Instant::now() > deadline {
                    let what =
                        format!("node {} is not ready {READY:?} after all faults", number + 1);
                    self.tell(News::Wrong(what));
                    break;
                }
                sleep(Duration::from_millis(50));
            }
        }
        self.tell(News::Quiet);
    }
}

/// The testkit panics where it cannot do what is asked; here that spoils one fault, and is told.
fn carefully(work: impl FnOnce() -> Result<()>) -> Result<()> {
    std::panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<String>().cloned();
        bail!("the testkit gave up: {}", words.unwrap_or_default())
    })
}

fn drain(
    node: &Mutex<TortureNode>,
    (number, target, lasts): (usize, usize, u64),
    news: &Sender<News>,
) {
    let lock = || node.lock().unwrap_or_else(PoisonError::into_inner);
    let again = Instant::now() + Duration::from_millis(lasts);
    let drained = lock().drain();
    sleep(again.saturating_duration_since(Instant::now()));
    let done = drained.and_then(|()| lock().run());
    if let Err(error) = done {
        let _ = news.send(News::Wrong(format!("draining node {}: {error:#}", target + 1)));
    }
    let _ = news.send(News::Ended(number));
}
