//! What a node shows of itself to programs: health and metrics.

use hyper::StatusCode;
use serde_json::json;

use super::answer::{self, Answer};
use crate::node_status::NodeStatus;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NodePage {
    /// Whether the node's workers tick.
    Live,
    /// Whether the node is ready, and if not, why.
    Ready,
    /// All metrics.
    Metrics,
}

/// It, as it is now.
pub(super) async fn answer(page: NodePage, status: &NodeStatus) -> Answer {
    match page {
        NodePage::Live if status.is_alive() => {
            answer::json(StatusCode::OK, &json!({ "live": true }))
        }
        NodePage::Live => answer::json(StatusCode::SERVICE_UNAVAILABLE, &json!({ "live": false })),
        NodePage::Ready => ready(status),
        NodePage::Metrics => {
            answer::text(StatusCode::OK, roomcast_metrics::CONTENT_TYPE, status.render().await)
        }
    }
}

fn ready(status: &NodeStatus) -> Answer {
    let reasons = status.not_ready();
    let code = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    answer::json(code, &json!({ "ready": reasons.is_empty(), "reasons": reasons }))
}
