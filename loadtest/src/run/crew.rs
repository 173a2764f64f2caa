//! The load processes of a run: this program again, each with its share.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, Command};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::talk::{Say, Share, Tell, line, parse};
use crate::children::{Children, Running};

/// Lines that may wait to be read here.
const LINES: usize = 1024;

/// One load process.
struct Worker {
    input: ChildStdin,
    /// Ends the process when it goes.
    _running: Running,
}

/// All load processes.
pub(crate) struct Crew {
    workers: Vec<Worker>,
    said: Receiver<(usize, Result<Say>)>,
}

impl Crew {
    /// Starts a process for each share.
    pub(crate) fn start(shares: &[Share], children: &Children) -> Result<Self> {
        let me = std::env::current_exe().context("finding this program")?;
        let (sender, said) = mpsc::sync_channel(LINES);
        let mut crew = Self { workers: Vec::new(), said };
        for (number, share) in shares.iter().enumerate() {
            let command = &mut Command::new(&me);
            let (running, input, output) = children.start_and_talk(command.arg("worker"))?;
            let sender = sender.clone();
            let output = BufReader::new(output);
            std::thread::Builder::new()
                .name(format!("load {number}"))
                .spawn(move || forward(number, output, &sender))?;
            crew.workers.push(Worker { input, _running: running });
            crew.tell_one(number, &line(share)?)?;
        }
        Ok(crew)
    }

    /// How many they are.
    pub(crate) fn len(&self) -> usize {
        self.workers.len()
    }

    /// Tells all of them.
    pub(crate) fn tell(&mut self, what: &Tell) -> Result<()> {
        let line = line(what)?;
        (0..self.workers.len()).try_for_each(|number| self.tell_one(number, &line))
    }

    fn tell_one(&mut self, number: usize, line: &str) -> Result<()> {
        let input = &mut self.workers[number].input;
        input.write_all(line.as_bytes()).with_context(|| format!("load process {number} is gone"))
    }

    /// What one of them says until then, and which.
    ///
    /// Fails if one of them does, or ends before it has said `Done`.
    pub(crate) fn hear(&self, until: Instant) -> Result<Option<(usize, Say)>> {
        match self.said.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok((number, Ok(Say::Failed(why)))) => bail!("load process {number}: {why}"),
            Ok((number, said)) => Ok(Some((number, said?))),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => bail!("the load processes are gone"),
        }
    }
}

/// Reads one process's lines to its end.
fn forward(number: usize, output: impl BufRead, to: &SyncSender<(usize, Result<Say>)>) {
    let mut is_done = false;
    for line in output.lines().map_while(Result::ok) {
        let said = parse::<Say>(&line);
        is_done |= matches!(said, Ok(Say::Done(_) | Say::Failed(_)));
        if to.send((number, said)).is_err() {
            return;
        }
    }
    if !is_done {
        let why = Say::Failed("it ended in the middle".to_owned());
        // Nobody listens any more if the run is over.
        let _ = to.send((number, Ok(why)));
    }
}
