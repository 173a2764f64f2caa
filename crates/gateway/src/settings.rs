//! What the node's parts need of the configuration, resolved; replaced as a whole at a reload.

use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use roomcast_bus::Retention;
use roomcast_metrics::{Metrics, NamespaceMetrics};
use roomcast_protocol::RoomName;

use crate::config::{Config, HttpConfig, LimitsConfig, NamespaceConfig, SlowPolicy};
use crate::fault::InjectedFault;
use crate::tls::TlsServer;

/// The name of the namespace of rooms without one, and of unknown ones.
const DEFAULT: &str = "default";

/// The configuration in force.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) limits: NodeLimits,
    pub(crate) heartbeat: HeartbeatSettings,
    pub(crate) http: HttpConfig,
    /// What the public listener's sockets speak TLS with; `None`: plain TCP. It outlives reloads.
    pub(crate) tls: Option<TlsServer>,
    /// A fault that a test injected. Release builds do not look at it.
    pub(crate) fault: Option<InjectedFault>,
    default: Arc<Namespace>,
    namespaces: HashMap<String, Arc<Namespace>>,
}

/// Bounds, each documented beside its default in the configuration.
#[derive(Debug)]
pub(crate) struct NodeLimits {
    pub(crate) connections: usize,
    /// New sockets in a second; 0: no bound.
    pub(crate) accept_rate: u32,
    pub(crate) rooms: usize,
    pub(crate) message_bytes: usize,
    pub(crate) inbound_bytes: usize,
    pub(crate) stalled_bytes: usize,
    pub(crate) handshake_bytes: usize,
    pub(crate) lag_bytes: usize,
    pub(crate) log_bytes: usize,
    pub(crate) control_bytes: usize,
    pub(crate) send_buffer: usize,
    pub(crate) notsent_lowat: usize,
    pub(crate) message_deadline: Duration,
    /// Requests of one connection that the bus has not answered: then it is not read.
    pub(crate) requests: usize,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) room_linger: Duration,
}

/// How connections are watched.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeartbeatSettings {
    /// A ping goes out so often.
    pub(crate) interval: Duration,
    /// A connection from which nothing came for so long ends.
    pub(crate) timeout: Duration,
}

impl HeartbeatSettings {
    /// As clients are told; they may judge the node in the same way.
    pub(crate) fn told(&self) -> roomcast_protocol::Heartbeat {
        roomcast_protocol::Heartbeat {
            interval_ms: self.interval.as_millis() as u64,
            timeout_ms: self.timeout.as_millis() as u64,
        }
    }
}

impl NodeLimits {
    fn new(config: &LimitsConfig, connections: usize) -> Self {
        Self {
            connections: if config.connections == 0 { connections } else { config.connections },
            accept_rate: config.accept_rate,
            rooms: config.rooms_per_connection,
            message_bytes: config.message_bytes,
            inbound_bytes: config.inbound_bytes,
            stalled_bytes: config.stalled_bytes,
            handshake_bytes: config.handshake_bytes,
            lag_bytes: config.lag_bytes,
            log_bytes: config.log_bytes,
            control_bytes: config.control_bytes,
            send_buffer: config.send_buffer,
            notsent_lowat: config.notsent_lowat,
            message_deadline: config.message_deadline,
            requests: config.inflight_publishes,
            idle_timeout: Some(config.idle_timeout).filter(|timeout| !timeout.is_zero()),
            room_linger: config.room_linger,
        }
    }

    /// As clients are told.
    pub(crate) fn told(&self) -> roomcast_protocol::Limits {
        roomcast_protocol::Limits {
            message_bytes: self.message_bytes as u64,
            rooms: self.rooms as u64,
        }
    }
}

/// The policy of rooms whose names begin alike.
#[derive(Debug)]
pub(crate) struct Namespace {
    pub(crate) retention: Retention,
    pub(crate) message_bytes: usize,
    pub(crate) slow: SlowPolicy,
    pub(crate) metrics: NamespaceMetrics,
}

impl Settings {
    /// Resolves a configuration; `connections` is what the descriptor limit allows.
    pub(crate) fn new(config: &Config, connections: usize, metrics: &Metrics) -> Self {
        let namespaces: HashMap<String, Arc<Namespace>> = (config.namespaces.iter())
            .map(|(name, config)| {
                let namespace = Namespace::new(config, metrics.namespace(name));
                (name.to_owned(), Arc::new(namespace))
            })
            .collect();
        let default = namespaces.get(DEFAULT).expect("the configuration has a default namespace");
        Self {
            limits: NodeLimits::new(&config.limits, connections),
            http: config.http.clone(),
            tls: None,
            fault: None,
            heartbeat: HeartbeatSettings {
                interval: config.heartbeat.interval,
                timeout: config.heartbeat.timeout(),
            },
            default: default.clone(),
            namespaces,
        }
    }

    /// The policy of a room.
    pub(crate) fn namespace_of(&self, room: &RoomName) -> &Arc<Namespace> {
        room.namespace().and_then(|name| self.namespaces.get(name)).unwrap_or(&self.default)
    }
}

impl Namespace {
    fn new(config: &NamespaceConfig, metrics: NamespaceMetrics) -> Self {
        Self {
            retention: config.retention(),
            message_bytes: config.message_bytes,
            slow: config.slow,
            metrics,
        }
    }
}

#[cfg(test)]
mod tests;
