//! Watches the node while the load runs, from a thread of its own: resident memory, and how many
//! members it called slow and closed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use serde::Serialize;

use crate::door::Door;
use crate::machine;
use crate::scrape::Scrape;
use crate::server::Server;
use crate::stats::millis;

/// From one look to the next; a look takes the node's core for well under 1 ms.
const EVERY: Duration = Duration::from_millis(200);

/// One look at the node.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Sample {
    /// Since the watch began.
    pub(super) seconds: f64,
    /// How long the node took to answer.
    pub(super) answer_ms: f64,
    /// CPU time that the node has used, and time in which others kept it from its core: they tell
    /// a node that hangs from one that is starved.
    pub(super) cpu_seconds: [f64; 2],
    /// Resident memory.
    pub(super) kib: u64,
    /// Held by the rooms' logs, in bytes.
    pub(super) log_bytes: f64,
    /// Members called slow that are being closed, so far.
    pub(super) slow_closed: f64,
    /// Times that a member was called slow and moved to the newest message, so far.
    pub(super) conflated: f64,
    /// Connections that ended as slow, by Close or by reset, so far.
    pub(super) ended_slow: f64,
}

/// A watch under way.
pub(super) struct Watch {
    stop: Sender<()>,
    thread: JoinHandle<Result<Vec<Sample>>>,
}

impl Watch {
    /// Begins to watch.
    pub(super) fn start(server: &Server, pid: u32) -> Result<Self> {
        let (door, addr) = (Arc::clone(&server.door), server.addr);
        let (stop, stopped) = mpsc::channel();
        let look = move || {
            let (began, mut samples) = (Instant::now(), Vec::new());
            loop {
                samples.push(sample((&door, addr), pid, began)?);
                match stopped.recv_timeout(EVERY) {
                    Err(RecvTimeoutError::Timeout) => {}
                    // The last look is taken after everything has happened.
                    _ => break,
                }
            }
            samples.push(sample((&door, addr), pid, began)?);
            Ok(samples)
        };
        let thread = std::thread::Builder::new().name("watch".to_owned()).spawn(look)?;
        Ok(Self { stop, thread })
    }

    /// Ends the watch; returns what it saw, at least two samples.
    pub(super) fn stop(self) -> Result<Vec<Sample>> {
        drop(self.stop);
        self.thread.join().map_err(|_| anyhow!("the watch panicked"))?
    }
}

fn sample((door, addr): (&Door, SocketAddr), pid: u32, began: Instant) -> Result<Sample> {
    let asked = Instant::now();
    let scrape = Scrape::of(door, addr)?;
    let answer_ms = millis(asked.elapsed());
    let slow = |action| scrape.sum("roomcast_slow_total", action);
    Ok(Sample {
        seconds: began.elapsed().as_secs_f64(),
        answer_ms,
        cpu_seconds: [machine::cpu_time(pid)?, machine::cpu_wait(pid)?]
            .map(|time| time.as_secs_f64()),
        kib: machine::resident_kib(pid)?,
        log_bytes: scrape.sum("roomcast_log_bytes", ""),
        slow_closed: slow("action=\"closed\""),
        conflated: slow("action=\"conflated\""),
        ended_slow: scrape.sum("roomcast_connections_closed_total", "reason=\"slow\""),
    })
}

/// When a count that only grows left 0 and when it reached its last value, in seconds since the
/// watch began; `None` if it stayed 0.
pub(super) fn rise(samples: &[Sample], count: fn(&Sample) -> f64) -> Option<(f64, f64)> {
    let last = count(samples.last()?);
    let first = samples.iter().find(|sample| count(sample) > 0.0)?;
    let all = samples.iter().find(|sample| count(sample) >= last)?;
    Some((first.seconds, all.seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rise_has_a_begin_and_an_end() {
        let sample = |(seconds, slow_closed): (f64, f64)| {
            let (log_bytes, conflated, ended_slow) = (0.0, 0.0, 0.0);
            let (answer_ms, cpu_seconds) = (1.0, [0.0; 2]);
            Sample {
                seconds,
                answer_ms,
                cpu_seconds,
                kib: 1,
                log_bytes,
                slow_closed,
                conflated,
                ended_slow,
            }
        };
        let samples = [(0.0, 0.0), (0.2, 0.0), (0.4, 7.0), (0.6, 9.0), (0.8, 9.0)].map(sample);
        assert_eq!(rise(&samples, |sample| sample.slow_closed), Some((0.4, 0.6)));
        assert_eq!(rise(&samples, |sample| sample.conflated), None);
        assert_eq!(rise(&[], |sample| sample.slow_closed), None);
    }
}
