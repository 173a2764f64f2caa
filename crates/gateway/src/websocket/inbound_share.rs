//! What one connection holds of a worker's bound on bytes that wait.

use std::cell::Cell;
use std::rc::Rc;

/// A connection's share of what a worker holds, in bytes; given back when it is dropped.
#[derive(Debug)]
pub(super) struct InboundShare {
    held: usize,
    all: Rc<Cell<usize>>,
}

impl InboundShare {
    pub(super) fn new(all: &Rc<Cell<usize>>) -> Self {
        Self { held: 0, all: all.clone() }
    }

    /// So many bytes are held now.
    pub(super) fn hold(&mut self, bytes: usize) {
        self.all.set(self.all.get() - self.held + bytes);
        self.held = bytes;
    }
}

impl Drop for InboundShare {
    fn drop(&mut self) {
        self.all.set(self.all.get() - self.held);
    }
}
