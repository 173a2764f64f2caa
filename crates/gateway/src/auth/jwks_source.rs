//! The address of a JWKS: fetches what it serves, once. When that is done, others decide.

use std::sync::Arc;
use std::time::Duration;

use roomcast_access::jwks::FETCH_TIMEOUT_MS;
use roomcast_access::keys::{KeySet, MAX_JWKS_BYTES, RemoteKeys, VerifyingKey, read_jwks};
use tokio::time::timeout;

use super::{KeySourceError, KeySources};
use crate::config::AuthConfig;
use crate::fetch::fetch_url;

/// The address of a JWKS, and the authorities that its server is checked against.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct JwksSource {
    /// `https`, or `http` to this machine.
    pub(super) url: String,
    /// PEM; `None`: the system's.
    pub(super) authorities: Option<Vec<u8>>,
}

impl JwksSource {
    /// The keys that it serves now, or why there are none.
    pub(crate) async fn fetch(&self) -> Result<Arc<[VerifyingKey]>, String> {
        let limit = Duration::from_millis(FETCH_TIMEOUT_MS);
        let fetching = fetch_url(&self.url, self.authorities.as_deref(), MAX_JWKS_BYTES);
        let late = |_| format!("no answer within {} s", limit.as_secs());
        let bytes = timeout(limit, fetching).await.map_err(late)?;
        let bytes = bytes.map_err(|error| error.to_string())?;
        read_jwks(&bytes).map_err(|error| error.to_string())
    }
}

/// All keys that a configuration names, those of its JWKS fetched once: for commands that check a
/// token as a node does.
pub async fn fetch_key_set(config: &AuthConfig) -> Result<KeySet, KeySourceError> {
    let KeySources { keys, jwks } = KeySources::read(config)?;
    let remote = match jwks {
        Some(source) => RemoteKeys::Fetched(source.fetch().await.map_err(KeySourceError::Fetch)?),
        None => RemoteKeys::None,
    };
    Ok(KeySet::new(keys, remote))
}
