//! Settings of the bus over Redis, and answers about them that need no server.

use std::time::Duration;

use roomcast_metrics::ConnectionMetrics;
use roomcast_protocol::RoomName;

use crate::placement::Placement;
use crate::placement::address::{self, RedisTopology};
use crate::placement::endpoint::TlsTrust;
use crate::placement::keys::{Keyspace, RoomNames, room_names};
use crate::primary::fault::RedisStartError;

/// Longest prefix: it is part of every key and channel.
const MAX_PREFIX_BYTES: usize = 64;

/// Settings of the bus over Redis.
#[derive(Debug, Clone)]
pub struct RedisOptions {
    /// One URL, or several separated by blanks: `redis://[user:password@]host[:port][/db]`,
    /// `redis+sentinel://host,host/NAME`, `redis+cluster://host,host`; with `rediss` for TLS.
    pub url: String,
    /// Version of the list of servers in `url`: raise it by one with each change of the list.
    pub version: u64,
    /// A certificate (PEM) to trust for TLS, instead of the system's.
    pub ca: Option<Vec<u8>>,
    /// The name that certificates are verified for, instead of the host that is connected to.
    pub tls_name: Option<String>,
    /// First part of every key and channel, so that several deployments may share a server.
    pub prefix: String,
    /// Connections to each primary that publishes share; one is enough until a core cannot fill
    /// it.
    pub publish_connections: usize,
    /// Subscribe connections to each primary, rooms spread over them; one core takes about 400,000
    /// pushes a second.
    pub subscribe_connections: usize,
    /// How long Redis keeps a room after its history: longer than any reconnect, and short enough
    /// that rooms without publications are removed within minutes.
    pub linger: Duration,
    /// How long one round of the sweep takes, which compares every open room with Redis; it finds
    /// losses that no push and no reconnect shows.
    pub sweep: Duration,
    /// Connections that this node has now: its lease names their number.
    pub connections: Option<ConnectionMetrics>,
}

impl RedisOptions {
    /// The defaults, at a URL.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            version: 1,
            ca: None,
            tls_name: None,
            prefix: "roomcast".to_owned(),
            publish_connections: 1,
            subscribe_connections: 1,
            linger: Duration::from_secs(600),
            sweep: Duration::from_secs(30),
            connections: None,
        }
    }
}

impl RedisOptions {
    /// How its connections use TLS.
    pub(crate) fn trust(&self) -> TlsTrust<'_> {
        TlsTrust { ca: self.ca.as_deref(), name: self.tls_name.as_deref() }
    }
}

/// Checks the form of a URL, or of several; the message contains no part of the text.
pub fn check_url(text: &str) -> Result<(), String> {
    // The library appends the name of the error's kind, which does not help users.
    let words = |error: redis::RedisError| {
        let text = error.to_string();
        text.strip_suffix(" - InvalidClientConfig").unwrap_or(&text).to_owned()
    };
    address::read(text, TlsTrust::default()).map(drop).map_err(words)
}

/// The names of a room in the Redis that `options` describe. No server is asked.
pub fn locate_room(options: &RedisOptions, room: &RoomName) -> Result<RoomNames, RedisStartError> {
    let topology = address::read(&options.url, options.trust())
        .map_err(|e| RedisStartError::Url(e.to_string()))?;
    let database = match &topology {
        RedisTopology::Servers(servers) => {
            let names = servers.iter().map(|server| server.name.clone()).collect();
            let index = Placement::Names(names).of(&Keyspace::new(&options.prefix), room);
            servers.get(index.unwrap_or(0)).map_or(0, |server| server.target.database())
        }
        RedisTopology::Cluster(_) => 0,
    };
    Ok(room_names(&options.prefix, database, room))
}

/// Whether a prefix may begin keys and channels.
pub(super) fn is_prefix(text: &str) -> bool {
    let is_printable = text.chars().all(|c| !c.is_control() && !c.is_whitespace());
    !text.is_empty() && text.len() <= MAX_PREFIX_BYTES && is_printable
}
