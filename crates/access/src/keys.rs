//! The keys that tokens are verified with: those of the configuration and those fetched from a
//! JWKS, and which of them may serve a token.

mod jwk;
mod pem;
mod secret;

use std::sync::Arc;

use jsonwebtoken::{Algorithm, DecodingKey};

pub(crate) use jwk::MAX_KID_BYTES;
pub use jwk::{MAX_JWKS_BYTES, MAX_JWKS_KEYS, read_jwks};
pub use secret::{MAX_SECRETS, MIN_SECRET_BYTES, read_secrets};

/// Keys that are tried for one token without `kid`, and for one name.
pub const MAX_CANDIDATES: usize = 8;
/// The name of `auth.hs_secret` in logs; it has none in tokens.
const SECRET_NAME: &str = "hs_secret";

/// Why bytes give no keys. The texts name what is wrong, never the bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Give at least one secret.
    #[error("there is no secret in it")]
    NoSecret,
    /// Give fewer secrets.
    #[error("there are more than {MAX_SECRETS} secrets in it")]
    TooManySecrets,
    /// Make that secret longer.
    #[error("secret {0} has less than {MIN_SECRET_BYTES} bytes")]
    ShortSecret(usize),
    /// Give the public key or the certificate; a node needs no private key to verify.
    #[error("it holds a private key; give the public key")]
    PrivateKey,
    /// Give a PEM file of a public key, or a JWK, or a JWKS.
    #[error("it is neither PEM nor a JWK nor a JWKS")]
    UnknownForm,
    /// Give RSA of 2,048 to 8,192 bits, EC on P-256 or P-384, or Ed25519.
    #[error(
        "key {0} in it cannot verify tokens: give RSA of 2,048 to 8,192 bits, EC on P-256 or P-384, or Ed25519"
    )]
    UnusableKey(usize),
    /// Give at least one key that verifies signatures.
    #[error("there is no key in it that verifies tokens")]
    NoKey,
    /// Serve a smaller JWKS.
    #[error("the JWKS has more than {MAX_JWKS_BYTES} bytes")]
    TooLong,
    /// Serve fewer keys.
    #[error("the JWKS has more than {MAX_JWKS_KEYS} keys that verify tokens")]
    TooManyKeys,
}

/// What a key is, and so which algorithms it can serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyFamily {
    Secret,
    Rsa,
    P256,
    P384,
    Ed25519,
}

impl KeyFamily {
    /// Whether a key of this family can verify the algorithm.
    pub(crate) fn serves(self, algorithm: Algorithm) -> bool {
        use Algorithm::{ES256, ES384, EdDSA, HS256, HS384, HS512};
        use Algorithm::{PS256, PS384, PS512, RS256, RS384, RS512};
        match algorithm {
            HS256 | HS384 | HS512 => self == Self::Secret,
            RS256 | RS384 | RS512 | PS256 | PS384 | PS512 => self == Self::Rsa,
            ES256 => self == Self::P256,
            ES384 => self == Self::P384,
            EdDSA => self == Self::Ed25519,
            // A later version of the library may know more; until it is looked at, none serves it.
            _ => false,
        }
    }
}

/// One key that verifies signatures.
#[derive(Debug, Clone)]
pub struct VerifyingKey {
    pub(crate) name: Option<Arc<str>>,
    pub(crate) family: KeyFamily,
    /// The only algorithm it may serve; `None`: all of its family.
    pub(crate) only: Option<Algorithm>,
    pub(crate) key: DecodingKey,
}

impl VerifyingKey {
    /// Its name: the `kid` of its JWK or that of its file.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whether it may verify a token of this algorithm.
    pub(crate) fn serves(&self, algorithm: Algorithm) -> bool {
        self.family.serves(algorithm) && self.only.is_none_or(|only| only == algorithm)
    }

    /// The name for logs.
    pub(crate) fn log_name(&self) -> Option<Arc<str>> {
        let unnamed = || (self.family == KeyFamily::Secret).then(|| SECRET_NAME.into());
        self.name.clone().or_else(unnamed)
    }
}

/// Reads a key file: PEM (public keys and certificates), a JWK or a JWKS. Keys without a name of
/// their own get `file`, the file's name without its extension.
pub fn read_key_file(file: &str, bytes: &[u8]) -> Result<Vec<VerifyingKey>, KeyError> {
    match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{') => jwk::read_file(file, bytes),
        _ => pem::read(file, bytes),
    }
}

/// The keys of a JWKS address.
#[derive(Debug, Clone, Default)]
pub enum RemoteKeys {
    /// No address is configured.
    #[default]
    None,
    /// None came yet.
    Awaited,
    /// The last that came.
    Fetched(Arc<[VerifyingKey]>),
}

/// All keys of a node.
#[derive(Debug, Clone, Default)]
pub struct KeySet {
    configured: Vec<VerifyingKey>,
    remote: RemoteKeys,
}

/// The keys that may have signed a token.
#[derive(Debug)]
pub(crate) enum Candidates<'a> {
    /// Try these. There is at least one.
    Try(Vec<&'a VerifyingKey>),
    /// No key will do.
    None,
    /// No key has this name; the JWKS may bring it.
    UnknownName,
}

impl KeySet {
    /// A set of the configuration's keys, secrets among them, and the state of the JWKS.
    pub fn new(configured: Vec<VerifyingKey>, remote: RemoteKeys) -> Self {
        Self { configured, remote }
    }

    /// The same configured keys with another state of the JWKS.
    pub fn with_remote(&self, remote: RemoteKeys) -> Self {
        Self { configured: self.configured.clone(), remote }
    }

    /// Whether authentication is configured: any source of keys is.
    pub fn is_configured(&self) -> bool {
        !self.configured.is_empty() || !matches!(self.remote, RemoteKeys::None)
    }

    /// Whether a JWKS is configured that has not come yet.
    pub fn is_awaited(&self) -> bool {
        matches!(self.remote, RemoteKeys::Awaited)
    }

    /// The keys that may verify a token of this algorithm and `kid`.
    pub(crate) fn candidates(&self, algorithm: Algorithm, kid: Option<&str>) -> Candidates<'_> {
        let fetched: &[VerifyingKey] = match &self.remote {
            RemoteKeys::Fetched(keys) => keys,
            RemoteKeys::None | RemoteKeys::Awaited => &[],
        };
        let all = || self.configured.iter().chain(fetched);
        let fitting = all().filter(|key| key.serves(algorithm));
        let chosen: Vec<_> = match kid {
            None => fitting.take(MAX_CANDIDATES).collect(),
            Some(kid) => {
                let named = fitting.clone().filter(|key| key.name() == Some(kid));
                let unnamed =
                    |key: &&VerifyingKey| key.name.is_none() && key.family == KeyFamily::Secret;
                let secrets = fitting.filter(unnamed);
                named.take(MAX_CANDIDATES).chain(secrets.take(MAX_SECRETS)).collect()
            }
        };
        let may_come = !matches!(self.remote, RemoteKeys::None)
            && !KeyFamily::Secret.serves(algorithm)
            && kid.is_some_and(|kid| !all().any(|key| key.name() == Some(kid)));
        match chosen.is_empty() {
            false => Candidates::Try(chosen),
            true if may_come => Candidates::UnknownName,
            true => Candidates::None,
        }
    }
}

#[cfg(test)]
mod tests;
