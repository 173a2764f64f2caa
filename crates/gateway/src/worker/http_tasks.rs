//! Sockets that speak HTTP: each may hold a whole request head until its time-out, so that their
//! number is bounded. Above the bound one that has made no progress is ended, the oldest first: a
//! handshake takes a round trip, a head that is sent byte by byte takes all the time there is.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use roomcast_metrics::RefusalReason;
use tokio::task::AbortHandle;

use super::Worker;

/// What a socket may hold beside the head of its request: its task, and buffers.
const SOCKET_BYTES: usize = 12 * 1024;
/// What a socket that speaks TLS may hold besides: its session, and a record in each direction.
const TLS_BYTES: usize = 40 * 1024;

/// Tasks of sockets that are not WebSockets yet.
#[derive(Debug, Default)]
pub(crate) struct HttpTasks {
    /// In the order in which they came or were last found to have made progress.
    tasks: VecDeque<HttpTask>,
    /// Above so many, those that ended are looked for: their memory is kept until then.
    sweep_above: usize,
}

#[derive(Debug)]
struct HttpTask {
    handle: AbortHandle,
    /// Grows with each stage of the socket's requests.
    progress: Arc<AtomicU64>,
    /// The progress when it was last looked at.
    seen: u64,
}

impl HttpTasks {
    /// Adds one. If there are more than `most` then, the first that made no progress since it was
    /// last looked at are ended; if all did, the first. Returns how many.
    pub(crate) fn add(
        &mut self,
        handle: AbortHandle,
        progress: Arc<AtomicU64>,
        most: usize,
    ) -> usize {
        while self.tasks.front().is_some_and(|task| task.handle.is_finished()) {
            self.tasks.pop_front();
        }
        if self.tasks.len() >= self.sweep_above.min(most) {
            self.tasks.retain(|task| !task.handle.is_finished());
            self.sweep_above = 2 * self.tasks.len() + 32;
        }
        let (mut ended, mut spared) = (0, 0);
        while self.tasks.len() >= most
            && let Some(mut task) = self.tasks.pop_front()
        {
            let progress = task.progress.load(Ordering::Relaxed);
            if progress != task.seen && spared < most {
                task.seen = progress;
                spared += 1;
                self.tasks.push_back(task);
            } else {
                task.handle.abort();
                ended += 1;
            }
        }
        let seen = progress.load(Ordering::Relaxed);
        self.tasks.push_back(HttpTask { handle, progress, seen });
        ended
    }
}

impl Worker {
    /// A socket begins to speak HTTP in this task; `progress` grows with each stage of its requests.
    pub(crate) fn note_http_task(&self, task: AbortHandle, progress: Arc<AtomicU64>) {
        let settings = self.settings.borrow();
        let tls = if settings.tls.is_some() { TLS_BYTES } else { 0 };
        let each = SOCKET_BYTES + tls + settings.http.max_header_bytes;
        let most = (settings.limits.handshake_bytes / each).max(1);
        let ended = self.http_tasks.borrow_mut().add(task, progress, most);
        self.metrics.connections.refused[RefusalReason::Limit].inc_by(ended as u64);
    }
}

#[cfg(test)]
mod tests;
