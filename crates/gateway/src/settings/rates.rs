//! The limits that count by time, in the form in which they are applied. `None` is no limit.

use roomcast_access::rate::RateLimit;

use crate::config::{LimitsConfig, NamespaceConfig};

/// The rates of one connection and of one address.
#[derive(Debug)]
pub(crate) struct RateSettings {
    pub(crate) address_handshakes: Option<RateLimit>,
    /// WebSocket frames.
    pub(crate) frames: Option<RateLimit>,
    /// Bytes of payload. The largest message always fits into the burst.
    pub(crate) inbound: Option<RateLimit>,
    /// Rooms to join.
    pub(crate) joins: Option<RateLimit>,
    pub(crate) reads: Option<RateLimit>,
    /// Rooms that publishes begin.
    pub(crate) created_rooms: Option<RateLimit>,
}

/// The rates of publishes and signals in a namespace.
#[derive(Debug)]
pub(crate) struct PublishRates {
    /// Of a connection.
    pub(crate) connection: Option<RateLimit>,
    /// Of a user on this node.
    pub(crate) user: Option<RateLimit>,
    /// Of signals of a connection, which no history keeps.
    pub(crate) signals: Option<RateLimit>,
    /// Of a room on all nodes, as the bus takes it; 0 is no limit.
    pub(crate) room: u32,
}

impl RateSettings {
    pub(super) fn new(config: &LimitsConfig) -> Self {
        let inbound_burst = u64::from(config.inbound_rate).max(config.message_bytes as u64);
        Self {
            address_handshakes: a_second(config.address_handshakes),
            frames: a_second(config.frames),
            inbound: RateLimit::per_second(config.inbound_rate.into(), inbound_burst),
            joins: a_second(config.joins),
            reads: a_second(config.reads),
            created_rooms: RateLimit::per_minute(config.created_rooms.into()),
        }
    }
}

impl PublishRates {
    pub(super) fn new(config: &NamespaceConfig) -> Self {
        let (rate, burst) = (config.publish_rate.into(), config.publish_burst.into());
        Self {
            connection: RateLimit::per_second(rate, burst),
            user: a_second(config.user_publish_rate),
            signals: a_second(config.signal_rate),
            room: config.room_publish_rate,
        }
    }
}

/// A rate whose burst is one second's worth.
fn a_second(count: u32) -> Option<RateLimit> {
    RateLimit::per_second(count.into(), count.into())
}
