//! The node's configuration: defaults, a TOML file, the environment and flags, in rising order,
//! resolved into plain structs that are valid throughout. Nothing here binds a port or connects.
//!
//! Each section has a file in which its fields stand beside their keys, defaults and reasons.
//! `docs/configuration.md` is made from the same tables.

mod api_keys;
mod args;
mod auth;
mod bus;
mod demo;
mod drain;
mod error;
mod file;
mod http;
mod key;
mod layer;
mod layers;
mod limits;
mod log_filter;
mod namespace_keys;
mod namespaces;
mod nearest;
mod networks;
mod node;
mod page;
mod resolve;
mod secret;
mod tls;
mod traces;
mod users;
mod value;
mod variables;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use serde::Deserialize;

pub use api_keys::ApiKeysConfig;
pub use args::{ServeArgs, Setting};
pub use auth::AuthConfig;
pub use bus::BusConfig;
pub(crate) use demo::namespaces as demo_namespaces;
pub use demo::{DemoKey, DemoSetting};
pub use drain::DrainConfig;
pub use error::{ConfigError, Problem};
pub use http::HttpConfig;
pub use key::{Change, Key, Section};
pub use layers::{ConfigEntry, Sources};
pub use limits::LimitsConfig;
pub use namespaces::{NamespaceConfig, Namespaces, PresenceSetting, SlowPolicy};
pub use networks::Networks;
pub use node::{HeartbeatConfig, LogConfig, LogFormat, NodeConfig};
pub use page::page;
pub use secret::{SecretText, SecretUrl};
pub use tls::TlsConfig;
pub use traces::TracesConfig;
pub use users::UsersConfig;

/// Every section, in the order of the page. `namespaces.default` stands for every namespace; after
/// them come the tables `api_keys.NAME`, which have no defaults.
pub const SECTIONS: [&Section; 13] = [
    &node::TOP,
    &node::NODE,
    &http::SECTION,
    &auth::SECTION,
    &tls::SECTION,
    &bus::SECTION,
    &node::HEARTBEAT,
    &limits::SECTION,
    &drain::SECTION,
    &node::LOG,
    &traces::SECTION,
    &users::SECTION,
    &namespace_keys::SECTION,
];

/// Everything a node is told, valid and with every default filled in. It comes from [`load`] and
/// its companions only.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Whether the node may listen beyond this machine without authentication.
    pub insecure: bool,
    /// The node itself.
    pub node: NodeConfig,
    /// Its listeners.
    pub http: HttpConfig,
    /// Who may connect.
    pub auth: AuthConfig,
    /// Their certificate.
    #[serde(default)]
    pub tls: TlsConfig,
    /// Its link to the other nodes.
    pub bus: BusConfig,
    /// When a silent connection is taken for dead.
    pub heartbeat: HeartbeatConfig,
    /// Bounds on memory and work.
    pub limits: LimitsConfig,
    /// How the node ends.
    pub drain: DrainConfig,
    /// The log.
    pub log: LogConfig,
    /// Traces of publishes.
    pub traces: TracesConfig,
    /// Users' own rooms.
    pub users: UsersConfig,
    /// Policies of rooms.
    pub namespaces: Namespaces,
    /// Keys of backends.
    #[serde(default)]
    pub api_keys: ApiKeysConfig,
    #[serde(skip)]
    canonical: Canonical,
}

/// Every key's value in one form ("1m" and "60s" are equal), for comparing.
#[derive(Clone, Default, PartialEq)]
struct Canonical(BTreeMap<String, String>);

impl fmt::Debug for Canonical {
    /// The values hold secrets, and the fields beside it say the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} keys", self.0.len())
    }
}

/// What changed between two configurations: keys in full, sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences {
    /// A running node takes these over.
    pub reloadable: Vec<String>,
    /// These wait for the next start.
    pub need_restart: Vec<String>,
}

impl Config {
    /// The defaults, changed by `key=value` settings; no file, no environment. For tests and for
    /// nodes inside another program.
    pub fn from_settings(settings: &[&str]) -> Result<Self, ConfigError> {
        let settings = settings.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
        Sources::flags_only(&ServeArgs { set: settings, ..ServeArgs::default() }).load()
    }

    /// Which keys differ between the configuration a node runs with and a new one.
    pub fn differences(&self, new: &Self) -> Differences {
        let mut differences = Differences::default();
        let keys = self.canonical.0.keys().chain(new.canonical.0.keys());
        for key in keys.collect::<BTreeSet<_>>() {
            if self.canonical.0.get(key) == new.canonical.0.get(key) {
                continue;
            }
            match key::find(key).map(|key| key.change) {
                Some(Change::Reload) => differences.reloadable.push(key.clone()),
                Some(Change::Restart) | None => differences.need_restart.push(key.clone()),
            }
        }
        differences
    }

    /// Whether the node serves the demo.
    pub fn has_demo(&self) -> bool {
        demo::is_on(|key| self.canonical.0.get(key).cloned())
    }

    /// Leaves the list of Redis servers as another configuration has it.
    pub(crate) fn keep_servers_of(&mut self, old: &Self) {
        self.bus.redis_url.clone_from(&old.bus.redis_url);
        self.bus.servers_version = old.bus.servers_version;
        for key in ["bus.redis_url", "bus.servers_version"] {
            if let Some(value) = old.canonical.0.get(key) {
                self.canonical.0.insert(key.into(), value.clone());
            }
        }
    }

    /// Leaves the certificate's files as another configuration has them.
    pub(crate) fn keep_tls_of(&mut self, old: &Self) {
        self.tls.clone_from(&old.tls);
        for key in ["tls.cert", "tls.key"] {
            if let Some(value) = old.canonical.0.get(key) {
                self.canonical.0.insert(key.into(), value.clone());
            }
        }
    }

    /// This configuration with the reloadable parts of another.
    pub fn with_reloadable_of(&self, new: &Self) -> Self {
        let mut merged = self.clone();
        merged.auth = new.auth.clone();
        merged.tls = new.tls.clone();
        merged.limits = new.limits.clone();
        merged.http.demo = new.http.demo;
        merged.http.demo_key = new.http.demo_key.clone();
        merged.http.origins = new.http.origins.clone();
        merged.http.body_timeout = new.http.body_timeout;
        merged.http.deflate = new.http.deflate;
        merged.http.deflate_min = new.http.deflate_min;
        merged.drain = new.drain.clone();
        merged.log.level = new.log.level.clone();
        merged.log.access = new.log.access;
        merged.users = new.users.clone();
        merged.namespaces = new.namespaces.clone();
        merged.api_keys = new.api_keys.clone();
        merged.bus.redis_url = new.bus.redis_url.clone();
        merged.bus.servers_version = new.bus.servers_version;
        let reloadable = |key: &str| key::find(key).is_some_and(|key| key.change == Change::Reload);
        merged.canonical.0.retain(|key, _| !reloadable(key));
        let taken = new.canonical.0.iter().filter(|(key, _)| reloadable(key));
        merged.canonical.0.extend(taken.map(|(key, value)| (key.clone(), value.clone())));
        merged
    }
}

/// What the arguments, the environment of this process and the file say together.
pub fn load(args: &ServeArgs) -> Result<Config, ConfigError> {
    Sources::of(args).load()
}

/// The same, read again for a running node: a node that chose its own name keeps it.
pub fn reload(args: &ServeArgs, running: &Config) -> Result<Config, ConfigError> {
    Sources::of(args).load_as(&running.node.id)
}

/// Every key with its value and where that came from, whether or not the values are valid;
/// secrets are masked.
pub fn explain(args: &ServeArgs) -> Result<Vec<ConfigEntry>, ConfigError> {
    Sources::of(args).explain()
}

/// What is to be said of the environment although nothing in it is wrong: variables that look like
/// a key's and are not.
pub fn warnings(args: &ServeArgs) -> Vec<String> {
    Sources::of(args).warnings()
}

/// What a file alone says, on top of the defaults.
pub fn check(file: &Path) -> Result<Config, ConfigError> {
    Sources::file_only(file).load()
}

#[cfg(test)]
mod tests;
