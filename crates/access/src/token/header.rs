//! A token's header (RFC 7515, section 4). What it says of where to find a key (`jku`, `jwk`,
//! `x5u`, `x5c`) is not read: keys come from the configuration only.

use jsonwebtoken::Algorithm;

use super::TokenError;
use crate::json::UniqueObject;
use crate::keys::MAX_KID_BYTES;

/// What the choice of key needs.
pub(super) struct TokenHeader {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<String>,
}

impl TokenHeader {
    pub(super) fn read(text: &[u8]) -> Result<Self, TokenError> {
        let header = UniqueObject::parse(text).ok_or(TokenError::Malformed)?;
        let alg: String = header.read("alg").ok().flatten().ok_or(TokenError::Malformed)?;
        let algorithm = alg.parse().map_err(|_| TokenError::Algorithm)?;
        // `crit` names extensions that a reader must know (RFC 7515, section 4.1.11); this one
        // knows none. `b64` would change what is signed (RFC 7797).
        if header.raw("crit").is_some() || header.raw("b64").is_some() {
            return Err(TokenError::Critical);
        }
        let kid: Option<String> = header.read("kid").map_err(|_| TokenError::Malformed)?;
        if kid.as_ref().is_some_and(|kid| kid.len() > MAX_KID_BYTES) {
            return Err(TokenError::Malformed);
        }
        Ok(Self { algorithm, kid })
    }
}
