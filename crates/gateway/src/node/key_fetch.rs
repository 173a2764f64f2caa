//! Fetches the keys of `auth.jwks_url` as long as the node runs, one fetch at a time: when one is
//! due, or when a token names a key that is not known.

use std::sync::Arc;
use std::time::Duration;

use roomcast_access::jwks::FETCH_TIMEOUT_MS;
use roomcast_access::keys::{MAX_JWKS_BYTES, VerifyingKey, read_jwks};
use roomcast_metrics::ConnectionMetrics;
use tokio::time::timeout;

use crate::auth::{JwksSource, TokenKeys, wall_ms};
use crate::fetch::fetch_url;
use crate::node_status::NodeStatus;

/// Runs until its task is aborted.
pub(super) async fn run(keys: Arc<TokenKeys>, status: Arc<NodeStatus>, metrics: ConnectionMetrics) {
    loop {
        let source = keys.next_fetch().await;
        let fetched = match fetch_keys(&source).await {
            Ok(fetched) => {
                tracing::debug!(keys = fetched.len(), "the keys of auth.jwks_url were fetched");
                metrics.jwks_fetched.set(wall_ms() as f64 / 1_000.0);
                Some(fetched)
            }
            Err(error) => {
                tracing::warn!("the keys of auth.jwks_url cannot be fetched: {error}");
                metrics.jwks_failures.inc();
                None
            }
        };
        keys.fetched(&source, fetched);
        status.await_keys(keys.is_awaited());
    }
}

async fn fetch_keys(source: &JwksSource) -> Result<Arc<[VerifyingKey]>, String> {
    let limit = Duration::from_millis(FETCH_TIMEOUT_MS);
    let fetching = fetch_url(&source.url, source.authorities.as_deref(), MAX_JWKS_BYTES);
    let late = |_| format!("no answer within {} s", limit.as_secs());
    let bytes = timeout(limit, fetching).await.map_err(late)?;
    let bytes = bytes.map_err(|error| error.to_string())?;
    read_jwks(&bytes).map_err(|error| error.to_string())
}
