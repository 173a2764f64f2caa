//! The section `tls`: the certificate and the key of the node's public listeners.

use std::path::PathBuf;

use serde::Deserialize;

use super::key::{Change, Key, Section, ValueKind};

pub(super) const SECTION: Section = Section {
    name: "tls",
    about: "TLS of `http.listen`. With both keys set it speaks TLS only (1.2 and 1.3, ALPN \
            `http/1.1`); `http.metrics_listen` stays plain. TLS itself is switched on or off at a \
            start only.",
    keys: &[
        Key {
            name: "cert",
            default: "",
            kind: ValueKind::FileOrEmpty,
            change: Change::Reload,
            about: "The node's certificate (PEM), followed by the certificates between it and an \
                    authority that clients trust. Empty: no TLS. The file is read every 3 s, \
                    through symbolic links, and a new pair is taken over without ending a \
                    connection. A pair that cannot be read, or whose key does not fit, changes \
                    nothing: the node logs it and counts it in \
                    `roomcast_certificate_reload_failures_total`.",
        },
        Key {
            name: "key",
            default: "",
            kind: ValueKind::FileOrEmpty,
            change: Change::Reload,
            about: "The private key of `tls.cert` (PEM: PKCS#8, PKCS#1 or SEC1), readable for the \
                    node only. An ECDSA key (P-256) makes a handshake much cheaper for the node \
                    than RSA does.",
        },
    ],
};

/// Where the certificate and the key are; both or none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// The certificate's file.
    pub cert: Option<PathBuf>,
    /// The key's file.
    pub key: Option<PathBuf>,
}

impl TlsConfig {
    /// The files of the certificate and the key; `None` without TLS.
    pub fn files(&self) -> Option<(PathBuf, PathBuf)> {
        Some((self.cert.clone()?, self.key.clone()?))
    }
}
