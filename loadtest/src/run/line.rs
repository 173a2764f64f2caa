//! One client's connection: which node it goes to, how far it has come, and when it tries again
//! after a loss. The same for all peers. Knows no sockets: its owner opens and closes links.

use std::time::Duration;

use crate::engine::LinkId;
use crate::random::Random;

/// Before the first try after a loss: half of it at least, all of it at most. It doubles with each
/// failure.
const PAUSE: Duration = Duration::from_millis(200);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(5);

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Not there, and nothing under way.
    Away,
    /// Connecting and upgrading.
    Opening,
    /// The server is to greet.
    Greeting,
    /// A join is to be answered.
    Joining,
    /// All is done.
    Live,
}

/// One client's connection.
#[derive(Debug)]
pub(super) struct Line {
    /// The node that it is at or goes to.
    pub(super) node: usize,
    pub(super) stage: Stage,
    pub(super) link: Option<LinkId>,
    /// Not read on purpose.
    pub(super) muted: bool,
    /// Tells one try from another.
    pub(super) tries: u32,
    failures: u32,
}

impl Line {
    /// Away, and to begin at this node.
    pub(super) fn new(node: usize) -> Self {
        let (stage, link) = (Stage::Away, None);
        Self { node, stage, link, muted: false, tries: 0, failures: 0 }
    }

    /// A link is being opened.
    pub(super) fn opening(&mut self, link: LinkId) {
        (self.stage, self.link) = (Stage::Opening, Some(link));
        self.tries += 1;
    }

    /// It has come so far.
    pub(super) fn advance(&mut self, stage: Stage) {
        self.stage = stage;
        if stage == Stage::Live {
            self.failures = 0;
        }
    }

    /// The connection is gone: how long to wait before the next try, which goes to another of
    /// `nodes` nodes, as a balancer would send it.
    pub(super) fn lost(&mut self, nodes: usize, random: &mut Random) -> Duration {
        (self.stage, self.link, self.muted) = (Stage::Away, None, false);
        if nodes > 1 {
            self.node = (self.node + 1 + random.index(nodes - 1)) % nodes;
        }
        let ceiling = PAUSE.saturating_mul(1 << self.failures.min(10)).min(LONGEST);
        self.failures += 1;
        ceiling.mul_f64(0.5 + random.below(1 << 20) as f64 / f64::from(1 << 21))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit_and_begin_anew_once_it_was_live() {
        let mut random = Random::new(1);
        let mut line = Line::new(0);
        for ceiling in [200, 400, 800, 1_600, 3_200, 5_000, 5_000] {
            let pause = line.lost(3, &mut random).as_millis();
            assert!((ceiling / 2..=ceiling).contains(&pause), "{pause} of {ceiling}");
        }
        line.advance(Stage::Live);
        assert!(line.lost(3, &mut random) <= PAUSE);
    }

    #[test]
    fn the_next_try_goes_to_another_node() {
        let mut random = Random::new(2);
        for node in 0..3 {
            for _ in 0..20 {
                let mut line = Line::new(node);
                line.lost(3, &mut random);
                assert!(line.node != node && line.node < 3);
            }
        }
        let mut alone = Line::new(0);
        alone.lost(1, &mut random);
        assert_eq!(alone.node, 0);
    }
}
