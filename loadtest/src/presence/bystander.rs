//! A client in no room, in a thread of its own: what its pings wait is what the node's only worker
//! let it wait, and not what the load's own client had to read meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use roomcast_protocol::ClientFrame;

use super::PresenceBench;
use crate::dialect::Dialect;
use crate::engine::{Engine, EngineBatch, Wait, What};
use crate::people::{Guest, welcome};
use crate::stats::{millis, percentile};

/// Pause between two pings.
const PING_EVERY: Duration = Duration::from_millis(5);
/// How long a pong may take before the measurement has failed.
const PONG_WITHIN: Duration = Duration::from_secs(10);

/// The client while it asks.
pub(super) struct Bystander {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Vec<Duration>>>,
}

/// What its pings waited.
pub(super) struct BystanderWaits(Vec<Duration>);

impl Bystander {
    pub(super) fn start(bench: &PresenceBench) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (until, dialect, door) = (stop.clone(), bench.dialect.clone(), bench.node.door.clone());
        let ask = move || ask(&mut Engine::new(&door)?, &dialect, &until);
        let thread = std::thread::Builder::new().name("bystander".to_owned()).spawn(ask)?;
        Ok(Self { stop, thread })
    }

    pub(super) fn end(self) -> Result<BystanderWaits> {
        self.stop.store(true, Ordering::Relaxed);
        let waits = self.thread.join().map_err(|_| anyhow!("the bystander panicked"))?;
        let mut waits = waits?;
        waits.sort_unstable();
        Ok(BystanderWaits(waits))
    }
}

impl BystanderWaits {
    /// In ms; 1.0 is the longest.
    pub(super) fn share(&self, share: f64) -> f64 {
        millis(percentile(&self.0, share))
    }
}

fn ask(engine: &mut Engine, dialect: &Dialect, stop: &AtomicBool) -> Result<Vec<Duration>> {
    let lone = [Guest { user: "bystander".to_owned(), joins: Vec::new() }];
    let link = welcome(engine, dialect, &lone, 1)?.links[0];
    let ping = dialect.frame(&ClientFrame::Ping { id: Some(1) });
    let (mut waits, mut batch) = (Vec::new(), EngineBatch::default());
    while !stop.load(Ordering::Relaxed) {
        engine.send(link, &ping)?;
        let sent = Instant::now();
        waits.push('pong: loop {
            engine.turn(Wait::Sleep(PONG_WITHIN), &mut batch)?;
            for arrival in &batch.arrivals {
                match arrival.what {
                    What::Frame { .. } => break 'pong arrival.at.saturating_duration_since(sent),
                    What::Ended(ref why) => anyhow::bail!("the bystander lost its link: {why}"),
                    What::Upgraded | What::Counted { .. } => {}
                }
            }
            anyhow::ensure!(sent.elapsed() < PONG_WITHIN, "no pong within 10 s");
        });
        std::thread::sleep(PING_EVERY);
    }
    Ok(waits)
}
