//! What is to happen when, in one load process: a queue by time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use roomcast_protocol::RequestId;

/// One thing to do for a client, named by its place in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Task {
    /// Open its connection.
    Open(usize),
    /// Give up a connection that is not live yet, if it is still this try.
    GiveUp(usize, u32),
    /// Leave, and come back at once, elsewhere.
    Leave(usize),
    /// Read no more.
    Mute(usize),
    /// Read on.
    Wake(usize),
    /// Publish a message again.
    Repeat(usize, RequestId),
    /// Let any client leave, and plan the next one's leave.
    Churn,
}

/// Tasks, by their moments.
#[derive(Debug, Default)]
pub(super) struct Agenda(BinaryHeap<Reverse<(Instant, Task)>>);

impl Agenda {
    /// Plans a task.
    pub(super) fn at(&mut self, when: Instant, task: Task) {
        self.0.push(Reverse((when, task)));
    }

    /// The next task whose moment has come.
    pub(super) fn due(&mut self, now: Instant) -> Option<(Instant, Task)> {
        let Reverse((when, _)) = self.0.peek()?;
        (*when <= now).then(|| self.0.pop()).flatten().map(|Reverse(next)| next)
    }

    /// The moment of the next task.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.peek().map(|Reverse((when, _))| *when)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn tasks_come_in_the_order_of_their_moments() {
        let now = Instant::now();
        let later = now + Duration::from_secs(5);
        let mut agenda = Agenda::default();
        agenda.at(later, Task::Open(1));
        agenda.at(now, Task::Open(2));
        assert_eq!(agenda.due(now), Some((now, Task::Open(2))));
        assert_eq!((agenda.due(now), agenda.next()), (None, Some(later)));
        assert_eq!(agenda.due(later), Some((later, Task::Open(1))));
    }
}
