//! What a node shows of itself: health, metrics, and the page for people.

use hyper::StatusCode;
use hyper::header::{CONTENT_SECURITY_POLICY, HeaderValue};
use serde_json::json;

use super::answer::{self, Answer};
use crate::node_status::NodeStatus;

/// The page at `/`: one file without anything from elsewhere.
const PAGE: &str = concat!(
    include_str!("../page.html"),
    "<script type=\"module\">\n",
    include_str!("../page.js"),
    "</script>\n",
);
/// The page's own script and style, and a WebSocket to where it came from; nothing else.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
     connect-src 'self' ws: wss:; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NodePage {
    /// Whether the node's workers tick.
    Live,
    /// Whether the node is ready, and if not, why.
    Ready,
    /// All metrics.
    Metrics,
    /// The page for people.
    Home,
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
        NodePage::Home => home(),
    }
}

fn ready(status: &NodeStatus) -> Answer {
    let reasons = status.not_ready();
    let code = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    answer::json(code, &json!({ "ready": reasons.is_empty(), "reasons": reasons }))
}

fn home() -> Answer {
    let mut answer = answer::text(StatusCode::OK, "text/html; charset=utf-8", PAGE);
    answer.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
    answer
}
