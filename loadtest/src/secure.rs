//! TLS to a node: which authority is trusted, and for which name. It knows no scenario.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

/// How links to one server speak TLS.
#[derive(Debug, Clone)]
pub(crate) struct Secure {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Secure {
    /// For a `wss://` URL; `ca` is the file (PEM) of the authorities to trust, else the system's.
    pub(crate) fn of_url(url: &str, ca: Option<&Path>) -> Result<Self> {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let place = rest.split('/').next().unwrap_or_default();
        let host = place.rsplit_once(':').map_or(place, |(host, _)| host);
        Self::new(host.trim_matches(['[', ']']), ca)
    }

    /// For a server whose certificate has this name or address.
    pub(crate) fn new(host: &str, ca: Option<&Path>) -> Result<Self> {
        let read =
            |path: &Path| fs::read(path).with_context(|| format!("reading {}", path.display()));
        let pem = ca.map(read).transpose()?;
        let config = roomcast_client::tls_config(pem.as_deref())?;
        let name = ServerName::try_from(host.to_owned());
        Ok(Self { config, name: name.with_context(|| format!("{host:?} is no name of a host"))? })
    }

    /// A session that has not begun.
    pub(crate) fn session(&self) -> Result<Box<ClientConnection>> {
        Ok(Box::new(ClientConnection::new(self.config.clone(), self.name.clone())?))
    }

    /// The same over a socket that may wait.
    pub(crate) fn over(
        &self,
        socket: TcpStream,
    ) -> Result<StreamOwned<ClientConnection, TcpStream>> {
        Ok(StreamOwned::new(*self.session()?, socket))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_the_urls_host() {
        for (url, expected) in [
            ("wss://node.example.com:8443/ws", "node.example.com"),
            ("wss://node.example.com", "node.example.com"),
            ("wss://127.0.0.1:1", "127.0.0.1"),
        ] {
            let secure = Secure::of_url(url, None);
            // A machine without authorities has nothing to trust, whatever the name.
            if let Ok(secure) = secure {
                assert_eq!(secure.name.to_str(), expected);
            }
        }
    }
}
