//! Free ports for servers that cannot say which one they took.

use std::net::TcpListener;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

/// Below the ports that Linux gives to outgoing connections (32768 and above): one of those would
/// keep a server from coming back on its port, or, aimed at the port of a server that is down, be
/// connected to itself. A Redis Cluster's own port is the client's plus 10,000: below them as well.
const FIRST: u32 = 10_000;
const COUNT: u32 = 10_000;

/// A port that is free now, and that this process was not given before in a long while. It stays
/// free while its server is down.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Processes side by side begin far apart.
    let begin = process::id().wrapping_mul(0x9e37_79b9) >> 8;
    let next = |_| {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        (FIRST + begin.wrapping_add(step) % COUNT) as u16
    };
    let is_free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let mut free = (0..COUNT).map(next).filter(|&port| is_free(port));
    free.find(|&port| is_free(port + COUNT as u16)).expect("a free port")
}
