//! Waiting for what servers do in their own time.

use std::thread;
use std::time::{Duration, Instant};

/// Many times what a failover takes on a busy machine.
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);

/// Returns once the condition holds; panics, naming what was waited for, if it never does.
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + WAIT_TIMEOUT;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        thread::sleep(PAUSE);
    }
}
