//! What is made for nodes that are started here: an authority with a certificate, a secret, a key.
//! It lives in a folder of its own, which goes with it.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::{Context, Result};
use roomcast_testkit::{CertificateAuthority, CertificateKind, SigningKey};
use tempfile::TempDir;

/// Made on demand, each once.
#[derive(Debug)]
pub(crate) struct MadeDoor {
    folder: TempDir,
    secret: String,
    certificate: OnceLock<(PathBuf, PathBuf)>,
    key: OnceLock<SigningKey>,
}

impl MadeDoor {
    /// Nothing yet but a folder.
    pub(super) fn new() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("loadtest-door-").tempdir()?;
        // Good for one run on loopback: the clock and the folder's random name.
        let nanos = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
        let secret = format!("{nanos:032x}{}", folder.path().display());
        Ok(Self { folder, secret, certificate: OnceLock::new(), key: OnceLock::new() })
    }

    /// The certificate of the authority (PEM).
    pub(super) fn ca(&self) -> Result<String> {
        self.certificate();
        let path = self.folder.path().join("ca.pem");
        fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
    }

    /// The nodes' certificate and its key: ECDSA, as most authorities give it today.
    pub(super) fn certificate(&self) -> (PathBuf, PathBuf) {
        let make = || {
            let authority = CertificateAuthority::create(self.folder.path());
            authority.sign("node", CertificateKind::Ecdsa)
        };
        self.certificate.get_or_init(make).clone()
    }

    /// The secret of HS256.
    pub(super) fn secret(&self) -> &str {
        &self.secret
    }

    /// A file with it.
    pub(super) fn secret_file(&self) -> Result<PathBuf> {
        let path = self.folder.path().join("secret");
        fs::write(&path, &self.secret)?;
        Ok(path)
    }

    /// The key of ES256.
    pub(super) fn signing_key(&self) -> &SigningKey {
        self.key.get_or_init(|| SigningKey::create(self.folder.path(), "loadtest"))
    }
}
