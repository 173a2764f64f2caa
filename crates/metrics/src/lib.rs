//! Every metric family of a Roomcast node, its registry and its text form. Each area has a file
//! in which its families stand beside their help texts; labels come from closed enums, and their
//! children are resolved once, so that an observation is one atomic addition.
//!
//! `docs/metrics.md` lists the families; a test holds it to the registry.

mod access;
mod buckets;
mod bus;
mod connection;
mod delivery;
mod family;
mod label;
mod limits;
mod node;
mod people;
mod room;
mod tls;
mod traffic;
mod wire;

use prometheus::process_collector::ProcessCollector;
use prometheus::{Registry, TextEncoder};

pub use access::{AccessMetrics, ApiOutcome, ApiRoute};
pub use bus::{
    BusCommand, BusConnection, BusMetrics, CircuitState, EpochResetCause, LeaseState,
    PresenceChangeKind, RepairCause,
};
pub use connection::{CloseReason, ConnectionKind, ConnectionMetrics, RefusalReason, Transport};
pub use delivery::{DeliveryMetrics, DeliveryStage, SlowAction};
pub use family::ByLabel;
pub use label::Label;
pub use limits::{LimitAction, LimitMetrics, LimitName};
pub use node::NodeMetrics;
pub use people::{PeopleMetrics, SignalOutcome};
pub use prometheus::{Gauge, Histogram, IntCounter, IntGauge};
pub use room::{
    GapCause, NamespaceMetrics, ResumeOutcome, RoomMetrics, StateForm, StateReadOutcome,
};
pub use tls::TlsMetrics;
pub use traffic::{DeflateSize, TrafficMetrics};

use crate::family::Families;

/// The content type of [`Metrics::render`]'s text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All families of one node. Clones share the same values.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    /// The process: build, panics, workers.
    pub node: NodeMetrics,
    /// Connections: open, opened, closed, refused.
    pub connections: ConnectionMetrics,
    /// Limits: what was above them.
    pub limits: LimitMetrics,
    /// Frames, messages and bytes, in and out.
    pub traffic: TrafficMetrics,
    /// How long messages take, and who is too slow for them.
    pub delivery: DeliveryMetrics,
    /// Rooms, their logs, gaps and resumes.
    pub rooms: RoomMetrics,
    /// What members tell each other beside messages.
    pub people: PeopleMetrics,
    /// The bus between the nodes.
    pub bus: BusMetrics,
    /// Requests of backends, and bans.
    pub access: AccessMetrics,
    /// The certificate of the public listener.
    pub tls: TlsMetrics,
}

impl Metrics {
    /// A registry of its own with every family in it, all at zero.
    #[expect(
        clippy::new_without_default,
        reason = "a second registry is a decision, not a default"
    )]
    pub fn new() -> Self {
        let registry = Registry::new();
        registry
            .register(Box::new(ProcessCollector::for_self()))
            .expect("an empty registry takes the first collector");
        let families = Families::new(&registry);
        Self {
            node: NodeMetrics::new(&families),
            connections: ConnectionMetrics::new(&families),
            limits: LimitMetrics::new(&families),
            traffic: TrafficMetrics::new(&families),
            delivery: DeliveryMetrics::new(&families),
            rooms: RoomMetrics::new(&families),
            people: PeopleMetrics::new(&families),
            bus: BusMetrics::new(&families),
            access: AccessMetrics::new(&families),
            tls: TlsMetrics::new(&families),
            registry,
        }
    }

    /// The present values in the Prometheus text format 0.0.4. Reads `/proc` for the process
    /// families and locks each histogram briefly: call it outside the workers.
    pub fn render(&self) -> String {
        TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .expect("every family has valid names and at least one child")
    }

    /// The gauges of one configured namespace, created at the first call. Call it at start and at
    /// reload, never with a name that a client chose: each name is a time series for good.
    pub fn namespace(&self, name: &str) -> NamespaceMetrics {
        self.rooms.namespace(name)
    }
}

#[cfg(test)]
mod tests;
