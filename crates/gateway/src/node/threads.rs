//! The node's threads: one for the hub with the bus, one for each worker, each with a
//! single-threaded runtime of its own.

use std::io;
use std::sync::Arc;
use std::thread;

use roomcast_bus::{Bus, Feeds, MemoryOptions, RedisOptions};
use roomcast_metrics::Metrics;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::LocalSet;

use super::StartError;
use crate::config::{BusConfig, Config};
use crate::hub::{Hub, HubCommand, WorkerEvent};
use crate::settings::Settings;
use crate::worker::{self, WorkerParts};

/// Starts the hub's thread; returns the bus once it is connected, and what tells the thread's end.
pub(super) async fn start_hub(
    config: &Config,
    metrics: &Metrics,
    (queues, commands): (Vec<mpsc::Sender<WorkerEvent>>, mpsc::UnboundedReceiver<HubCommand>),
    settings: watch::Receiver<Arc<Settings>>,
) -> Result<(Bus, oneshot::Receiver<()>), StartError> {
    let runtime = runtime()?;
    let (started, start) = oneshot::channel();
    let (ended, end) = oneshot::channel();
    let (config, metrics) = (config.clone(), metrics.clone());
    thread::Builder::new().name("hub".into()).spawn(move || {
        let _ended: oneshot::Sender<()> = ended;
        runtime.block_on(async move {
            let (bus, feeds) = match connect(&config, &metrics).await {
                Ok(connected) => connected,
                Err(error) => {
                    let _nobody_waits = started.send(Err(error));
                    return;
                }
            };
            let _nobody_waits = started.send(Ok(bus.clone()));
            Hub::new((bus, feeds), queues, commands, settings, metrics).run().await;
        });
    })?;
    let bus = start.await.map_err(|_| io::Error::other("the hub's thread ended at once"))??;
    Ok((bus, end))
}

async fn connect(
    config: &Config,
    metrics: &Metrics,
) -> Result<(Bus, Feeds), roomcast_bus::StartError> {
    let BusConfig { redis_url, prefix, subscribe_connections, .. } = &config.bus;
    let Some(url) = redis_url else { return Ok(Bus::memory(MemoryOptions::default())) };
    let options = RedisOptions {
        prefix: prefix.clone(),
        subscribe_connections: *subscribe_connections,
        ..RedisOptions::new(url.expose())
    };
    Bus::redis(options, metrics.bus.clone()).await
}

/// Starts a worker's thread; returns what tells its end.
pub(super) fn start_worker(parts: WorkerParts) -> io::Result<oneshot::Receiver<()>> {
    let runtime = runtime()?;
    let (ended, end) = oneshot::channel();
    let name = format!("worker-{}", parts.index);
    thread::Builder::new().name(name).spawn(move || {
        let _ended: oneshot::Sender<()> = ended;
        LocalSet::new().block_on(&runtime, worker::run(parts));
    })?;
    Ok(end)
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}
