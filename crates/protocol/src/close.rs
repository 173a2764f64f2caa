//! Close codes: the RFC 6455 ones and ours. Ours tell by their range whether to come back:
//! 3000–3499 and 4000–4499 yes, 3500–3999 and 4500–4999 no.

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseCode {
    /// 1000: the client closed.
    Normal,
    /// 1001: the node is going away for good.
    GoingAway,
    /// 1002: broken WebSocket framing.
    Protocol,
    /// 1003: a text frame on a binary subprotocol, or the reverse.
    Unsupported,
    /// 1007: text that is no UTF-8.
    BadUtf8,
    /// 1007: a compressed message that does not inflate.
    BadDeflate,
    /// 1008: too many broken frames, or a message that took too long to arrive.
    Policy,
    /// 1009: a message above the limit.
    TooBig,
    /// 1011: a fault of the node's own.
    Internal,
    /// 1012: the node drains; come back, to any node.
    Restart,
    /// 1013: the node has too much to do; come back later.
    TryAgain,
    /// 4000: the connection read too slowly; come back and resume.
    Slow,
    /// 4001: nothing came from the connection for the heartbeat's time-out.
    Dead,
    /// 4002: no frame but `ping` came for `idle_timeout`.
    Idle,
    /// 4003: the connection kept sending above `frames` or `inbound_rate`.
    RateLimited,
    /// 4100: the token has ended; come back with a new one.
    Expired,
    /// 4501: the user, the token or the network is banned.
    Banned,
    /// 4502: a backend ended the connection.
    Disconnected,
    /// 4503: another connection of the same user and `client` took its place.
    Replaced,
}

impl CloseCode {
    /// Every code, for tables, metrics and tests.
    pub const ALL: [Self; 19] = [
        Self::Normal,
        Self::GoingAway,
        Self::Protocol,
        Self::Unsupported,
        Self::BadUtf8,
        Self::BadDeflate,
        Self::Policy,
        Self::TooBig,
        Self::Internal,
        Self::Restart,
        Self::TryAgain,
        Self::Slow,
        Self::Dead,
        Self::Idle,
        Self::RateLimited,
        Self::Expired,
        Self::Banned,
        Self::Disconnected,
        Self::Replaced,
    ];

    /// The number in the Close frame.
    pub const fn code(self) -> u16 {
        match self {
            Self::Normal => 1000,
            Self::GoingAway => 1001,
            Self::Protocol => 1002,
            Self::Unsupported => 1003,
            Self::BadUtf8 | Self::BadDeflate => 1007,
            Self::Policy => 1008,
            Self::TooBig => 1009,
            Self::Internal => 1011,
            Self::Restart => 1012,
            Self::TryAgain => 1013,
            Self::Slow => 4000,
            Self::Dead => 4001,
            Self::Idle => 4002,
            Self::RateLimited => 4003,
            Self::Expired => 4100,
            Self::Banned => 4501,
            Self::Disconnected => 4502,
            Self::Replaced => 4503,
        }
    }

    /// The reason that goes with the number, and the label in metrics: one word.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::GoingAway => "going_away",
            Self::Protocol => "protocol",
            Self::Unsupported => "unsupported",
            Self::BadUtf8 => "bad_utf8",
            Self::BadDeflate => "bad_deflate",
            Self::Policy => "policy",
            Self::TooBig => "too_big",
            Self::Internal => "internal",
            Self::Restart => "restart",
            Self::TryAgain => "try_again",
            Self::Slow => "slow",
            Self::Dead => "dead",
            Self::Idle => "idle",
            Self::RateLimited => "rate_limited",
            Self::Expired => "expired",
            Self::Banned => "banned",
            Self::Disconnected => "disconnected",
            Self::Replaced => "replaced",
        }
    }

    /// Whether a client that was closed with this number should connect again.
    pub const fn reconnects(code: u16) -> bool {
        !matches!(code, 1002 | 1003 | 1007 | 1008 | 1009 | 3500..=3999 | 4500..=4999)
    }
}
