//! The one connection, as the session sees it, and its timers.

use std::time::{Duration, Instant};

use roomcast_protocol::{Heartbeat, Limits};

use super::SETTLE_TIME;

/// Where the connection stands.
#[derive(Debug)]
pub(super) enum SessionLink {
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
    /// Another connection is being opened beside this one, which goes on as before.
    Preparing {
        until: Instant,
    },
    /// Nothing new is sent; what was sent may be answered until then.
    Settling {
        until: Instant,
        is_prepared: bool,
    },
}

/// What a move needs next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Stay,
    /// Open another connection.
    Prepare,
    /// Leave this one, for the other if there is one.
    Move {
        is_prepared: bool,
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

impl SessionLink {
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
                Moving::At(until)
                | Moving::Preparing { until }
                | Moving::Settling { until, .. } => {
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
                begun => begun,
            };
        }
    }

    /// What has become of the connection beside this one.
    pub(super) fn prepared(&mut self, now: Instant, is_open: bool) {
        if let Self::Live(live) = self {
            live.moving = match live.moving {
                Moving::Preparing { .. } => {
                    Moving::Settling { until: now + SETTLE_TIME, is_prepared: is_open }
                }
                Moving::Settling { until, .. } => Moving::Settling { until, is_prepared: is_open },
                still => still,
            };
        }
    }

    /// What is due of a move. It is made once no answer is worth waiting for any more.
    pub(super) fn step(&mut self, now: Instant, expects_answers: bool) -> Step {
        let Self::Live(live) = self else { return Step::Stay };
        match live.moving {
            Moving::At(at) if at <= now => {
                live.moving = Moving::Preparing { until: now + SETTLE_TIME };
                Step::Prepare
            }
            Moving::Preparing { until } if until <= now => {
                live.moving = Moving::Settling { until: now + SETTLE_TIME, is_prepared: false };
                Step::Stay
            }
            Moving::Settling { until, is_prepared } if !expects_answers || until <= now => {
                Step::Move { is_prepared }
            }
            _ => Step::Stay,
        }
    }
}
