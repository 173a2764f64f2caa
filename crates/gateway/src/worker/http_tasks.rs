//! Sockets that speak HTTP: each may hold a whole request head until its time-out, so that their
//! number is bounded. Above the bound the one that came first is ended: a handshake takes a round
//! trip, a head that is sent byte by byte takes all the time there is.

use std::collections::VecDeque;

use roomcast_metrics::RefusalReason;
use tokio::task::AbortHandle;

use super::Worker;

/// What a socket may hold beside the head of its request: its task, and buffers.
const SOCKET_BYTES: usize = 12 * 1024;

/// Tasks of sockets that are not WebSockets yet, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct HttpTasks {
    tasks: VecDeque<AbortHandle>,
    /// Above so many, those that ended are looked for: their memory is kept until then.
    sweep_above: usize,
}

impl HttpTasks {
    /// Adds one. Of more than `most` the oldest are ended; returns how many.
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
    pub(crate) fn note_http_task(&self, task: AbortHandle) {
        let settings = self.settings.borrow();
        let each = SOCKET_BYTES + settings.http.max_header_bytes;
        let most = (settings.limits.handshake_bytes / each).max(1);
        let ended = self.http_tasks.borrow_mut().add(task, most);
        self.metrics.connections.refused[RefusalReason::Limit].inc_by(ended as u64);
    }
}

#[cfg(test)]
mod tests;
