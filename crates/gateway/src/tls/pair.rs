//! A certificate with its key, read from the text of their files and judged. It reads no file.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};

use super::validity;

/// Why a certificate and a key are not used. Correct the file that is named; nothing of the key is
/// shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PairError {
    /// The file of the certificate holds none that can be read.
    #[error("tls.cert holds no certificate in PEM that can be read")]
    Certificate,
    /// The file of the key holds none, or one of a kind that TLS does not use.
    #[error("tls.key holds no private key in PEM that can be used (RSA, ECDSA or Ed25519)")]
    Key,
    /// Both can be read and belong to different pairs.
    #[error("the key in tls.key does not fit the first certificate in tls.cert")]
    Mismatch,
    /// A file cannot be read.
    #[error("cannot read {0}: {1}")]
    Read(String, std::io::ErrorKind),
}

/// A pair that fits.
#[derive(Debug)]
pub(crate) struct CertificatePair {
    certified: Arc<CertifiedKey>,
    ends: i64,
}

impl CertificatePair {
    /// Reads both files' bytes.
    pub(super) fn read(cert: &[u8], key: &[u8]) -> Result<Self, PairError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(cert)
            .collect::<Result<_, _>>()
            .map_err(|_| PairError::Certificate)?;
        let first = chain.first().ok_or(PairError::Certificate)?;
        let ends = validity::ends(first).ok_or(PairError::Certificate)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| PairError::Key)?;
        let key = any_supported_type(&key).map_err(|_| PairError::Key)?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            Ok(()) => Ok(Self { certified: Arc::new(certified), ends }),
            Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => Err(PairError::Mismatch),
            Err(_) => Err(PairError::Certificate),
        }
    }

    pub(super) fn certified(&self) -> Arc<CertifiedKey> {
        self.certified.clone()
    }

    /// When the node's own certificate ends, in seconds since 1970.
    pub(super) fn ends(&self) -> i64 {
        self.ends
    }
}
