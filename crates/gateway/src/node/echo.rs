//! A node that sends messages back, for test suites of WebSocket from outside: what it is configured
//! with.

use std::net::SocketAddr;

use super::{Node, StartError};
use crate::config::Config;
use crate::settings::NodePurpose;

/// What differs from the defaults: no limits that a test suite would meet but that of a message.
const SETTINGS: [&str; 11] = [
    "insecure=true",
    "http.origins=*",
    "http.deflate=true",
    "limits.message_bytes=16MiB",
    "limits.inbound_bytes=1GiB",
    "limits.lag_bytes=16MiB",
    "limits.stalled_bytes=1GiB",
    "limits.address_handshakes=0",
    "limits.address_connections=0",
    "limits.message_deadline=10m",
    "heartbeat.interval=10m",
];

impl Node {
    /// Starts a node whose every path is a WebSocket that sends each message back, with compression
    /// for clients that offer it. It shares nothing with others.
    #[doc(hidden)]
    pub async fn start_echo(listen: SocketAddr) -> Result<Self, StartError> {
        let listen = format!("http.listen={listen}");
        let config = Config::from_settings(&[&SETTINGS[..], &[listen.as_str()]].concat())
            .expect("these settings are valid together");
        Self::start_for(NodePurpose::Echo, config, None).await
    }
}
