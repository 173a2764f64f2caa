//! What the tests of whole nodes share: a node in this process, a typed client, a raw one, and a
//! reader of metrics. Every wait has a deadline.

#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(unused_imports, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(unreachable_pub, reason = "each test file is a crate of its own")]

pub mod auth;
mod backend;
mod calls;
mod client;
mod cluster;
mod deaf;
mod deflate;
mod follow;
mod metrics;
mod node;
mod persistent;
mod process;
mod program;
mod raw;
mod state_map;
mod watcher;

use std::time::Duration;

use tokio::time::{Instant, timeout};

pub use backend::{Backend, read};
pub use calls::{Call, note_calls, noted_calls};
pub use client::{Incoming, Joined, TestClient, foreign, id_of, plain, publish_of, seqs, text};
pub use cluster::{Cluster, cluster_node, is_ready};
pub use deaf::DeafWay;
pub use deflate::{OFFER, deflate, inflate};
pub use follow::Follow;
pub use metrics::Scrape;
pub use node::TestNode;
pub use persistent::{Outcomes, Persistent};
pub use process::Process;
pub use program::Program;
pub use raw::{Opcode, RawClient, RawFrame, Response, UPGRADE, frame, get};
pub use state_map::{StateMap, StateValues};
pub use watcher::{Heard, Watcher};

/// What should happen happens within this, however busy the machine is.
pub const SOON: Duration = Duration::from_secs(15);

/// A log of 64 KiB, so that readers fall behind it soon; messages as small as that asks for.
pub const SHORT_LOG: [&str; 3] = [
    "limits.lag_bytes=64KiB",
    "limits.message_bytes=64KiB",
    "namespaces.default.message_bytes=32KiB",
];

/// What `future` comes to; fails if that takes too long.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match timeout(SOON, future).await {
        Ok(value) => value,
        Err(_) => panic!("not in time: {what}"),
    }
}

/// Waits until a condition holds that only time and other tasks can bring.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !holds().await {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A room's name.
pub fn room(name: &str) -> roomcast_protocol::RoomName {
    roomcast_protocol::RoomName::parse(name).unwrap()
}
