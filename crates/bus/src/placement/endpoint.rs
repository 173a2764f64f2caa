//! How a Redis server is reached: its address with the settings of a connection, and the name that
//! its certificate is verified for. Pure.

use std::ops::Deref;
use std::sync::Arc;

use redis::{ConnectionAddr, ConnectionInfo};

/// How connections to Redis use TLS, where they do.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct TlsTrust<'a> {
    /// Certificates (PEM) to trust instead of the system's.
    pub(crate) ca: Option<&'a [u8]>,
    /// The name to verify instead of the host.
    pub(crate) name: Option<&'a str>,
}

/// A server's address and settings.
#[derive(Debug, Clone)]
pub(crate) struct RedisEndpoint {
    info: ConnectionInfo,
    /// The name to verify, if that is not the host.
    tls_name: Option<Arc<str>>,
}

impl RedisEndpoint {
    pub(crate) fn new(info: ConnectionInfo, tls_name: Option<&str>) -> Self {
        Self { info, tls_name: tls_name.map(Arc::from) }
    }

    /// The same settings at another address.
    pub(crate) fn at(&self, host: String, port: u16) -> Self {
        let address = match self.info.addr() {
            ConnectionAddr::TcpTls { insecure, tls_params, .. } => ConnectionAddr::TcpTls {
                host,
                port,
                insecure: *insecure,
                tls_params: tls_params.clone(),
            },
            _ => ConnectionAddr::Tcp(host, port),
        };
        Self { info: self.info.clone().set_addr(address), tls_name: self.tls_name.clone() }
    }

    /// What the library is to connect to: it verifies the host that it is given. If that is another
    /// name, the second value is the host and port that it must be resolved to.
    pub(crate) fn verified(&self) -> (ConnectionInfo, Option<(String, u16)>) {
        let ConnectionAddr::TcpTls { host, port, .. } = self.info.addr() else {
            return (self.info.clone(), None);
        };
        match &self.tls_name {
            Some(name) => {
                let named = self.at(name.to_string(), *port);
                (named.info, Some((host.clone(), *port)))
            }
            None => (self.info.clone(), None),
        }
    }
}

impl Deref for RedisEndpoint {
    type Target = ConnectionInfo;

    fn deref(&self) -> &ConnectionInfo {
        &self.info
    }
}
