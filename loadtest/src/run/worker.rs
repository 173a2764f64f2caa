//! A load process: reads its share, brings its clients in, publishes from the moment it is told,
//! and says what it found. It ends when its stdin does.

use std::io::{BufRead, Write};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::load::{Counts, Load};
use super::talk::{Found, Say, Second, Share, Tell, line, parse};
use crate::machine;

/// How long one turn may sleep.
const NAP: Duration = Duration::from_millis(20);
/// Nobody may come for so long while clients are awaited.
const STALL: Duration = Duration::from_secs(30);
/// How long publishes may wait for their acks after the last one.
const ACKS_WITHIN: Duration = Duration::from_secs(15);
/// Members that lack messages are waited for until nothing came for so long.
const PATIENCE: Duration = Duration::from_secs(4);

/// Runs one share; a failure is also said on stdout.
pub(crate) fn main() -> Result<()> {
    let done = work();
    if let Err(error) = &done {
        say(&Say::Failed(format!("{error:#}")))?;
    }
    done
}

fn say(what: &Say) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(line(what)?.as_bytes())?;
    Ok(out.flush()?)
}

fn work() -> Result<()> {
    let lines = lines()?;
    let share: Share = parse(&lines.recv().context("no share came")?)?;
    let mut load = Load::new(share)?;
    machine::allow_links(load.links())?;
    gather(&mut load, &lines)?;
    say(&Say::Ready)?;
    let begin = loop {
        load.turn(NAP)?;
        if let Some(Tell::Begin(begin)) = told(&lines)? {
            break begin;
        }
    };
    let cpu = machine::cpu_time(std::process::id())?;
    load.begin(begin);
    load.take_fewest();
    let mut tick = Tick::new(load.clock.instant(begin));
    while !load.is_published() && tick.is_within(&load, ACKS_WITHIN) {
        load.turn(NAP)?;
        tick.perhaps(&mut load)?;
        told(&lines)?;
    }
    let cpu = machine::cpu_time(std::process::id())? - cpu;
    say(&Say::Sent(load.sent.clone()))?;
    let sent = loop {
        load.turn(NAP)?;
        tick.perhaps(&mut load)?;
        if let Some(Tell::Sent(sent)) = told(&lines)? {
            break sent;
        }
    };
    let (waiting, settle) = (Instant::now(), load.settle_within());
    load.last_receipt = waiting;
    while !load.is_settled(&sent)
        && load.last_receipt.elapsed() < PATIENCE
        && waiting.elapsed() < settle
    {
        let pause = Instant::now() + NAP;
        while Instant::now() < pause {
            load.turn(pause.saturating_duration_since(Instant::now()))?;
        }
        tick.perhaps(&mut load)?;
    }
    let found = Found { cpu_seconds: cpu.as_secs_f64(), ..load.close(&sent) };
    say(&Say::Done(Box::new(found)))
}

/// Brings everybody in who is to be there from the start.
fn gather(load: &mut Load, lines: &Receiver<String>) -> Result<()> {
    let expected = load.invite();
    let (mut progress, mut told_at) = ((0, Instant::now()), Instant::now());
    while load.here < expected {
        load.turn(NAP)?;
        if load.here > progress.0 {
            progress = (load.here, Instant::now());
        }
        if progress.1.elapsed() > STALL {
            let ends = load.close(&[]).ends;
            bail!("{} of {expected} clients are there and no other for 30 s: {ends:?}", load.here);
        }
        if told_at.elapsed() > Duration::from_secs(1) {
            say(&Say::Coming(load.here))?;
            told_at = Instant::now();
        }
        told(lines)?;
    }
    Ok(())
}

/// The lines of stdin, read on a thread of their own.
fn lines() -> Result<Receiver<String>> {
    let (sender, receiver) = mpsc::sync_channel(4);
    let read = move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new().name("stdin".to_owned()).spawn(read)?;
    Ok(receiver)
}

/// What was told meanwhile.
fn told(lines: &Receiver<String>) -> Result<Option<Tell>> {
    match lines.try_recv() {
        Ok(line) => parse(&line).map(Some),
        Err(TryRecvError::Empty) => Ok(None),
        Err(TryRecvError::Disconnected) => bail!("whoever started this load is gone"),
    }
}

/// Says once a second how things are.
struct Tick {
    begin: Instant,
    second: usize,
    before: Counts,
    published: Option<Instant>,
}

impl Tick {
    fn new(begin: Instant) -> Self {
        Self { begin, second: 0, before: Counts::default(), published: None }
    }

    fn perhaps(&mut self, load: &mut Load) -> Result<()> {
        let due = self.begin + Duration::from_secs(self.second as u64 + 1);
        if Instant::now() < due {
            return Ok(());
        }
        let (now, before) = (load.counts, self.before);
        say(&Say::Second(Second {
            second: self.second,
            connected: load.take_fewest() as u64,
            sent: now.sent - before.sent,
            received: now.received - before.received,
        }))?;
        (self.second, self.before) = (self.second + 1, now);
        Ok(())
    }

    /// Whether publishes may still be waited for: this long after the last was due.
    fn is_within(&mut self, load: &Load, time: Duration) -> bool {
        if !load.is_due_over() {
            return true;
        }
        self.published.get_or_insert_with(Instant::now).elapsed() < time
    }
}
