//! Public keys from PEM: `PUBLIC KEY` (RFC 7468, section 13) and the keys of certificates. aws-lc
//! reads the keys; what it refuses here would verify nothing later.

use aws_lc_rs::rsa::PublicEncryptingKey;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256,
};
use jsonwebtoken::DecodingKey;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::{PemObject, SectionKind};

use super::{KeyError, KeyFamily, VerifyingKey};

/// The lengths of RSA keys that verify tokens, in bits. Below, a key is weak; above, one
/// verification is costly.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=8_192;

/// Reads all keys of a PEM file. Each gets the file's name. Of a chain of certificates the first
/// one's key counts: the others are of those that signed it.
pub(super) fn read(file: &str, bytes: &[u8]) -> Result<Vec<VerifyingKey>, KeyError> {
    let mut keys = Vec::new();
    let mut has_certificate = false;
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(bytes) {
        let (kind, der) = section.map_err(|_| KeyError::UnknownForm)?;
        let place = keys.len() + 1;
        let found = match kind {
            SectionKind::PublicKey => public_key(&der),
            SectionKind::Certificate if has_certificate => continue,
            SectionKind::Certificate => {
                has_certificate = true;
                certificate_key(der)
            }
            SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey => {
                return Err(KeyError::PrivateKey);
            }
            _ => None,
        };
        let (family, key) = found.ok_or(KeyError::UnusableKey(place))?;
        keys.push(VerifyingKey { name: Some(file.into()), family, only: None, key });
    }
    if keys.is_empty() {
        return Err(KeyError::UnknownForm);
    }
    Ok(keys)
}

fn certificate_key(der: Vec<u8>) -> Option<(KeyFamily, DecodingKey)> {
    let der = CertificateDer::from(der);
    let certificate = webpki::EndEntityCert::try_from(&der).ok()?;
    public_key(&certificate.subject_public_key_info())
}

/// The key in the DER of a SubjectPublicKeyInfo, with what it is.
fn public_key(der: &[u8]) -> Option<(KeyFamily, DecodingKey)> {
    // Raw forms of 32 bytes and bare points are no PEM; aws-lc would take them.
    if der.first() != Some(&0x30) {
        return None;
    }
    if ParsedPublicKey::new(&ED25519, der).is_ok() {
        return Some((KeyFamily::Ed25519, DecodingKey::from_ed_der(der)));
    }
    if ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, der).is_ok() {
        return Some((KeyFamily::P256, DecodingKey::from_ec_der(der)));
    }
    if ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, der).is_ok() {
        return Some((KeyFamily::P384, DecodingKey::from_ec_der(der)));
    }
    ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der).ok()?;
    let bits = PublicEncryptingKey::from_der(der).ok()?.key_size_bits();
    RSA_BITS.contains(&bits).then(|| (KeyFamily::Rsa, DecodingKey::from_rsa_der(der)))
}
