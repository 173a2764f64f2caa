//! Sockets that speak HTTP. Each may hold a whole request head until its time-out, so their number is
//! bounded. Above the bound the oldest one is ended: a handshake takes one round trip, while a head
//! that is sent byte by byte takes all the time that it is given.

use std::collections::VecDeque;

use roomcast_metrics::RefusalReason;
use tokio::task::AbortHandle;

use super::Worker;

/// Bytes that a socket may hold besides the head of its request: its task and its buffers.
const VISIT_BYTES: usize = 12 * 1024;

/// Tasks of sockets that are not WebSockets yet, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Visits {
    tasks: VecDeque<AbortHandle>,
    /// Above so many, tasks that have ended are removed: their memory is kept until then.
    sweep_above: usize,
}

impl Visits {
    /// Adds a task. If there are more than `most`, the oldest are ended. Returns how many were.
    pub(crate) fn add(&mut self, task: AbortHandle, most: usize) -> usize {
        while self.tasks.front().is_some_and(AbortHandle::is_finished) {
            self.tasks.pop_front();
        }
        self.tasks.push_back(task);
        if self.tasks.len() > self.sweep_above.min(most) {
            self.tasks.retain(|task| !task.is_finished());
            self.sweep_above = 2 * self.tasks.len() + 32;
        }
        let excess = self.tasks.len().saturating_sub(most);
        self.tasks.drain(..excess).for_each(|task| task.abort());
        excess
    }
}

impl Worker {
    /// A socket begins to speak HTTP in this task.
    pub(crate) fn note_visit(&self, task: AbortHandle) {
        let settings = self.settings.borrow();
        let each = VISIT_BYTES + settings.http.max_header_bytes;
        let most = (settings.limits.handshake_bytes / each).max(1);
        let ended = self.visits.borrow_mut().add(task, most);
        self.metrics.connections.refused[RefusalReason::Limit].inc_by(ended as u64);
    }
}

#[cfg(test)]
mod tests;
