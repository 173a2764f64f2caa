//! What a worker inflates with: one set for all its connections, used within one step.

use roomcast_deflate::InflaterPool;

/// Inflaters between messages, and the frame that was inflated last.
#[derive(Debug, Default)]
pub(crate) struct InflateScratch {
    pub(crate) pool: InflaterPool,
    pub(crate) frame: Vec<u8>,
}
