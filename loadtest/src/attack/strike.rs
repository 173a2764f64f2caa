//! One attack on its own thread, from its beginning to its end.

use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tokio::time::Instant;

use super::hostile::{AttackTarget, Hostile};
use super::kind::Attack;
use super::tally::Tally;

/// By how much the attackers' thread has less priority: both share a core, and the members'
/// delay should be the node's.
const NICER: i32 = 10;

/// An attack that goes on.
pub(super) struct Strike {
    thread: JoinHandle<Result<Tally>>,
}

impl Strike {
    /// Begins it, for so long.
    pub(super) fn begin(attack: Attack, target: AttackTarget, time: Duration) -> Result<Self> {
        let work = move || {
            step_back()?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let tasks = tokio::task::LocalSet::new();
            let until = Instant::now() + time;
            Ok(runtime.block_on(tasks.run_until(Hostile::all(attack, target, until))))
        };
        let thread = std::thread::Builder::new().name("attackers".to_owned()).spawn(work)?;
        Ok(Self { thread })
    }

    /// Waits for its end; what it was answered.
    pub(super) fn end(self) -> Result<Tally> {
        self.thread.join().map_err(|_| anyhow!("the attackers' thread panicked"))?
    }
}

/// Gives the other threads of this process the core first.
fn step_back() -> Result<()> {
    let me = Some(rustix::thread::gettid());
    let now = rustix::process::getpriority_process(me).context("reading the priority")?;
    rustix::process::setpriority_process(me, now + NICER).context("lowering the priority")
}
