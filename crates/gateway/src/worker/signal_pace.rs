//! Signals of a room go to its members at most once every 5 ms. The first goes at once; what comes
//! sooner after it waits, so that a busy room costs one system call per member for several signals.
//! Changes of the list and ends of typing do not wait, and take along what does.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::Worker;
use crate::room::Room;

/// Least time between two passes of a room that only signals ask for.
const SIGNAL_PERIOD: Duration = Duration::from_millis(5);

/// Rooms of which signals went out within the period, the first due first.
#[derive(Debug, Default)]
pub(super) struct SignalPace {
    due: VecDeque<(Instant, Rc<Room>)>,
    begun: Rc<Notify>,
}

impl Worker {
    /// Something came for the members of a room: queues a pass, or leaves it to the one that is due.
    pub(super) fn pass_items(&self, room: &Rc<Room>) {
        let mut state = room.state.borrow_mut();
        if !state.waiting_items.is_due() {
            return;
        }
        let begins = state.waiting_items.begin_period();
        drop(state);
        if begins {
            let mut pace = self.signal_pace.borrow_mut();
            pace.due.push_back((Instant::now() + SIGNAL_PERIOD, room.clone()));
            pace.begun.notify_one();
        }
        self.queue_pass(room);
    }

    /// Queues the passes of signals that waited, as long as the node runs.
    pub(crate) async fn run_signal_pace(self: Rc<Self>) {
        let begun = self.signal_pace.borrow().begun.clone();
        loop {
            let first = self.signal_pace.borrow().due.front().map(|(at, _)| *at);
            match first {
                Some(at) => sleep_until(at).await,
                None => begun.notified().await,
            }
            self.end_signal_periods(Instant::now());
        }
    }

    fn end_signal_periods(&self, now: Instant) {
        loop {
            let mut pace = self.signal_pace.borrow_mut();
            let Some((_, room)) = pace.due.pop_front_if(|(at, _)| *at <= now) else { return };
            drop(pace);
            room.state.borrow_mut().waiting_items.end_period();
            self.pass_items(&room);
        }
    }
}
