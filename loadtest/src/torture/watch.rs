//! Tells of replicas that took over, whatever made them do so: where the whole machine stands still
//! for a second, the servers take each other for dead without any fault of the run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::Duration;

use roomcast_testkit::is_replica;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(200);
/// How long a server may take to answer.
const ANSWER: Duration = Duration::from_millis(300);

/// Looks at the servers' roles until it is dropped.
pub(super) struct Watch {
    told: Receiver<u16>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Watches the servers on these ports.
    pub(super) fn start(ports: Vec<u16>) -> Self {
        let (tell, told) = channel();
        let over = Arc::new(AtomicBool::new(false));
        let until = over.clone();
        let thread = Some(spawn(move || look(&ports, &tell, &until)));
        Self { told, over, thread }
    }

    /// Ports of the servers that took over since this was asked last.
    pub(super) fn news(&self) -> impl Iterator<Item = u16> {
        self.told.try_iter()
    }

    /// Ends it; what it saw last is in its news.
    pub(super) fn finish(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // Without news it knows of nothing.
            let _ = thread.join();
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.finish();
    }
}

fn look(ports: &[u16], tell: &Sender<u16>, over: &AtomicBool) {
    let mut followed = vec![false; ports.len()];
    loop {
        let is_last = over.load(Ordering::SeqCst);
        for (port, followed) in ports.iter().zip(&mut followed) {
            // One that is down or does not answer has no role.
            let Some(follows) = is_replica(*port, ANSWER) else { continue };
            if std::mem::replace(followed, follows) && !follows {
                // Whoever listened has gone: then nobody looks at this either.
                let _ = tell.send(*port);
            }
        }
        if is_last {
            return;
        }
        sleep(LOOK);
    }
}

#[cfg(test)]
mod tests {
    use roomcast_testkit::RedisServer;

    use super::*;

    #[test]
    fn a_replica_that_becomes_a_primary_is_told_once() {
        let primary = RedisServer::start();
        let replica = RedisServer::replica_of(&primary);
        let mut watch = Watch::start(vec![primary.port(), replica.port()]);
        sleep(5 * LOOK);
        assert_eq!(watch.news().count(), 0);
        replica.command(&["REPLICAOF", "NO", "ONE"]);
        watch.finish();
        assert_eq!(watch.news().collect::<Vec<_>>(), [replica.port()]);
    }
}
