//! One run on one fresh node: fill what the kernel takes for the stalled members, measure the
//! others' delay, then look at what became of everyone.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Serialize;

use super::load::{Load, Plan};
use super::watch::{Sample, Watch};
use super::woken::Ends;
use crate::dialect::Dialect;
use crate::scrape::Scrape;
use crate::server::Server;
use crate::stats::{millis, percentile};

/// Messages of one burst while the kernel's buffers are being filled.
const BURST: usize = 4;
/// Bytes of their data, at least: a few bursts fill the kernel and hardly use up the log.
const FILLER: usize = 4 << 10;
/// Bursts after which a member that still takes them is no stalled one.
const MAX_BURSTS: usize = 500;
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
    /// 99 of 100 messages were sent at most so long after their moment: the load's own share.
    pub(super) late_p99_ms: f64,
    /// The node's share of one core while the delay was measured.
    pub(super) node_busy_percent: f64,
    /// Share of time in which it was ready to run and others had its core.
    pub(super) kept_waiting_percent: f64,
    /// Resident when all had joined, in KiB.
    pub(super) joined_kib: u64,
    /// The highest afterwards, in KiB.
    pub(super) peak_kib: u64,
    /// Bytes published to fill the kernel's buffers, as frames.
    pub(super) filled_bytes: usize,
    /// Bytes of a measured message's frame.
    pub(super) frame_bytes: usize,
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
    let mut load = Load::gather(plan.clone(), dialect)?;
    let joined_kib = server.resident_kib()?.context("the node's memory is not known")?;
    let watch = Watch::start(server.addr, pid)?;
    let filled_bytes = fill(&mut load, plan, server)?;
    let before = usage(server)?;
    load.pace(time)?;
    let after = usage(server)?;
    load.settle()?;
    server.check()?;
    let samples = watch.stop()?;
    let ends = load.wake()?;
    let share =
        |index: usize| (after[index] - before[index]).as_secs_f64() * 100.0 / time.as_secs_f64();
    load.ledger.delays.sort_unstable();
    load.lateness.sort_unstable();
    let delay = |share| millis(percentile(&load.ledger.delays, share));
    Ok(Outcome {
        round,
        stalled: plan.stalled,
        p50_ms: delay(0.5),
        p99_ms: delay(0.99),
        max_ms: delay(1.0),
        late_p99_ms: millis(percentile(&load.lateness, 0.99)),
        node_busy_percent: share(0),
        kept_waiting_percent: share(1),
        joined_kib,
        peak_kib: samples.iter().map(|sample| sample.kib).max().unwrap_or(joined_kib),
        filled_bytes,
        frame_bytes: load.ledger.frame_bytes(),
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
    let out =
        || Ok::<_, anyhow::Error>(Scrape::of(server.addr)?.sum("roomcast_messages_out_total", ""));
    let (mut before, mut bytes) = (out()?, 0);
    for _ in 0..MAX_BURSTS {
        load.burst(BURST, plan.payload.max(FILLER))?;
        let after = out()?;
        bytes += BURST * load.ledger.frame_bytes();
        let healthy = (plan.members * BURST) as f64;
        let to_stalled = after - before - healthy;
        if to_stalled <= (plan.stalled * BURST) as f64 * STILL_TAKEN {
            return Ok(bytes);
        }
        before = after;
    }
    bail!("after {bytes} bytes the node still writes to members that read nothing")
}
