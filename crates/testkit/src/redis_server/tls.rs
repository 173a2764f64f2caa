//! A certificate authority and a certificate for 127.0.0.1 and localhost, made by the `openssl`
//! program: the Rust crates for it would bring a crypto library into the build for tests alone.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The PEM file of the authority that a client is to trust.
pub(super) fn ca_file(folder: &Path) -> PathBuf {
    folder.join("ca.pem")
}

/// Makes both in the server's folder.
pub(super) fn write_certificates(folder: &Path) {
    let ca = ["-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Roomcast tests"];
    openssl(folder, &ca, &["basicConstraints=critical,CA:TRUE"]);
    // Some clients take no certificate that is an authority's as well: the server's is another.
    let server = ["-keyout", "server.key", "-out", "server.pem", "-subj", "/CN=localhost"];
    let names = "subjectAltName=DNS:localhost,IP:127.0.0.1";
    let signed = [&server[..], &["-CA", "ca.pem", "-CAkey", "ca.key"]].concat();
    openssl(folder, &signed, &["basicConstraints=critical,CA:FALSE", names]);
}

/// What makes a server speak TLS and ask its clients for no certificate.
pub(super) fn arguments(folder: &Path) -> Vec<String> {
    let file = |name| folder.join(name).display().to_string();
    let [certificate, key, ca] = ["server.pem", "server.key", "ca.pem"].map(file);
    let options = ["--tls-cert-file", "--tls-key-file", "--tls-ca-cert-file", "--tls-auth-clients"];
    let values = [certificate, key, ca, "no".to_owned()];
    options.iter().zip(values).flat_map(|(option, value)| [option.to_string(), value]).collect()
}

fn openssl(folder: &Path, arguments: &[&str], extensions: &[&str]) {
    let output = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-noenc", "-days", "30"])
        .args(arguments)
        .args(extensions.iter().flat_map(|extension| ["-addext", extension]))
        .current_dir(folder)
        .output()
        .expect("openssl is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
