//! The node's threads: one for the hub with the bus, one for each worker, each with a
//! single-threaded runtime of its own.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use roomcast_bus::{Bus, Feeds, MemoryOptions, RedisOptions};
use roomcast_metrics::{ConnectionMetrics, Metrics};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{LocalSet, spawn_local};

use super::StartError;
use super::worker_loop::{self, WorkerParts};
use crate::config::{BusConfig, Config};
use crate::hub::{Hub, HubCommand, WorkerEvent};
use crate::peers::PeerDesk;
use crate::settings::Settings;

/// The hub's thread, which runs the bus as well.
pub(super) struct HubThread {
    pub(super) bus: Bus,
    /// How the first way to Redis ended; at once for the bus in memory.
    pub(super) opened: Option<oneshot::Receiver<Result<(), roomcast_bus::RedisStartError>>>,
    ended: oneshot::Receiver<()>,
    guest: oneshot::Sender<WorkerParts>,
}

impl HubThread {
    /// Starts it; the bus may not have reached Redis yet when this returns.
    pub(super) async fn start(
        config: &Config,
        metrics: &Metrics,
        (queues, commands): (Vec<mpsc::Sender<WorkerEvent>>, mpsc::Receiver<HubCommand>),
        settings: watch::Receiver<Arc<Settings>>,
        peers: Arc<PeerDesk>,
    ) -> Result<Self, StartError> {
        let runtime = runtime()?;
        let (started, start) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let (guest, guests) = oneshot::channel();
        let (done, opened) = oneshot::channel();
        let (options, metrics) =
            (redis_options(&config.bus, &metrics.connections)?, metrics.clone());
        thread::Builder::new().name("hub".into()).spawn(move || {
            let _end: oneshot::Sender<()> = end;
            LocalSet::new().block_on(&runtime, async move {
                let (bus, feeds) = match open_bus(options, &metrics, done) {
                    Ok(opened) => opened,
                    Err(error) => {
                        let _nobody_waits = started.send(Err(error));
                        return;
                    }
                };
                let _nobody_waits = started.send(Ok(bus.clone()));
                let hub =
                    Hub::new((bus, feeds), queues, commands, settings, metrics).with_peers(peers);
                match guests.await {
                    Ok(parts) => {
                        spawn_local(hub.run());
                        worker_loop::run(parts).await;
                    }
                    Err(_no_guest) => hub.run().await,
                }
            });
            // A name that is just being looked up is not waited for.
            runtime.shutdown_background();
        })?;
        let bus = start.await.map_err(|_| io::Error::other("the hub's thread ended at once"))??;
        Ok(Self { bus, opened: Some(opened), ended, guest })
    }

    /// Starts the workers: each has a thread of its own, unless there is only one, which shares
    /// the hub's. On one core a hop between threads would only cost switches, and tear bursts
    /// apart. Returns what tells each thread's end, the hub's last.
    pub(super) fn start_workers(
        self,
        workers: Vec<WorkerParts>,
    ) -> io::Result<Vec<oneshot::Receiver<()>>> {
        let Self { ended, guest, .. } = self;
        let mut ends = Vec::new();
        match <[WorkerParts; 1]>::try_from(workers) {
            Ok([only]) => {
                // If the thread is gone, its end is told already.
                let _gone = guest.send(only);
            }
            Err(workers) => {
                for parts in workers {
                    ends.push(start_worker(parts)?);
                }
            }
        }
        ends.push(ended);
        Ok(ends)
    }
}

/// The bus of this configuration; over Redis it begins to look for it.
fn open_bus(
    options: Option<RedisOptions>,
    metrics: &Metrics,
    opened: oneshot::Sender<Result<(), roomcast_bus::RedisStartError>>,
) -> Result<(Bus, Feeds), roomcast_bus::RedisStartError> {
    let Some(options) = options else {
        for gauge in [&metrics.bus.up, &metrics.bus.subscribed, &metrics.bus.writable] {
            gauge.set(1);
        }
        let _nobody_waits = opened.send(Ok(()));
        return Ok(Bus::memory_counted(MemoryOptions::default(), metrics.bus.clone()));
    };
    let (bus, feeds, opening) = Bus::redis_later(options, metrics.bus.clone())?;
    tokio::spawn(async move {
        let _nobody_waits = opened.send(opening.wait().await);
    });
    Ok((bus, feeds))
}

/// The bus's settings; `None` for the bus in memory.
pub(super) fn redis_options(
    config: &BusConfig,
    connections: &ConnectionMetrics,
) -> Result<Option<RedisOptions>, StartError> {
    let Some(url) = &config.redis_url else { return Ok(None) };
    let read =
        |path: &PathBuf| std::fs::read(path).map_err(|e| StartError::Authority(path.clone(), e));
    let ca = config.redis_ca.as_ref().map(read).transpose()?;
    Ok(Some(RedisOptions {
        version: config.servers_version,
        ca,
        tls_name: config.redis_tls_name.clone(),
        prefix: config.prefix.clone(),
        publish_connections: config.publish_connections,
        subscribe_connections: config.subscribe_connections,
        connections: Some(connections.clone()),
        ..RedisOptions::new(url.expose())
    }))
}

/// Starts a worker's thread; returns what tells its end.
fn start_worker(parts: WorkerParts) -> io::Result<oneshot::Receiver<()>> {
    let runtime = runtime()?;
    let (ended, end) = oneshot::channel();
    let name = format!("worker-{}", parts.index);
    thread::Builder::new().name(name).spawn(move || {
        let _ended: oneshot::Sender<()> = ended;
        LocalSet::new().block_on(&runtime, worker_loop::run(parts));
    })?;
    Ok(end)
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}
