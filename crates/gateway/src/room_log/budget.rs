//! What all logs of the node hold together, in bytes. Batches charge it when they are made and
//! when they are encoded, and give it back when the last reader lets go of them. It also carries how
//! the node compresses what is encoded.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::form::SharedDeflate;

/// A shared count of bytes; clones count together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Budget(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    used: AtomicUsize,
    /// Of those, the bytes of batches that the hub has dropped and workers still hold.
    leaving: AtomicUsize,
    deflate: SharedDeflate,
}

impl Budget {
    /// Bytes that are held now, by the hub or by a worker.
    pub(crate) fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }

    /// Bytes that stay until the hub drops more: without those that only workers still hold.
    pub(crate) fn kept(&self) -> usize {
        self.used().saturating_sub(self.0.leaving.load(Ordering::Relaxed))
    }

    /// How batches are compressed, in the forms that are.
    pub(crate) fn deflate(&self) -> &SharedDeflate {
        &self.0.deflate
    }

    /// Counts bytes that are held from now on.
    pub(crate) fn charge(&self, bytes: usize) {
        self.0.used.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts bytes that are not held any more.
    pub(crate) fn release(&self, bytes: usize) {
        self.0.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(super) fn leave(&self, bytes: usize) {
        self.0.leaving.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn left(&self, bytes: usize) {
        self.0.leaving.fetch_sub(bytes, Ordering::Relaxed);
    }
}
