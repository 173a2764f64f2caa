//! Why a token is refused, and what that means for the client.

use super::MAX_TOKEN_BYTES;

/// Why a token is refused. The text goes to the client as `detail`. It names settings and claims,
/// and holds nothing of the token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Configure a source of keys, or present no token.
    #[error(
        "no keys are configured on this node: set auth.hs_secret, auth.hs_secret_file, auth.keys or auth.jwks_url"
    )]
    NoKeysConfigured,
    /// Send a JWT in its compact form.
    #[error(
        "the token is no JWT, or a field of its header is missing, comes twice or has another shape"
    )]
    Malformed,
    /// Put less into the token.
    #[error("the token has more than {MAX_TOKEN_BYTES} bytes")]
    TooLong,
    /// Put less into `info`.
    #[error("the claim `info` has more than {0} bytes (limits.info_bytes)")]
    InfoTooLong(usize),
    /// Sign with an algorithm of the documents.
    #[error("this node does not take the token's algorithm")]
    Algorithm,
    /// Leave `crit` and `b64` out of the header.
    #[error(
        "the token's header asks for an extension (`crit`, `b64`) that this node does not know"
    )]
    Critical,
    /// Sign with a key that the node has.
    #[error(
        "no key of this node serves the token's `alg` and `kid` (auth.hs_secret, auth.keys, auth.jwks_url)"
    )]
    NoKey,
    /// Ask the JWKS: it may have a key of this name by now. If it has none the token is bad.
    #[error("no key of this node has the token's `kid` (auth.keys, auth.jwks_url)")]
    UnknownKey(String),
    /// Come back when the first JWKS has come.
    #[error("the keys of auth.jwks_url have not come yet")]
    KeysAwaited,
    /// Sign with the right key.
    #[error("the token's signature does not fit")]
    Signature,
    /// Give the claim the shape of the documents.
    #[error("the claim `{0}` has another shape than this node takes")]
    Claim(&'static str),
    /// Add the claim.
    #[error("the claim `{0}` is missing")]
    MissingClaim(&'static str),
    /// Take the issuer that the node is configured for.
    #[error("the claim `iss` is not what auth.issuer says")]
    Issuer,
    /// Take the audience that the node is configured for.
    #[error("the claim `aud` does not contain what auth.audience says")]
    Audience,
    /// Set the audience in the configuration, or leave the claim out.
    #[error("the token has the claim `aud`, and auth.audience is not set on this node")]
    UnexpectedAudience,
    /// Wait, or correct the clocks.
    #[error("the token is not valid yet (`nbf`; auth.leeway allows for clocks that differ)")]
    NotYet,
    /// Take a new token.
    #[error("the token has expired (`exp`)")]
    Expired,
    /// Present it with a `join` of its room.
    #[error("a token with the claim `room` is for a join of that room only")]
    RoomToken,
    /// Present a token with the claim `room`.
    #[error("a token without the claim `room` is for connections, not for a join")]
    ConnectionToken,
    /// Present the token of this room.
    #[error("the token is for another room")]
    OtherRoom,
    /// Present a token of the connection's user.
    #[error("the token is another user's than the connection")]
    OtherUser,
    /// Present a token whose `can` has `join`.
    #[error("the capability \"join\" is missing in the room's token")]
    MayNotJoin,
}

/// What a refusal means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenOutcome {
    /// `bad_token`: the same token will not do later either.
    Bad,
    /// `expired_token`: come back with a new one. In answers to frames it is `bad_token`.
    Expired,
    /// `forbidden`: the token is good and lacks the capability.
    Forbidden,
    /// Ask the state of the JWKS by the name in `UnknownKey`.
    AskJwks,
    /// `not_ready`.
    NotReady,
}

impl TokenError {
    /// What it means for the client.
    pub fn outcome(&self) -> TokenOutcome {
        match self {
            Self::Expired => TokenOutcome::Expired,
            Self::MayNotJoin => TokenOutcome::Forbidden,
            Self::UnknownKey(_) => TokenOutcome::AskJwks,
            Self::KeysAwaited => TokenOutcome::NotReady,
            _ => TokenOutcome::Bad,
        }
    }
}
