//! Compression of messages that several members share: from which size on, and what it saved. The
//! compressor is the thread's (its memory is 300 KiB), and is made when the first message needs it.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use roomcast_deflate::{FrameCompressor, Packing};

use super::websocket::{FrameBody, append_compressed, append_message};

/// Memory that a thread keeps from one compressed message to the next, in bytes.
const KEPT_OUTPUT: usize = 64 * 1024;

/// What a thread compresses with.
#[derive(Default)]
struct DeflateScratch {
    compressor: FrameCompressor,
    packed: Vec<u8>,
}

thread_local! {
    static SCRATCH: RefCell<DeflateScratch> = RefCell::default();
}

/// How a node compresses; clones are the same. By default everything that becomes smaller.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedDeflate(Arc<DeflateCounts>);

#[derive(Debug, Default)]
struct DeflateCounts {
    /// Smallest payload that is compressed, in bytes.
    min: AtomicUsize,
    /// Payload of the messages that were compressed, and what it became; both since they were taken.
    before: AtomicU64,
    after: AtomicU64,
}

/// Bytes of payload that were compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DeflatedBytes {
    pub(crate) before: u64,
    pub(crate) after: u64,
}

impl SharedDeflate {
    /// From now on payloads of so many bytes are compressed.
    pub(crate) fn set_min(&self, bytes: usize) {
        self.0.min.store(bytes, Ordering::Relaxed);
    }

    /// What was compressed since this was asked last.
    pub(crate) fn take_bytes(&self) -> DeflatedBytes {
        let DeflateCounts { before, after, .. } = &*self.0;
        let take = |count: &AtomicU64| count.swap(0, Ordering::Relaxed);
        DeflatedBytes { before: take(before), after: take(after) }
    }

    /// Appends one complete message, compressed if it is large enough and becomes smaller.
    pub(super) fn append(&self, body: FrameBody, payload: &[u8], out: &mut Vec<u8>) {
        if payload.len() < self.0.min.load(Ordering::Relaxed) {
            return append_message(body, payload, out);
        }
        SCRATCH.with_borrow_mut(|DeflateScratch { compressor, packed }| {
            packed.clear();
            match compressor.compress(payload, packed) {
                Packing::Compressed => {
                    append_compressed(body, packed, out);
                    self.0.before.fetch_add(payload.len() as u64, Ordering::Relaxed);
                    self.0.after.fetch_add(packed.len() as u64, Ordering::Relaxed);
                }
                Packing::NotSmaller => append_message(body, payload, out),
            }
            if packed.capacity() > KEPT_OUTPUT {
                *packed = Vec::new();
            }
        });
    }
}
