//! JWK and JWKS (RFC 7517): which of their keys verify tokens, and with which algorithms. Members
//! that point elsewhere (`jku`, `x5u`) are not read.

use std::sync::Arc;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey,
    VerificationAlgorithm,
};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::value::RawValue;

use super::{KeyError, KeyFamily, VerifyingKey};
use crate::json::UniqueObject;

/// Largest JWKS in bytes: 64 RSA keys of 8,192 bits with certificates.
pub const MAX_JWKS_BYTES: usize = 512 * 1024;
/// How many keys of a JWKS may verify tokens.
pub const MAX_JWKS_KEYS: usize = 64;

/// The bytes of an RSA modulus: 2,048 to 8,192 bits.
const RSA_MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=1_024;
/// Longest RSA exponent in bytes: aws-lc takes 33 bits.
const MAX_RSA_EXPONENT_BYTES: usize = 5;
/// Longest `kid` in bytes: a SHA-512 thumbprint in hex, or a URL.
pub(crate) const MAX_KID_BYTES: usize = 256;

/// Where a JWK comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum JwkSource {
    /// A file of the operator.
    File,
    /// The network: a secret there is none.
    Remote,
}

/// Reads a JWKS that was fetched. Keys that cannot verify tokens are left out: secrets (`oct`),
/// keys for encryption, unknown types, broken ones. An empty set is one: its owner may have
/// withdrawn every key.
pub fn read_jwks(bytes: &[u8]) -> Result<Arc<[VerifyingKey]>, KeyError> {
    if bytes.len() > MAX_JWKS_BYTES {
        return Err(KeyError::TooLong);
    }
    let set = UniqueObject::parse(bytes).ok_or(KeyError::UnknownForm)?;
    let keys = members(&set)?.ok_or(KeyError::UnknownForm)?;
    let usable = keys.iter().flatten().filter_map(|jwk| read_key(jwk, JwkSource::Remote).ok()?);
    bounded(usable.collect()).map(Into::into)
}

/// Reads a file with a JWK or a JWKS. Keys without `kid` get the file's name.
pub(super) fn read_file(file: &str, bytes: &[u8]) -> Result<Vec<VerifyingKey>, KeyError> {
    if bytes.len() > MAX_JWKS_BYTES {
        return Err(KeyError::TooLong);
    }
    let object = UniqueObject::parse(bytes).ok_or(KeyError::UnknownForm)?;
    let jwks = match members(&object)? {
        Some(members) => members,
        None if object.raw("kty").is_some() => vec![Some(object)],
        None => return Err(KeyError::UnknownForm),
    };
    let mut keys = Vec::new();
    for (place, jwk) in jwks.iter().enumerate() {
        let key = jwk.as_ref().ok_or(BrokenJwk).and_then(|jwk| read_key(jwk, JwkSource::File));
        let key = key.map_err(|BrokenJwk| KeyError::UnusableKey(place + 1))?;
        keys.extend(
            key.map(|key| VerifyingKey { name: key.name.or_else(|| Some(file.into())), ..key }),
        );
    }
    if keys.is_empty() {
        return Err(KeyError::NoKey);
    }
    bounded(keys)
}

/// The keys of a set; `None` for one that is no object or has a member twice.
fn members(set: &UniqueObject) -> Result<Option<Vec<Option<UniqueObject>>>, KeyError> {
    let keys: Option<Vec<Box<RawValue>>> = set.read("keys").map_err(|_| KeyError::UnknownForm)?;
    let parse = |key: Box<RawValue>| UniqueObject::parse(key.get().as_bytes());
    Ok(keys.map(|keys| keys.into_iter().map(parse).collect()))
}

fn bounded(keys: Vec<VerifyingKey>) -> Result<Vec<VerifyingKey>, KeyError> {
    if keys.len() > MAX_JWKS_KEYS { Err(KeyError::TooManyKeys) } else { Ok(keys) }
}

/// The key should verify tokens and cannot.
struct BrokenJwk;

impl From<crate::json::WrongShape> for BrokenJwk {
    fn from(_: crate::json::WrongShape) -> Self {
        Self
    }
}

/// The key of one JWK; `Ok(None)` if it is for something else than verifying tokens.
fn read_key(jwk: &UniqueObject, source: JwkSource) -> Result<Option<VerifyingKey>, BrokenJwk> {
    let usage: Option<String> = jwk.read("use")?;
    let operations: Option<Vec<String>> = jwk.read("key_ops")?;
    let verifies = operations.is_none_or(|all| all.iter().any(|one| one == "verify"));
    if usage.is_some_and(|usage| usage != "sig") || !verifies {
        return Ok(None);
    }
    let only = match jwk.read::<String>("alg")? {
        None => None,
        Some(name) => match name.parse::<Algorithm>() {
            Ok(algorithm) => Some(algorithm),
            Err(_) if name == "Ed25519" => Some(Algorithm::EdDSA),
            Err(_) => return Ok(None),
        },
    };
    let kty: String = jwk.read("kty")?.ok_or(BrokenJwk)?;
    let found = match kty.as_str() {
        "RSA" => rsa(jwk)?,
        "EC" => curve(jwk, &EC_CURVES)?,
        "OKP" => curve(jwk, &OKP_CURVES)?,
        "oct" if source == JwkSource::File => Some(secret(jwk)?),
        _ => None,
    };
    let Some((family, key)) = found else { return Ok(None) };
    let name: Option<String> = jwk.read("kid")?;
    let too_long = name.as_ref().is_some_and(|name| name.len() > MAX_KID_BYTES);
    if too_long || only.is_some_and(|only| !family.serves(only)) {
        return Err(BrokenJwk);
    }
    Ok(Some(VerifyingKey { name: name.map(Into::into), family, only, key }))
}

type FoundKey = Option<(KeyFamily, DecodingKey)>;

fn rsa(jwk: &UniqueObject) -> Result<FoundKey, BrokenJwk> {
    let (modulus, exponent) = (number(jwk, "n")?, number(jwk, "e")?);
    let fits = RSA_MODULUS_BYTES.contains(&modulus.len())
        && (modulus.len() > *RSA_MODULUS_BYTES.start() || modulus[0] >= 0x80)
        && exponent.len() <= MAX_RSA_EXPONENT_BYTES
        && exponent.last().is_some_and(|byte| byte % 2 == 1)
        && exponent != [1];
    if !fits {
        return Err(BrokenJwk);
    }
    let key = DecodingKey::from_rsa_raw_components(&modulus, &exponent);
    Ok(Some((KeyFamily::Rsa, key)))
}

/// A curve: its name, its family, the bytes of a coordinate, and how its keys are checked.
type JwkCurve = (&'static str, KeyFamily, usize, &'static dyn VerificationAlgorithm);

static EC_CURVES: [JwkCurve; 2] = [
    ("P-256", KeyFamily::P256, 32, &ECDSA_P256_SHA256_FIXED),
    ("P-384", KeyFamily::P384, 48, &ECDSA_P384_SHA384_FIXED),
];
static OKP_CURVES: [JwkCurve; 1] = [("Ed25519", KeyFamily::Ed25519, 32, &ED25519)];

/// A key on one of these curves; `Ok(None)` on another.
fn curve(jwk: &UniqueObject, curves: &[JwkCurve]) -> Result<FoundKey, BrokenJwk> {
    let name: String = jwk.read("crv")?.ok_or(BrokenJwk)?;
    let Some((_, family, length, check)) = curves.iter().find(|curve| curve.0 == name) else {
        return Ok(None);
    };
    let mut point = Vec::new();
    if *family != KeyFamily::Ed25519 {
        point.push(0x04);
    }
    for coordinate in if *family == KeyFamily::Ed25519 { &["x"][..] } else { &["x", "y"] } {
        let bytes = bytes(jwk, coordinate)?;
        if bytes.len() != *length {
            return Err(BrokenJwk);
        }
        point.extend(bytes);
    }
    ParsedPublicKey::new(*check, &point).map_err(|_| BrokenJwk)?;
    let key = match family {
        KeyFamily::Ed25519 => DecodingKey::from_ed_der(&point),
        _ => DecodingKey::from_ec_der(&point),
    };
    Ok(Some((*family, key)))
}

fn secret(jwk: &UniqueObject) -> Result<(KeyFamily, DecodingKey), BrokenJwk> {
    let secret = bytes(jwk, "k")?;
    if secret.len() < super::MIN_SECRET_BYTES {
        return Err(BrokenJwk);
    }
    Ok((KeyFamily::Secret, DecodingKey::from_secret(&secret)))
}

/// A member as bytes.
fn bytes(jwk: &UniqueObject, member: &str) -> Result<Vec<u8>, BrokenJwk> {
    let text: String = jwk.read(member)?.ok_or(BrokenJwk)?;
    BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| BrokenJwk)
}

/// A member as a big-endian number without leading zeros, which some writers leave in.
fn number(jwk: &UniqueObject, member: &str) -> Result<Vec<u8>, BrokenJwk> {
    let bytes = bytes(jwk, member)?;
    let start = bytes.iter().position(|byte| *byte != 0).ok_or(BrokenJwk)?;
    Ok(bytes[start..].to_vec())
}
