//! Whether a message is on its way to the node. The worker bounds how long that lasts.

/// Whether a message is on its way when the socket has nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arriving {
    /// None is, and nothing is held.
    Nothing,
    /// None is, but frames that were read wait for their turn.
    Postponed,
    /// One is, and its first byte came with the last read.
    Begun,
    /// One is that began earlier.
    Still,
}
