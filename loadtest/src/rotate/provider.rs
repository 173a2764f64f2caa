//! What changes: the keys of an identity provider, as it serves them, and the certificate files of
//! the node, as a renewal replaces them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use roomcast_testkit::{CertificateAuthority, CertificateKind, KeyServer, SigningKey};
use tempfile::TempDir;

use crate::door::Badge;

/// For how long its tokens are good.
const LIFE: Duration = Duration::from_secs(600);

/// The provider and the files.
pub(super) struct Provider {
    folder: TempDir,
    server: KeyServer,
    key: SigningKey,
    changes: usize,
}

impl Provider {
    /// With a first key and a first certificate.
    pub(super) fn start() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("loadtest-rotate-").tempdir()?;
        CertificateAuthority::create(folder.path());
        let key = SigningKey::create(folder.path(), "key-0");
        let server = KeyServer::start(&[&key]);
        let provider = Self { folder, server, key, changes: 0 };
        provider.renew_certificate()?;
        Ok(provider)
    }

    /// The node's settings.
    pub(super) fn settings(&self) -> Vec<String> {
        let path = |name: &str| self.path().join(name).display().to_string();
        vec![
            format!("tls.cert={}", path("cert.pem")),
            format!("tls.key={}", path("cert.key")),
            format!("auth.jwks_url={}", self.server.url()),
        ]
    }

    /// The file of the authority.
    pub(super) fn ca(&self) -> PathBuf {
        CertificateAuthority::at(self.path()).file()
    }

    /// Signs with the newest key.
    pub(super) fn badge(&self) -> Badge {
        let (der, kid) = (self.key.private().to_vec(), self.key.name().to_owned());
        Badge::Key { der, kid, life: LIFE }
    }

    /// How often the node asked for the keys.
    pub(super) fn asked(&self) -> usize {
        self.server.asked()
    }

    /// Signs with another key from now on, which is served beside the last one, and replaces the
    /// certificate.
    pub(super) fn rotate(&mut self) -> Result<()> {
        self.changes += 1;
        let next = SigningKey::create(self.path(), &format!("key-{}", self.changes));
        self.server.serve(&[&self.key, &next]);
        self.key = next;
        self.renew_certificate()
    }

    /// A file at a time, each in one step: in between they do not fit, and the node keeps the old
    /// pair.
    fn renew_certificate(&self) -> Result<()> {
        let authority = CertificateAuthority::at(self.path());
        let (cert, key) = authority.sign("next", CertificateKind::Ecdsa);
        fs::rename(key, self.path().join("cert.key"))?;
        Ok(fs::rename(cert, self.path().join("cert.pem"))?)
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}
