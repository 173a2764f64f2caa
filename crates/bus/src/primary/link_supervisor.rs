//! The task that keeps the command connections to one primary up, and checks the primary's
//! identity.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deadpool_redis::{Manager, Pool, Runtime};
use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, PushKind, RedisResult};
use roomcast_metrics::BusConnection;
use tokio::sync::{Notify, watch};
use tokio::time::sleep;
use tracing::{info, warn};

use super::layout::check_layout;
use super::link::{LinkOptions, LinkState, LinkUp};
use super::server::{connect, connection_config, identify};
use super::version::stamp;
use super::writable::WriteProbe;
use crate::circuit::Circuit;
use crate::placement::endpoint::RedisEndpoint;
use crate::scripts;

/// Interval of the checks of a server's life.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Connections for reads of ranges; also how many ranges are read at the same time.
const POOL_CONNECTIONS: usize = 6;
/// Longest wait of a read for a connection of the pool.
const POOL_TIMEOUT: Duration = Duration::from_secs(2);

/// The task that keeps the connections up.
pub(super) struct LinkSupervisor {
    pub(super) options: LinkOptions,
    pub(super) state: watch::Sender<LinkState>,
    pub(super) doubt: Arc<Notify>,
    pub(super) refuses_writes: Arc<AtomicBool>,
}

impl LinkSupervisor {
    /// Runs until the last handle to the link is gone.
    pub(super) async fn run(self) {
        let mut circuit = Circuit::HalfOpen;
        let mut first = true;
        while !self.state.is_closed() {
            let up = match &*self.state.borrow() {
                LinkState::Up(up) => Some(up.clone()),
                LinkState::Away(_) => None,
            };
            match up {
                Some(up) => {
                    if let Err(reason) = self.watch(up).await {
                        warn!(server = self.options.name, %reason, "lost Redis");
                        self.refuses_writes.store(false, Ordering::Relaxed);
                        circuit = circuit.lost();
                        self.state.send_replace(LinkState::Away(circuit));
                    }
                }
                None => {
                    sleep(circuit.pause(rand::random())).await;
                    match self.connect().await {
                        Ok(up) => {
                            if !first {
                                let server = &self.options.name;
                                info!(server, at = %up.at.addr(), life = %up.life, "reconnected to Redis");
                                self.options.metrics.reconnects[BusConnection::Publish].inc();
                            }
                            (first, circuit) = (false, Circuit::Closed);
                            self.state.send_replace(LinkState::Up(up));
                        }
                        Err(reason) => {
                            circuit = circuit.failed();
                            if circuit == Circuit::Open(1) {
                                let server = &self.options.name;
                                warn!(server, %reason, "Redis is away; publishes fail until it is back");
                            }
                            self.state.send_replace(LinkState::Away(circuit));
                        }
                    }
                }
            }
        }
    }

    /// Checks the server every second and whenever an answer was in doubt, until a check fails.
    async fn watch(&self, up: LinkUp) -> Result<(), String> {
        let mut version = self.options.version.clone();
        self.look_at_writes(&up).await;
        loop {
            tokio::select! {
                () = self.doubt.notified() => {}
                () = sleep(CHECK_INTERVAL) => {}
                () = changed(&mut version) => {}
                () = self.state.closed() => return Ok(()),
            }
            if self.options.target.may_move()
                && let Ok(now) = self.options.target.locate().await
                && now.addr() != up.at.addr()
            {
                return Err(format!("the sentinels name another primary: {}", now.addr()));
            }
            for mut connection in up.all() {
                let (life, version) =
                    self.examine(&mut connection).await.map_err(|e| e.to_string())?;
                if *life != *up.life {
                    info!(server = self.options.name, %life, "Redis has another life");
                    let up = LinkUp { life: life.into(), version, ..up.clone() };
                    self.state.send_replace(LinkState::Up(up));
                    return Ok(());
                }
            }
            self.look_at_writes(&up).await;
        }
    }

    /// Asks whether the server accepts writes, and logs a change. Without an answer nothing
    /// changes: the other checks find a server that is unreachable.
    async fn look_at_writes(&self, up: &LinkUp) {
        let asked = up.write_probe.refusal(&mut up.any(), &self.options.keys).await;
        let Ok(refusal) = asked else { return };
        let (server, refuses) = (&self.options.name, refusal.is_some());
        match (self.refuses_writes.swap(refuses, Ordering::Relaxed), refusal) {
            (false, Some(reason)) => {
                warn!(server, %reason, "Redis refuses writes; publishes fail, reading goes on");
            }
            (true, None) => info!(server, "Redis takes writes again"),
            _ => {}
        }
    }

    /// Checks a server's identity and sends it the version of the list; returns the life and the
    /// version.
    async fn examine(&self, connection: &mut MultiplexedConnection) -> RedisResult<(String, u64)> {
        let identity = identify(connection).await?;
        if !identity.primary {
            return Err((ErrorKind::Client, "it is a replica now").into());
        }
        let Some(version) = &self.options.version else { return Ok((identity.life + ":0", 0)) };
        let mine = *version.borrow();
        let known = stamp(connection, &self.options.keys, mine).await?;
        if known > mine {
            let text = format!("it is version {known}, and {mine} here");
            return Err((ErrorKind::Client, "the list of servers changed", text).into());
        }
        Ok((format!("{}:{mine}", identity.life), mine))
    }

    async fn connect(&self) -> RedisResult<LinkUp> {
        let at = self.options.target.locate().await?;
        let count = self.options.connections + 1;
        let mut connections = Vec::with_capacity(count);
        for _ in 0..count {
            let doubt = self.doubt.clone();
            let closed = move |info: redis::PushInfo| {
                if info.kind == PushKind::Disconnection {
                    doubt.notify_one();
                }
            };
            connections.push(connect(&at, closed).await?);
        }
        let mut waiting = connections.pop().expect("one more was made");
        let (life, version) = self.examine(&mut waiting).await?;
        check_layout(&mut waiting, &self.options.keys).await?;
        scripts::load(&mut waiting).await?;
        let write_probe = WriteProbe::load(&mut waiting).await?;
        Ok(LinkUp {
            connections: connections.into(),
            waiting,
            pool: pool(&at)?,
            keys: self.options.keys.in_database(at.redis_settings().db()),
            at: Arc::new(at),
            life: life.into(),
            version,
            write_probe,
        })
    }
}

fn pool(at: &RedisEndpoint) -> RedisResult<Pool> {
    let (info, config) = connection_config(at);
    let manager = Manager::new_with_config(info, config)?;
    let pool = Pool::builder(manager)
        .max_size(POOL_CONNECTIONS)
        .wait_timeout(Some(POOL_TIMEOUT))
        .create_timeout(Some(POOL_TIMEOUT))
        .recycle_timeout(Some(POOL_TIMEOUT))
        .runtime(Runtime::Tokio1)
        .build();
    Ok(pool.expect("the timeouts have a runtime"))
}

/// Waits for another version of the list of servers.
async fn changed(version: &mut Option<watch::Receiver<u64>>) {
    let changed = match version {
        Some(version) => version.changed().await.is_ok(),
        None => false,
    };
    if !changed {
        std::future::pending().await
    }
}
