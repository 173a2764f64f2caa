//! The door as it is typed, and what it means for a node that runs already or is started here.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use roomcast_access::keys::read_secrets;

use super::made::MadeDoor;
use super::{Badge, Door, Trust};
use crate::server::address;

/// How clients come in.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DoorArgs {
    /// Certificates (PEM) of the authorities to trust behind wss://, in place of the system's.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// Token of all connections; other users of this machine see it, so a file is better. One token
    /// is one user, and the cluster takes 100 connections of a user (`limits.user_connections`).
    #[arg(long, value_name = "TOKEN", conflicts_with_all = ["token_file", "secret_file", "auth"])]
    token: Option<String>,
    /// File with that token; it is read again for each connection.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["secret_file", "auth"])]
    token_file: Option<PathBuf>,
    /// File with the nodes' secret (`auth.hs_secret_file`; the first line counts): each connection
    /// gets a token of a user of its own. Nodes started here take the file too.
    #[arg(long, value_name = "FILE", conflicts_with = "auth")]
    secret_file: Option<PathBuf>,
    /// Make a key for the nodes started here, and sign a token with it for each connection.
    #[arg(
        long,
        value_enum,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "hs256",
        value_name = "ALGORITHM"
    )]
    auth: Option<Signature>,
    /// For how many seconds signed tokens are good.
    #[arg(long, default_value_t = 3_600, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
    token_life: u64,
    /// Make an authority and a certificate for the nodes started here, which speak TLS with it.
    #[arg(long, conflicts_with = "ca")]
    tls: bool,
    /// Made on first use, and the same for all clones.
    #[arg(skip)]
    made: Arc<OnceLock<MadeDoor>>,
}

/// How tokens are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Signature {
    /// By a shared secret.
    Hs256,
    /// By an elliptic curve key.
    Es256,
}

/// Doors to compare with one another, in turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DoorKind {
    /// A plain node.
    Ws,
    /// A plain node that takes tokens signed by HS256.
    Hs256,
    /// A plain node that takes tokens signed by ES256.
    Es256,
    /// A node that speaks TLS.
    Wss,
    /// A plain node behind an nginx that speaks TLS; both processes are counted.
    Nginx,
}

impl DoorKind {
    /// As tables call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ws => "node",
            Self::Hs256 => "node, HS256 token",
            Self::Es256 => "node, ES256 token",
            Self::Wss => "node, TLS",
            Self::Nginx => "nginx TLS + node",
        }
    }
}

impl DoorArgs {
    /// The same authority and keys, but this door.
    pub(crate) fn of_kind(&self, kind: DoorKind) -> Self {
        let auth = match kind {
            DoorKind::Hs256 => Some(Signature::Hs256),
            DoorKind::Es256 => Some(Signature::Es256),
            DoorKind::Ws | DoorKind::Wss | DoorKind::Nginx => None,
        };
        let tls = matches!(kind, DoorKind::Wss | DoorKind::Nginx);
        Self { auth, tls, made: Arc::clone(&self.made), ..Self::default() }.with_life(self)
    }

    fn with_life(self, other: &Self) -> Self {
        Self { token_life: other.token_life, ..self }
    }

    /// A door whose certificates are this authority's (PEM).
    pub(crate) fn trusting(&self, ca: PathBuf) -> Self {
        Self { ca: Some(ca), tls: false, auth: None, ..self.clone() }
    }

    /// The door of servers that run already, at these URLs.
    pub(crate) fn to_urls(&self, urls: &[String]) -> Result<Door> {
        if self.tls || self.auth.is_some() {
            bail!("--tls and --auth are for nodes that are started here");
        }
        let is_secure = |url: &String| url.starts_with("wss://");
        let trust = match urls.iter().filter(|url| is_secure(url)).count() {
            0 => None,
            count if count == urls.len() => {
                let names = urls.iter().map(|url| Ok((address(url)?, host(url).to_owned())));
                Some(Trust { ca: self.read_ca()?, names: names.collect::<Result<_>>()? })
            }
            _ => bail!("either all URLs are wss:// or none is"),
        };
        Ok(Door { trust, badge: self.badge()? })
    }

    /// The door of nodes that are started here with these settings.
    pub(crate) fn to_started(&self, set: &[String]) -> Result<Door> {
        let is_own = set.iter().any(|setting| setting.starts_with("tls.cert="));
        let ca = match self.tls {
            true => Some(self.made()?.ca()?),
            false => self.read_ca()?,
        };
        let trust = (self.tls || is_own).then(|| Trust { ca, names: HashMap::new() });
        Ok(Door { trust, badge: self.badge()? })
    }

    /// The settings of nodes that are started here.
    pub(crate) fn settings(&self) -> Result<Vec<String>> {
        let mut settings = self.auth_settings()?;
        if self.tls {
            let (cert, key) = self.made()?.certificate();
            settings.push(format!("tls.cert={}", cert.display()));
            settings.push(format!("tls.key={}", key.display()));
        }
        Ok(settings)
    }

    /// Those of them that are about tokens.
    pub(crate) fn auth_settings(&self) -> Result<Vec<String>> {
        let file = |key: &str, path: PathBuf| vec![format!("{key}={}", path.display())];
        Ok(match (self.auth, &self.secret_file) {
            (Some(Signature::Hs256), _) => file("auth.hs_secret_file", self.made()?.secret_file()?),
            (Some(Signature::Es256), _) => file("auth.keys", self.made()?.signing_key().public()),
            (None, Some(path)) => file("auth.hs_secret_file", path.clone()),
            (None, None) => Vec::new(),
        })
    }

    /// The certificate that was made, with its key.
    pub(crate) fn certificate(&self) -> Result<(PathBuf, PathBuf)> {
        Ok(self.made()?.certificate())
    }

    /// The arguments that bring the same door again, as far as a run can be repeated.
    pub(crate) fn line(&self) -> String {
        let tls = if self.tls { " --tls" } else { "" };
        let auth = match self.auth {
            Some(Signature::Hs256) => " --auth",
            Some(Signature::Es256) => " --auth=es256",
            None => "",
        };
        let life = match self.auth {
            Some(_) => format!(" --token-life {}", self.token_life),
            None => String::new(),
        };
        format!("{tls}{auth}{life}")
    }

    /// Whether each client signs tokens of its own, and can renew them.
    pub(crate) fn renews(&self) -> bool {
        self.auth.is_some() || self.secret_file.is_some()
    }

    /// For how long signed tokens are good.
    pub(crate) fn life(&self) -> Duration {
        Duration::from_secs(self.token_life)
    }

    fn badge(&self) -> Result<Badge> {
        let life = self.life();
        Ok(match (&self.token, &self.token_file, &self.secret_file, self.auth) {
            (Some(token), ..) => Badge::Token(token.trim().to_owned()),
            (_, Some(path), ..) => Badge::File(path.clone()),
            (_, _, Some(path), _) => {
                let text = read(path)?;
                read_secrets(text.as_bytes()).with_context(|| path.display().to_string())?;
                let mut lines = text.lines().map(str::trim);
                let secret = lines.find(|line| !line.is_empty()).unwrap_or_default().to_owned();
                Badge::Secret { secret, life }
            }
            (.., Some(Signature::Hs256)) => {
                Badge::Secret { secret: self.made()?.secret().to_owned(), life }
            }
            (.., Some(Signature::Es256)) => {
                let key = self.made()?.signing_key();
                Badge::Key { der: key.private().to_vec(), kid: key.name().to_owned(), life }
            }
            _ => Badge::None,
        })
    }

    fn read_ca(&self) -> Result<Option<String>> {
        self.ca.as_ref().map(read).transpose()
    }

    fn made(&self) -> Result<&MadeDoor> {
        if self.made.get().is_none() {
            // A second one, made at the same time, is dropped.
            let _ = self.made.set(MadeDoor::new()?);
        }
        self.made.get().context("nothing was made")
    }
}

fn read(path: &PathBuf) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

/// The host in a URL.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let place = rest.split('/').next().unwrap_or_default();
    let host = place.rsplit_once(':').map_or(place, |(host, _)| host);
    host.trim_matches(['[', ']'])
}

#[cfg(test)]
mod tests;
