//! One run on one fresh node: fill what the kernel takes for the stalled members, measure the
//! others' delay, then look at what became of everyone.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Serialize;

use super::load::{Load, Plan};
use super::watch::{Sample, Watch};
use super::woken::Ends;
use crate::dialect::Dialect;
use crate::scrape::Scrape;
use crate::server::Server;
use crate::stats::{millis, percentile};

/// Bytes of data in one burst while the kernel's buffers are being filled, about: little beside
/// the log, so that the last burst leaves hardly a lag.
const BURST_BYTES: usize = 4 << 10;
/// Bursts after which a member that still takes them is no stalled one.
const MAX_BURSTS: usize = 1000;
/// The share of a burst that stalled members may still take when they count as full.
const STILL_TAKEN: f64 = 0.01;

/// What one run showed.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Outcome {
    /// Which round, from 1.
    pub(super) round: usize,
    /// Stalled members beside the healthy ones.
    pub(super) stalled: usize,
    /// Delay of the healthy members, from the intended moment of sending to the receipt.
    pub(super) p50_ms: f64,
    /// 99 of 100 deliveries were faster.
    pub(super) p99_ms: f64,
    /// The slowest delivery.
    pub(super) max_ms: f64,
    /// The slowest delivery in each second.
    pub(super) max_ms_by_second: Vec<f64>,
    /// 99 of 100 messages were sent at most so long after their moment: the load's own share.
    pub(super) late_p99_ms: f64,
    /// The node's share of one core while the delay was measured.
    pub(super) node_busy_percent: f64,
    /// Share of time in which it was ready to run and others had its core.
    pub(super) kept_waiting_percent: f64,
    /// Resident when all had joined, in KiB.
    pub(super) joined_kib: u64,
    /// Bytes published to fill the kernel's buffers, as frames.
    pub(super) filled_bytes: usize,
    /// How long that took, on the samples' clock: then the measured messages began.
    pub(super) fill_seconds: f64,
    /// Bytes of a measured message's frame.
    pub(super) frame_bytes: usize,
    /// Bytes published per second from then on, as frames.
    pub(super) bytes_per_second: f64,
    /// Deliveries to healthy members that did not take place.
    pub(super) missing: usize,
    /// Healthy members that received something else than their next message.
    pub(super) violations: usize,
    /// The first of these, in words.
    pub(super) told: Vec<String>,
    /// How the stalled members ended.
    pub(super) ends: Ends,
    /// The node as it was watched.
    pub(super) samples: Vec<Sample>,
}

/// Runs the plan on this node for so long.
pub(super) fn measure(
    plan: &Plan,
    (server, dialect): (&Server, Dialect),
    time: Duration,
    round: usize,
) -> Result<Outcome> {
    let pid = server.pid().context("the node's pid is not known")?;
    // The first page of metrics brings code into memory that has nothing to do with members.
    Scrape::of(&server.door, server.addr)?;
    let mut load = Load::gather(plan.clone(), dialect)?;
    let joined_kib = server.resident_kib()?.context("the node's memory is not known")?;
    let (watch, began) = (Watch::start(server, pid)?, Instant::now());
    let filled_bytes = fill(&mut load, plan, server)?;
    let fill_seconds = began.elapsed().as_secs_f64();
    let before = usage(server)?;
    load.pace(time)?;
    let after = usage(server)?;
    load.settle()?;
    server.check()?;
    let samples = watch.stop()?;
    let ends = load.wake()?;
    let share =
        |index: usize| (after[index] - before[index]).as_secs_f64() * 100.0 / time.as_secs_f64();
    let by_second = load.ledger.slowest.chunks(plan.rate.ceil() as usize);
    let by_second = by_second.map(|second| second.iter().copied().max().map_or(0.0, millis));
    let max_ms_by_second = by_second.collect();
    load.ledger.delays.sort_unstable();
    load.lateness.sort_unstable();
    let delay = |share| millis(percentile(&load.ledger.delays, share));
    Ok(Outcome {
        round,
        stalled: plan.stalled,
        p50_ms: delay(0.5),
        p99_ms: delay(0.99),
        max_ms: delay(1.0),
        max_ms_by_second,
        late_p99_ms: millis(percentile(&load.lateness, 0.99)),
        node_busy_percent: share(0),
        kept_waiting_percent: share(1),
        joined_kib,
        filled_bytes,
        fill_seconds,
        frame_bytes: load.ledger.frame_bytes(),
        bytes_per_second: load.ledger.frame_bytes() as f64 * plan.rate,
        missing: load.ledger.missing(),
        violations: load.ledger.violations,
        told: load.ledger.told.clone(),
        ends,
        samples,
    })
}

/// CPU time used, and time kept from the core.
fn usage(server: &Server) -> Result<[Duration; 2]> {
    Ok([server.cpu_time()?.unwrap_or_default(), server.cpu_wait()?.unwrap_or_default()])
}

/// Publishes until the kernel takes nothing more for the stalled members: before that a node
/// cannot tell them from others, and writes to them. Returns the bytes that it took.
fn fill(load: &mut Load, plan: &Plan, server: &Server) -> Result<usize> {
    let out = || {
        Ok::<_, anyhow::Error>(
            Scrape::of(&server.door, server.addr)?.sum("roomcast_messages_out_total", ""),
        )
    };
    // Of the size of the later ones: the frame that a stalled member keeps half is no larger.
    let messages = (BURST_BYTES / plan.payload.max(1)).clamp(1, 64);
    let (mut before, mut bytes) = (out()?, 0);
    for _ in 0..MAX_BURSTS {
        load.burst(messages)?;
        let after = out()?;
        bytes += messages * load.ledger.frame_bytes();
        let healthy = (plan.members * messages) as f64;
        let to_stalled = after - before - healthy;
        if to_stalled <= (plan.stalled * messages) as f64 * STILL_TAKEN {
            return Ok(bytes);
        }
        before = after;
    }
    bail!("after {bytes} bytes the node still writes to members that read nothing")
}
