//! One server under the closed loop: its delay, and its rate and cost at each window.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde::Serialize;

use super::load::Load;
use super::{FanoutArgs, Outcome};
use crate::machine::Cores;
use crate::print;
use crate::server::Server;
use crate::stats::{millis, percentile};
use crate::window::Window;

/// How long no delivery at all may arrive while some are owed.
const STALL: Duration = Duration::from_secs(10);
/// Pause between lone messages.
const BEAT: Duration = Duration::from_millis(100);
/// Lone messages before those that count.
const WARM_UP_MESSAGES: usize = 3;

/// The delay of lone messages, in ms: from before the publisher's write to the member's read.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Latency {
    /// To the first member; median over messages.
    pub(crate) first_ms: f64,
    /// Half of all deliveries were faster.
    pub(crate) p50_ms: f64,
    /// 99 of 100 deliveries were faster.
    pub(crate) p99_ms: f64,
    /// To the last member; median over messages.
    pub(crate) last_ms: f64,
}

/// The rate and cost of deliveries at one window.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Throughput {
    /// Messages on their way in each room.
    pub(crate) window: usize,
    /// Frames received by members, per second.
    pub(crate) deliveries_per_second: f64,
    /// CPU seconds of the server for a million of them; `None` without its pid.
    pub(crate) cpu_seconds_per_million: Option<f64>,
    /// Frames that one `recv` of a member brought, on average.
    pub(crate) frames_per_read: f64,
    /// Share of time in which the server was ready to run and others had its core; above some 10
    /// the figures are disturbed. `None` without its pid.
    pub(crate) server_kept_waiting_percent: Option<f64>,
    /// Share of time in which the load had nothing to read; near 0 it is the limit itself.
    pub(crate) load_idle_percent: f64,
}

/// Measures one server: the delay first, then each window.
pub(crate) fn measure(
    args: &FanoutArgs,
    server: &Server,
    cores: &Cores,
    round: usize,
) -> Result<Outcome> {
    let mut load = Load::gather(args, server, cores)?;
    let latency = match args.latency_messages {
        0 => None,
        messages => Some(load.latency(messages)?),
    };
    let mut throughput = Vec::new();
    for &window in &args.window {
        throughput.push(load.throughput(args, window)?);
    }
    Ok(Outcome {
        server: server.title,
        round,
        latency,
        throughput,
        frame_bytes: load.totals.bytes as f64 / load.totals.frames.max(1) as f64,
        resident_mib: server.resident_kib()?.map(|kib| kib as f64 / 1024.0),
    })
}

impl Load<'_> {
    fn throughput(&mut self, args: &FanoutArgs, size: usize) -> Result<Throughput> {
        let measured = Duration::from_secs_f64(args.seconds);
        self.count_from_zero();
        let mut window = Window::new(&self.members, size, args.in_flight);
        self.run(&mut window, measured / 3)?;
        let (before, cpu, wait) = (self.totals, self.server.cpu_time()?, self.server.cpu_wait()?);
        let began = Instant::now();
        self.run(&mut window, measured)?;
        let took = began.elapsed().as_secs_f64();
        let (after, cpu_after) = (self.totals, self.server.cpu_time()?);
        let wait_after = self.server.cpu_wait()?;
        self.drain(&mut window)?;
        let seconds = |(after, before): (Duration, Duration)| (after - before).as_secs_f64();
        let frames = (after.frames - before.frames) as f64;
        let wait = wait_after.zip(wait).map(seconds);
        let outcome = Throughput {
            window: size,
            deliveries_per_second: frames / took,
            cpu_seconds_per_million: cpu_after.zip(cpu).map(|cpu| seconds(cpu) * 1e6 / frames),
            frames_per_read: frames / (after.reads - before.reads) as f64,
            server_kept_waiting_percent: wait.map(|wait| wait * 100.0 / took),
            load_idle_percent: seconds((after.idle, before.idle)) * 100.0 / took,
        };
        let rate = outcome.deliveries_per_second / 1e3;
        print::note(format_args!("  window {size}: {rate:.0} thousand deliveries per second"));
        Ok(outcome)
    }

    fn run(&mut self, window: &mut Window, for_time: Duration) -> Result<()> {
        let deadline = Instant::now() + for_time;
        let mut seen = (window.delivered(), Instant::now());
        while Instant::now() < deadline {
            self.publish(window)?;
            self.turn(|room, before, frames, _| window.deliver(room, before, frames))?;
            self.watch(window, &mut seen)?;
        }
        Ok(())
    }

    fn drain(&mut self, window: &mut Window) -> Result<()> {
        let mut seen = (window.delivered(), Instant::now());
        while window.in_flight() > 0 {
            self.turn(|room, before, frames, _| window.deliver(room, before, frames))?;
            self.watch(window, &mut seen)?;
        }
        Ok(())
    }

    /// Fails if nothing was delivered for too long.
    fn watch(&self, window: &Window, seen: &mut (u64, Instant)) -> Result<()> {
        if window.delivered() > seen.0 {
            *seen = (window.delivered(), Instant::now());
        } else if seen.1.elapsed() > STALL {
            self.server.check()?;
            let missing = window.in_flight();
            bail!(
                "no delivery for 10 s, {missing} messages not received by all{}",
                self.server.log_tail()
            );
        }
        Ok(())
    }

    /// Lone messages in the first room, one each beat.
    fn latency(&mut self, messages: usize) -> Result<Latency> {
        let members = self.members[0] as usize;
        let (mut all, mut first, mut last) = (Vec::new(), Vec::new(), Vec::new());
        for message in 0..WARM_UP_MESSAGES + messages {
            let mut delays = Vec::with_capacity(members);
            let began = Instant::now();
            self.publish_one()?;
            while delays.len() < members || began.elapsed() < BEAT {
                self.turn(|_, _, frames, at| {
                    delays.extend(std::iter::repeat_n(at - began, frames as usize));
                    Ok(())
                })?;
                if began.elapsed() > STALL {
                    let got = delays.len();
                    bail!("{got} of {members} members got a message within 10 s");
                }
            }
            if delays.len() > members {
                bail!("{members} members received {} frames for one message", delays.len());
            }
            if message >= WARM_UP_MESSAGES {
                first.push(delays[0]);
                last.push(delays[members - 1]);
                all.append(&mut delays);
            }
        }
        for delays in [&mut all, &mut first, &mut last] {
            delays.sort();
        }
        Ok(Latency {
            first_ms: millis(percentile(&first, 0.5)),
            p50_ms: millis(percentile(&all, 0.5)),
            p99_ms: millis(percentile(&all, 0.99)),
            last_ms: millis(percentile(&last, 0.5)),
        })
    }
}
