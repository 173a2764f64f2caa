//! Tokens: JWTs (RFC 7519) that name the user of a connection and what it may do, or what it may
//! do in one room. jsonwebtoken checks the signature; header and claims are read here, more strictly.

mod claims;
mod draft;
mod error;
mod header;
mod sign;

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use roomcast_protocol::{RoomName, UserName};

pub use claims::MAX_ROOM_PATTERNS;
pub(crate) use claims::{Claims, read_info, read_rooms};
pub use draft::{RoomWords, RoomWordsError, TokenDraft};
pub use error::{TokenError, TokenOutcome};
use header::TokenHeader;
#[cfg(test)]
pub(crate) use sign::sign_with;
pub use sign::{SignError, sign};

use crate::capability::Capability;
use crate::identity::{AccessIdentity, IdentityLife, RoomPass};
use crate::json::UniqueObject;
use crate::keys::{Candidates, KeyFamily, KeySet, VerifyingKey};
use crate::pattern::RoomGrants;

/// Longest token in bytes: it must fit into the head of a request beside other fields.
pub const MAX_TOKEN_BYTES: usize = 8_192;

/// What the configuration asks of tokens.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TokenRules {
    /// `auth.issuer`: what `iss` must be; `None`: anything.
    pub issuer: Option<String>,
    /// `auth.audience`: what `aud` must contain; `None`: a token with `aud` is refused.
    pub audience: Option<String>,
    /// `auth.leeway`: how far clocks may differ, in milliseconds.
    pub leeway_ms: u64,
    /// `limits.info_bytes`: the largest `info`.
    pub info_bytes: usize,
}

/// Checks a token of a connection at `now` (milliseconds since 1970), and gives the identity of the
/// connection.
pub fn verify_connection(
    token: &str,
    keys: &KeySet,
    rules: &TokenRules,
    now: u64,
) -> Result<AccessIdentity, TokenError> {
    let verified = verify(token, keys, rules, now)?;
    let Claims { user, info, rooms, room, token_id, .. } = verified.claims;
    if room.is_some() {
        return Err(TokenError::RoomToken);
    }
    if info.as_ref().is_some_and(|info| info.len() > rules.info_bytes) {
        return Err(TokenError::InfoTooLong(rules.info_bytes));
    }
    Ok(AccessIdentity {
        grants: rooms.map_or_else(RoomGrants::default, |rooms| rooms.of_user(user.as_str())),
        user: Some(user),
        info,
        life: Some(verified.life),
        token_id,
        key: verified.key,
    })
}

/// Checks a room's own token at `now` (milliseconds since 1970), which came with a `join` of
/// `room` on a connection of `user`.
pub fn verify_room(
    token: &str,
    keys: &KeySet,
    rules: &TokenRules,
    now: u64,
    user: Option<&UserName>,
    room: &RoomName,
) -> Result<RoomPass, TokenError> {
    let verified = verify(token, keys, rules, now)?;
    let claims = verified.claims;
    let named = claims.room.ok_or(TokenError::ConnectionToken)?;
    if claims.rooms.is_some() {
        return Err(TokenError::Claim("rooms"));
    }
    if named != *room {
        return Err(TokenError::OtherRoom);
    }
    if user != Some(&claims.user) {
        return Err(TokenError::OtherUser);
    }
    if !claims.can.has(Capability::Join) {
        return Err(TokenError::MayNotJoin);
    }
    Ok(RoomPass {
        user: claims.user,
        room: named,
        can: claims.can,
        life: verified.life,
        token_id: claims.token_id,
        key: verified.key,
    })
}

/// The header and the claims of a token as JSON texts, without a check of the signature: for
/// showing, never for deciding.
pub fn unverified(token: &str) -> Result<(String, String), TokenError> {
    let parts = TokenParts::split(token)?;
    let text = |part| String::from_utf8(decode(part)?).map_err(|_| TokenError::Malformed);
    Ok((text(parts.header)?, text(parts.claims)?))
}

/// A token whose signature and common claims are good.
struct Verified {
    claims: Claims,
    life: IdentityLife,
    key: Option<Arc<str>>,
}

/// The signature comes first: the claims of a token without a good one are not looked at. Of
/// the claims the end comes last: a token that would be refused with a later end too is bad, not
/// expired.
fn verify(
    token: &str,
    keys: &KeySet,
    rules: &TokenRules,
    now: u64,
) -> Result<Verified, TokenError> {
    if !keys.is_configured() {
        return Err(TokenError::NoKeysConfigured);
    }
    let parts = TokenParts::split(token)?;
    let header = TokenHeader::read(&decode(parts.header)?)?;
    let key = signing_key(&parts, &header, keys)?;
    let object = UniqueObject::parse(&decode(parts.claims)?).ok_or(TokenError::Malformed)?;
    let claims = Claims::read(&object)?;
    claims.check(rules)?;
    if claims.not_before > now.saturating_add(rules.leeway_ms) {
        return Err(TokenError::NotYet);
    }
    let life = IdentityLife {
        expires: claims.expires,
        ends: claims.expires.saturating_add(rules.leeway_ms),
    };
    if now >= life.ends {
        return Err(TokenError::Expired);
    }
    Ok(Verified { claims, life, key: key.log_name() })
}

/// The key that signed the token.
fn signing_key<'a>(
    parts: &TokenParts<'_>,
    header: &TokenHeader,
    keys: &'a KeySet,
) -> Result<&'a VerifyingKey, TokenError> {
    let kid = header.kid.as_deref();
    let signed = |key: &&&VerifyingKey| {
        let message = parts.signed.as_bytes();
        let checked =
            jsonwebtoken::crypto::verify(parts.signature, message, &key.key, header.algorithm);
        matches!(checked, Ok(true))
    };
    let failed = match (keys.candidates(header.algorithm, kid), kid) {
        (Candidates::Try(candidates), _) => match candidates.iter().find(signed) {
            Some(key) => return Ok(key),
            None => TokenError::Signature,
        },
        (Candidates::UnknownName, Some(kid)) => TokenError::UnknownKey(kid.to_owned()),
        (Candidates::UnknownName | Candidates::None, _) => TokenError::NoKey,
    };
    // Without `kid` a key that has not come yet may be the one.
    let may_come =
        kid.is_none() && keys.is_awaited() && !KeyFamily::Secret.serves(header.algorithm);
    Err(if may_come { TokenError::KeysAwaited } else { failed })
}

/// The three parts of a JWS in compact form (RFC 7515, section 7.1).
struct TokenParts<'a> {
    header: &'a str,
    claims: &'a str,
    signature: &'a str,
    /// Header and claims with the dot between them.
    signed: &'a str,
}

impl<'a> TokenParts<'a> {
    fn split(token: &'a str) -> Result<Self, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::TooLong);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(TokenError::Malformed)?;
        if claims.contains('.') {
            return Err(TokenError::Malformed);
        }
        Ok(Self { header, claims, signature, signed })
    }
}

fn decode(part: &str) -> Result<Vec<u8>, TokenError> {
    BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed)
}

#[cfg(test)]
mod tests;
