//! What a proxy does to the bytes that go through it, and the state all its connections watch.

use std::time::Duration;

/// One of the two ways through the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client: requests.
    ToServer,
    /// From the server: answers.
    ToClient,
}

/// What happens to the bytes of one direction. No fault reorders or changes bytes; only the black
/// hole loses any. A change of fault lets go at once what the one before delayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyFault {
    /// None: what arrives is passed on.
    Pass,
    /// Every piece arrives so much later, and by a random part of the jitter later still. The
    /// throughput stays, up to 8 MiB on the way.
    Latency {
        /// What every piece is delayed by.
        least: Duration,
        /// The most that is added to it.
        jitter: Duration,
    },
    /// No more than so many bytes in a second, spread evenly. The sender feels it once the
    /// system's socket buffers are full.
    Throttle {
        /// At least 1.
        bytes_per_second: u32,
    },
    /// Every byte is a write, and so as a rule a segment, of its own.
    Slices,
    /// Everything is taken and nothing is passed on, not even the end of the stream; connections
    /// stay, and new ones are taken. When it ends, the connections that lost anything are cut: a
    /// stream with a hole is never resumed.
    BlackHole,
    /// Nothing is taken and nothing passed on, so that the sender's buffers fill; it all arrives
    /// once this ends.
    Hold,
}

/// What a proxy is set to. The counts rise with each order to the connections of the moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct State {
    pub(super) faults: [ProxyFault; 2],
    pub(super) refuses: bool,
    pub(super) cuts: u64,
    pub(super) resets: u64,
    pub(super) half_closes: [u64; 2],
}

impl State {
    pub(super) const PASS: Self = Self {
        faults: [ProxyFault::Pass; 2],
        refuses: false,
        cuts: 0,
        resets: 0,
        half_closes: [0; 2],
    };
}
