//! Fetches the keys of `auth.jwks_url` as long as the node runs, one fetch at a time: when one is
//! due, or when a token names a key that is not known.

use std::sync::Arc;

use roomcast_metrics::ConnectionMetrics;

use crate::auth::{TokenKeys, wall_ms};
use crate::node_status::NodeStatus;

/// Runs until its task is aborted.
pub(super) async fn run(keys: Arc<TokenKeys>, status: Arc<NodeStatus>, metrics: ConnectionMetrics) {
    loop {
        let source = keys.next_fetch().await;
        let fetched = match source.fetch().await {
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
