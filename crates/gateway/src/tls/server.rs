//! How the node speaks TLS: versions, ALPN, tickets, and the certificate in force, which may be
//! replaced while sessions last.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{Error, ServerConfig};

use super::pair::CertificatePair;

/// The one protocol over TLS: WebSocket begins with HTTP/1.1, and h2 is not spoken.
const ALPN: &[u8] = b"http/1.1";

/// The rules of all sessions. Clones share them and the certificate.
#[derive(Debug, Clone)]
pub(crate) struct TlsServer {
    rules: Arc<ServerConfig>,
    current: Arc<CurrentPair>,
}

impl TlsServer {
    /// Sessions with this pair, until another is put in force.
    pub(crate) fn new(pair: &CertificatePair) -> Result<Self, Error> {
        let current = Arc::new(CurrentPair(RwLock::new(pair.certified())));
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_protocol_versions(&[&TLS13, &TLS12])?.with_no_client_auth();
        let mut rules = builder.with_cert_resolver(current.clone());
        rules.alpn_protocols = vec![ALPN.to_vec()];
        // A client that returns to this node needs no signature. Tickets are kept by the client;
        // their key is the node's own and changes every 6 hours.
        rules.ticketer = Ticketer::new()?;
        // One connection at a time comes back.
        rules.send_tls13_tickets = 1;
        Ok(Self { rules: Arc::new(rules), current })
    }

    pub(crate) fn rules(&self) -> Arc<ServerConfig> {
        self.rules.clone()
    }

    /// Puts another pair in force, for handshakes to come.
    pub(super) fn replace(&self, pair: &CertificatePair) {
        *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = pair.certified();
    }
}

/// The pair in force; locked for one expression a handshake.
#[derive(Debug)]
struct CurrentPair(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for CurrentPair {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}
