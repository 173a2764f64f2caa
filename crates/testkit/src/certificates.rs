//! A certificate authority and certificates for 127.0.0.1 and localhost, made by the `openssl`
//! program: the Rust crates for it would bring a crypto library into the build for tests alone.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What kind of key a certificate has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateKind {
    /// ECDSA, P-256.
    Ecdsa,
    /// RSA, 2,048 bits.
    Rsa,
    /// Ed25519.
    Ed25519,
}

/// An authority in a folder: `ca.pem` and `ca.key`.
#[derive(Debug)]
pub struct CertificateAuthority<'a> {
    folder: &'a Path,
}

impl<'a> CertificateAuthority<'a> {
    /// Makes one.
    pub fn create(folder: &'a Path) -> Self {
        let ca = ["-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Roomcast tests"];
        let arguments = [CertificateKind::Ecdsa.arguments(), &ca].concat();
        request(folder, &arguments, &["basicConstraints=critical,CA:TRUE"]);
        Self { folder }
    }

    /// The one that was made in this folder.
    pub fn at(folder: &'a Path) -> Self {
        Self { folder }
    }

    /// The file of its certificate.
    pub fn file(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// Signs a certificate for 127.0.0.1 and localhost: `NAME.pem` with its key `NAME.key`.
    pub fn sign(&self, name: &str, kind: CertificateKind) -> (PathBuf, PathBuf) {
        self.sign_for(name, kind, "DNS:localhost,IP:127.0.0.1")
    }

    /// The same for other names, such as `DNS:example.com`.
    pub fn sign_for(&self, name: &str, kind: CertificateKind, names: &str) -> (PathBuf, PathBuf) {
        let files = [format!("{name}.pem"), format!("{name}.key")];
        let [cert, key] = &files;
        // Some clients take no certificate that is an authority's as well: this is another.
        let own = ["-keyout", key, "-out", cert, "-subj", "/CN=localhost"];
        let signed = ["-CA", "ca.pem", "-CAkey", "ca.key"];
        let arguments = [kind.arguments(), &own, &signed].concat();
        let names = format!("subjectAltName={names}");
        request(self.folder, &arguments, &["basicConstraints=critical,CA:FALSE", &names]);
        (self.folder.join(cert), self.folder.join(key))
    }
}

impl CertificateKind {
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Ecdsa => &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"],
            Self::Rsa => &["-newkey", "rsa:2048"],
            Self::Ed25519 => &["-newkey", "ed25519"],
        }
    }
}

fn request(folder: &Path, arguments: &[&str], extensions: &[&str]) {
    let output = Command::new("openssl")
        .args(["req", "-x509", "-noenc", "-days", "30"])
        .args(arguments)
        .args(extensions.iter().flat_map(|extension| ["-addext", extension]))
        .current_dir(folder)
        .output()
        .expect("openssl is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
