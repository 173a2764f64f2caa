//! Signing with a shared secret: for the command that makes tokens, for load and for tests.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};

/// Signing failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("signing failed: {0}")]
pub struct SignError(String);

/// A token with these claims (a JSON object), signed by HS256 with this secret.
pub fn sign(secret: &[u8], claims: &str) -> Result<String, SignError> {
    let key = EncodingKey::from_secret(secret);
    sign_with(&key, Algorithm::HS256, r#"{"alg":"HS256","typ":"JWT"}"#, claims)
}

/// A token with any header and claims.
pub(crate) fn sign_with(
    key: &EncodingKey,
    algorithm: Algorithm,
    header: &str,
    claims: &str,
) -> Result<String, SignError> {
    let part = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    let signed = format!("{}.{}", part(header), part(claims));
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), key, algorithm)
        .map_err(|error| SignError(error.to_string()))?;
    Ok(format!("{signed}.{signature}"))
}
