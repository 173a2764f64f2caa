//! How a client of the load comes in: by TLS or not, and with which token. The one place that makes
//! what the clients of every scenario need for it; plain data, so that load processes get it too.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use roomcast_client::{Options, TokenSource, tls_config};
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use serde::{Deserialize, Serialize};

mod args;
mod badge;
mod made;

pub(crate) use args::{DoorArgs, DoorKind};
pub(crate) use badge::Badge;

/// What clients need to come in; by default nothing.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Door {
    /// How servers are trusted, if they speak TLS.
    pub(crate) trust: Option<Trust>,
    /// What names the user of a connection.
    pub(crate) badge: Badge,
}

/// Whose certificates are taken, and for which names.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Trust {
    /// Authorities (PEM); else those of the system.
    pub(crate) ca: Option<String>,
    /// The names of servers that are known by another name than their address.
    pub(crate) names: HashMap<SocketAddr, String>,
}

impl Door {
    /// The scheme of a URL behind it.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.trust.is_some() { "wss" } else { "ws" }
    }

    /// How links speak TLS, if they do.
    pub(crate) fn tls(&self) -> Result<Option<LinkTls>> {
        let Some(trust) = &self.trust else { return Ok(None) };
        let mut config = (*tls_config(trust.ca.as_deref().map(str::as_bytes))?).clone();
        // Each link is a client of its own: none goes on with another's session.
        config.resumption = Resumption::disabled();
        Ok(Some(LinkTls { config: Arc::new(config), names: trust.names.clone() }))
    }

    /// The options of a Rust client of this user.
    pub(crate) fn options(self: &Arc<Self>, addrs: &[SocketAddr], user: &str) -> Options {
        let scheme = self.scheme();
        let mut options = Options::new(addrs.iter().map(|addr| format!("{scheme}://{addr}/ws")));
        options.ca =
            self.trust.as_ref().and_then(|trust| trust.ca.as_ref()).map(|ca| ca.clone().into());
        if self.badge.is_some() {
            let (door, user) = (Arc::clone(self), user.to_owned());
            options.token = Some(TokenSource::from_fn(move || {
                let token = door.badge.token(&user).map_err(|error| format!("{error:#}"));
                std::future::ready(token.map(Option::unwrap_or_default))
            }));
        }
        options
    }

    /// A request as this user sends it: with its token.
    pub(crate) fn dressed(&self, request: &[u8], user: &str) -> Result<Option<Vec<u8>>> {
        let Some(token) = self.badge.token(user)? else { return Ok(None) };
        let Some(head) = request.strip_suffix(b"\r\n") else {
            bail!("a request's head ends with an empty line");
        };
        let field = format!("Authorization: Bearer {token}\r\n\r\n");
        Ok(Some([head, field.as_bytes()].concat()))
    }
}

/// How links speak TLS.
#[derive(Debug, Clone)]
pub(crate) struct LinkTls {
    config: Arc<ClientConfig>,
    names: HashMap<SocketAddr, String>,
}

impl LinkTls {
    /// A session with this server that has not begun.
    pub(crate) fn session(&self, to: SocketAddr) -> Result<Box<ClientConnection>> {
        let name = match self.names.get(&to) {
            Some(name) => ServerName::try_from(name.clone())
                .with_context(|| format!("{name:?} is no name of a host"))?,
            None => ServerName::from(to.ip()),
        };
        Ok(Box::new(ClientConnection::new(Arc::clone(&self.config), name)?))
    }

    /// The same over a socket that may wait.
    pub(crate) fn over<S: std::io::Read + std::io::Write>(
        &self,
        to: SocketAddr,
        socket: S,
    ) -> Result<StreamOwned<ClientConnection, S>> {
        Ok(StreamOwned::new(*self.session(to)?, socket))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire;

    #[test]
    fn a_token_stands_in_the_head_of_a_request() {
        let request = wire::upgrade_request("h:1", "/ws", None);
        let door = Door { trust: None, badge: Badge::Token("a.b.c".to_owned()) };
        let dressed = door.dressed(&request, "u").unwrap().unwrap();
        let head = String::from_utf8(dressed).unwrap();
        assert_eq!(wire::field(&head, "authorization"), Some("Bearer a.b.c"));
        assert_eq!(wire::head_end(head.as_bytes()), Some(head.len()));
        assert_eq!(wire::field(&head, "host"), Some("h:1"));
        assert_eq!(Door::default().dressed(&request, "u").unwrap(), None);
    }

    #[test]
    fn rust_clients_get_the_same_door() {
        let addr = "127.0.0.1:8443".parse().unwrap();
        let door = Arc::new(Door { trust: Some(Trust::default()), badge: Badge::None });
        assert_eq!(door.options(&[addr], "u").urls, ["wss://127.0.0.1:8443/ws"]);
        assert!(door.options(&[addr], "u").token.is_none());
        let door = Arc::new(Door { trust: None, badge: Badge::Token("t".to_owned()) });
        assert_eq!(door.options(&[addr], "u").urls, ["ws://127.0.0.1:8443/ws"]);
        assert!(door.options(&[addr], "u").token.is_some());
    }
}
