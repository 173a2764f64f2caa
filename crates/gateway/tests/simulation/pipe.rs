//! A socket in memory: what the node wrote and the client has not read, up to a capacity.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::rc::Rc;

/// Both ends of a socket; clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Pipe {
    bytes: Rc<RefCell<VecDeque<u8>>>,
    capacity: usize,
}

impl Pipe {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { bytes: Rc::default(), capacity }
    }

    /// Takes as much as it has space for, as a kernel does.
    pub(crate) fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut bytes = self.bytes.borrow_mut();
        let before = bytes.len();
        for slice in slices {
            let space = self.capacity - bytes.len();
            bytes.extend(&slice[..slice.len().min(space)]);
        }
        match bytes.len() - before {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            written => Ok(written),
        }
    }

    /// Reads up to `count` bytes.
    pub(crate) fn read(&self, count: usize) -> Vec<u8> {
        let mut bytes = self.bytes.borrow_mut();
        let count = count.min(bytes.len());
        bytes.drain(..count).collect()
    }
}
