//! A server's certificate, and what makes it speak TLS.

use std::path::{Path, PathBuf};

use crate::certificates::{CertificateAuthority, CertificateKind};

/// The PEM file of the authority that a client is to trust.
pub(super) fn ca_file(folder: &Path) -> PathBuf {
    folder.join("ca.pem")
}

/// Makes an authority and a certificate in the server's folder. `names` are those of the
/// certificate.
pub(super) fn write_certificates(folder: &Path, names: &str) {
    CertificateAuthority::create(folder).sign_for("server", CertificateKind::Ecdsa, names);
}

/// What makes a server speak TLS and ask its clients for no certificate.
pub(super) fn arguments(folder: &Path) -> Vec<String> {
    let file = |name| folder.join(name).display().to_string();
    let [certificate, key, ca] = ["server.pem", "server.key", "ca.pem"].map(file);
    let options = ["--tls-cert-file", "--tls-key-file", "--tls-ca-cert-file", "--tls-auth-clients"];
    let values = [certificate, key, ca, "no".to_owned()];
    options.iter().zip(values).flat_map(|(option, value)| [option.to_string(), value]).collect()
}
