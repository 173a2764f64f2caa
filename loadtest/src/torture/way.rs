//! One client's connection and its replacements: it opens, pings, judges silence, and goes to
//! another address when it was lost. Whose it is and what its frames mean is its owner's business.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use roomcast_protocol::{ClientFrame, RequestId, ServerFrame};

use super::renewal::ThinRenewal;
use crate::dialect::{Dialect, WireEncoding};
use crate::door::Door;
use crate::engine::{Engine, LinkId};
use crate::random::Random;
use crate::server::Kind;

/// From the connect to `connected`.
const OPEN: Duration = Duration::from_secs(3);
/// Between two pings.
const PING: Duration = Duration::from_secs(1);
/// A node from which nothing came for so long is taken for dead.
const SILENCE: Duration = Duration::from_secs(4);
/// The shortest and the longest pause before another try, in ms.
const PAUSE: (u64, u64) = (30, 300);
/// Pings have this id, and new tokens the next; other requests take theirs from 1 on.
const PING_ID: RequestId = 1 << 50;
const REFRESH_ID: RequestId = PING_ID + 1;

/// A connection that comes back.
#[derive(Debug)]
pub(super) struct Way {
    addrs: Rc<[SocketAddr]>,
    door: Arc<Door>,
    encoding: WireEncoding,
    user: String,
    state: State,
    /// Pongs of this connection: how many seconds it has been alive.
    pub(super) pongs: u64,
    renewal: ThinRenewal,
    /// The number of the node that it was last at, counted from 0.
    pub(super) node: Option<usize>,
}

#[derive(Debug)]
enum State {
    Waiting {
        until: Instant,
    },
    Opening {
        link: LinkId,
        deadline: Instant,
    },
    Live {
        link: LinkId,
        heard: Instant,
        pinged: Instant,
        /// When the node asked it to move to another.
        moves: Option<Instant>,
    },
    /// Not read for a while, on purpose.
    Muted {
        link: LinkId,
    },
}

/// What a tick or a frame came to.
#[derive(Debug)]
pub(super) enum Turn {
    /// Nothing for the owner.
    None,
    /// It opens: frames of this link are its.
    Opening(LinkId),
    /// It is up: requests may be sent.
    Up,
    /// It was lost after it was up.
    Down,
    /// A frame for the owner.
    Frame(ServerFrame),
}

impl Way {
    /// A way to any of these addresses, not open yet.
    pub(super) fn new(
        (addrs, door): (Rc<[SocketAddr]>, Arc<Door>),
        encoding: WireEncoding,
        user: String,
    ) -> Self {
        let state = State::Waiting { until: Instant::now() };
        let renewal = ThinRenewal::default();
        Self { addrs, door, encoding, user, state, pongs: 0, renewal, node: None }
    }

    /// How it talks.
    pub(super) fn encoding(&self) -> WireEncoding {
        self.encoding
    }

    /// Whether requests may be sent.
    pub(super) fn is_live(&self) -> bool {
        matches!(self.state, State::Live { .. })
    }

    /// Does what is due.
    pub(super) fn tick(&mut self, engine: &mut Engine, random: &mut Random, now: Instant) -> Turn {
        match self.state {
            State::Waiting { until } if until <= now => {
                let dialect = self.dialect(self.addrs[random.index(self.addrs.len())]);
                match engine.open_as(dialect.addr, &dialect.request_as(&self.user), &self.user) {
                    Ok(link) => {
                        self.state = State::Opening { link, deadline: now + OPEN };
                        Turn::Opening(link)
                    }
                    Err(_) => self.wait(random, now),
                }
            }
            State::Opening { link, deadline } if deadline <= now => {
                engine.reset(link);
                self.wait(random, now)
            }
            State::Live { heard, moves, .. }
                if heard + SILENCE <= now || moves.is_some_and(|moves| moves <= now) =>
            {
                self.cut(engine, random, now)
            }
            State::Live { .. } if self.renewal.begin(now) => {
                self.renew(engine);
                Turn::None
            }
            State::Live { ref mut pinged, .. } if *pinged + PING <= now => {
                *pinged = now;
                self.send(engine, &ClientFrame::Ping { id: Some(PING_ID) });
                Turn::None
            }
            _ => Turn::None,
        }
    }

    /// Takes in a frame of its link.
    pub(super) fn frame(&mut self, payload: &[u8], now: Instant) -> Result<Turn> {
        let frame = self.dialect(self.addrs[0]).decode(payload)?;
        if let State::Live { heard, .. } = &mut self.state {
            *heard = now;
        }
        Ok(match (frame, &mut self.state) {
            (ServerFrame::Connected { node, time, expires, .. }, State::Opening { link, .. }) => {
                self.renewal.ends(now, expires, time);
                self.state = State::Live { link: *link, heard: now, pinged: now, moves: None };
                self.pongs = 0;
                let number = node.as_str().strip_prefix('n').and_then(|text| text.parse().ok());
                self.node = number.map(|number: usize| number.saturating_sub(1));
                Turn::Up
            }
            (ServerFrame::Reconnect { after_ms, .. }, State::Live { moves, .. }) => {
                *moves = Some(now + Duration::from_millis(after_ms));
                Turn::None
            }
            (ServerFrame::Refreshed { time, expires, .. }, _) => {
                self.renewal.ends(now, Some(expires), time);
                self.renewal.taken += 1;
                Turn::None
            }
            (ServerFrame::Error { id: Some(REFRESH_ID), code, message, .. }, _) => {
                bail!("a new token was answered {}: {message}", code.as_str())
            }
            (ServerFrame::Pong { .. }, _) => {
                self.pongs += 1;
                Turn::None
            }
            (frame, _) => Turn::Frame(frame),
        })
    }

    /// Tokens that nodes took on its live connections.
    pub(super) fn renewed(&self) -> u64 {
        self.renewal.taken
    }

    /// Sends a new token. One that cannot be made is missed at the old one's end.
    fn renew(&self, engine: &mut Engine) {
        if let Ok(Some(token)) = self.door.badge.token(&self.user) {
            let (id, token) = (Some(REFRESH_ID), token.into());
            self.send(engine, &ClientFrame::Refresh { id, token });
        }
    }

    /// Its link ended.
    pub(super) fn ended(&mut self, random: &mut Random, now: Instant) -> Turn {
        let was_up = matches!(self.state, State::Live { .. } | State::Muted { .. });
        self.wait(random, now);
        if was_up { Turn::Down } else { Turn::None }
    }

    /// Gives its connection up, with a reset.
    pub(super) fn cut(&mut self, engine: &mut Engine, random: &mut Random, now: Instant) -> Turn {
        if let Some(link) = self.link() {
            engine.reset(link);
        }
        self.ended(random, now)
    }

    /// Reads no more until `wake`; false if it is not up.
    pub(super) fn mute(&mut self, engine: &mut Engine) -> bool {
        let State::Live { link, .. } = self.state else { return false };
        if engine.mute(link).is_err() {
            return false;
        }
        self.state = State::Muted { link };
        true
    }

    /// Reads on; what happened meanwhile comes now.
    pub(super) fn wake(&mut self, engine: &mut Engine, random: &mut Random, now: Instant) -> Turn {
        let State::Muted { link } = self.state else { return Turn::None };
        self.state = State::Live { link, heard: now, pinged: now, moves: None };
        if engine.wake(link).is_err() {
            return self.cut(engine, random, now);
        }
        Turn::None
    }

    /// Sends a frame, if it is up. A link that takes it no more is about to be told as ended.
    pub(super) fn send(&self, engine: &mut Engine, frame: &ClientFrame) {
        self.send_bytes(engine, &self.bytes_of(frame));
    }

    /// A frame as `send_bytes` takes it.
    pub(super) fn bytes_of(&self, frame: &ClientFrame) -> Vec<u8> {
        self.dialect(self.addrs[0]).frame(frame)
    }

    /// Sends frames that were encoded before.
    pub(super) fn send_bytes(&self, engine: &mut Engine, bytes: &[u8]) {
        if let State::Live { link, .. } = self.state {
            // Its end comes as an arrival, or as silence.
            let _ = engine.send(link, bytes);
        }
    }

    /// Opens no connection before this time, if it has none.
    pub(super) fn rest(&mut self, until: Instant) {
        if let State::Waiting { .. } = self.state {
            self.state = State::Waiting { until };
        }
    }

    fn link(&self) -> Option<LinkId> {
        match self.state {
            State::Waiting { .. } => None,
            State::Opening { link, .. } | State::Live { link, .. } | State::Muted { link } => {
                Some(link)
            }
        }
    }

    fn wait(&mut self, random: &mut Random, now: Instant) -> Turn {
        let pause = Duration::from_millis(random.between(PAUSE.0, PAUSE.1));
        self.state = State::Waiting { until: now + pause };
        Turn::None
    }

    fn dialect(&self, addr: SocketAddr) -> Dialect {
        let door = Arc::clone(&self.door);
        Dialect { kind: Kind::Node, encoding: self.encoding, addr, door }
    }
}
