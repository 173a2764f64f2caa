//! The flags of `roomcast serve`, as typed: nothing has a default here, so that a flag that was
//! not given hides no file and no variable.

use std::path::PathBuf;
use std::str::FromStr;

use super::ConfigError;

/// Flags that configure a node.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ServeArgs {
    /// Read this TOML file.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Listen here (key http.listen).
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// Join the nodes of this Redis; without it the node stands alone (key bus.redis_url).
    #[arg(long, value_name = "URL")]
    pub redis_url: Option<String>,
    /// The node's name, unique among the nodes (key node.id).
    #[arg(long, value_name = "ID")]
    pub node_id: Option<String>,
    /// Listen beyond this machine although there is no authentication (key insecure).
    #[arg(long)]
    pub insecure: bool,
    /// Set any key, for example --set limits.rooms_per_connection=16; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<Setting>,
}

/// One `key=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The key in full.
    pub key: String,
    /// Its value, as it would stand in the environment.
    pub value: String,
}

impl FromStr for Setting {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let (key, value) = text.split_once('=').ok_or(ConfigError::Setting)?;
        Ok(Self { key: key.trim().into(), value: value.trim().into() })
    }
}
