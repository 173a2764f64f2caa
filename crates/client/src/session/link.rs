//! The one connection, as the session sees it, and its timers.

use std::time::{Duration, Instant};

use roomcast_protocol::{Heartbeat, Limits};

use super::SETTLE;

/// Where the connection stands.
#[derive(Debug)]
pub(super) enum Link {
    /// None; the next try begins then.
    Waiting { until: Instant },
    /// The driver is opening one, or `connected` has not come yet.
    Opening { deadline: Instant },
    /// The node said `connected`.
    Live(Live),
    /// None, and none will be.
    Ended,
}

/// A connection that the node has accepted.
#[derive(Debug)]
pub(super) struct Live {
    /// When the node said `connected`.
    pub(super) since: Instant,
    /// When something last came; `None` while nothing is read.
    heard: Option<Instant>,
    /// After this long without anything the node is dead; `None` if it has no heartbeat.
    silence: Option<Duration>,
    pub(super) limits: Limits,
    moving: Moving,
}

/// Whether the node asked the client to move.
#[derive(Debug, Clone, Copy)]
enum Moving {
    No,
    /// Not yet.
    At(Instant),
    /// Nothing new is sent; what was sent may be answered until then.
    Settling {
        until: Instant,
    },
}

impl Live {
    pub(super) fn new(now: Instant, heartbeat: Heartbeat, limits: Limits) -> Self {
        let silence = Duration::from_millis(heartbeat.timeout_ms);
        let silence = (!silence.is_zero()).then_some(silence);
        Self { since: now, heard: Some(now), silence, limits, moving: Moving::No }
    }

    /// When the node counts as dead if nothing comes.
    pub(super) fn dead_at(&self) -> Option<Instant> {
        Some(self.heard? + self.silence?)
    }
}

impl Link {
    pub(super) fn live(&self) -> Option<&Live> {
        match self {
            Self::Live(live) => Some(live),
            _ => None,
        }
    }

    /// Whether new requests may be sent.
    pub(super) fn sends(&self) -> bool {
        self.live().is_some_and(|live| !matches!(live.moving, Moving::Settling { .. }))
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        match self {
            Self::Waiting { until } => Some(*until),
            Self::Opening { deadline } => Some(*deadline),
            Self::Live(live) => match live.moving {
                Moving::No => live.dead_at(),
                Moving::At(until) | Moving::Settling { until } => {
                    Some(live.dead_at().map_or(until, |dead_at| dead_at.min(until)))
                }
            },
            Self::Ended => None,
        }
    }

    pub(super) fn heard(&mut self, now: Instant) {
        if let Self::Live(live) = self {
            live.heard = Some(now);
        }
    }

    pub(super) fn paused(&mut self) {
        if let Self::Live(live) = self {
            live.heard = None;
        }
    }

    /// The node wants the client gone at `at`. The earliest wish counts.
    pub(super) fn move_at(&mut self, at: Instant) {
        if let Self::Live(live) = self {
            live.moving = match live.moving {
                Moving::No => Moving::At(at),
                Moving::At(earlier) => Moving::At(earlier.min(at)),
                settling => settling,
            };
        }
    }

    /// Whether the time to move has come and no answer is worth waiting for.
    pub(super) fn settled(&mut self, now: Instant, expects_answers: bool) -> bool {
        let Self::Live(live) = self else { return false };
        if let Moving::At(at) = live.moving
            && at <= now
        {
            live.moving = Moving::Settling { until: now + SETTLE };
        }
        match live.moving {
            Moving::Settling { until } => !expects_answers || until <= now,
            _ => false,
        }
    }
}
