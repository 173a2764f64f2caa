//! What a node shows of itself: health, metrics, and the page for people.

use hyper::StatusCode;
use hyper::header::{CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY, X_FRAME_OPTIONS};
use serde_json::json;

use super::answer::{self, Answer};
use crate::node_status::NodeStatus;

/// The page at `/`, and the two files that it loads; nothing comes from elsewhere.
const PAGE: &str = include_str!("../page.html");
const PAGE_SCRIPT: &str = include_str!("../page.js");
const PAGE_STYLE: &str = include_str!("../page.css");
/// The node's own script and style, and a WebSocket to where the page came from. Nothing inline: what
/// were ever taken as markup could still run nothing.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     connect-src 'self' ws: wss:; img-src data:; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'; require-trusted-types-for 'script'";

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
    /// The page's script.
    Script,
    /// The page's style.
    Style,
}

impl NodePage {
    /// Whether it is for browsers: then the page's host is checked.
    pub(super) fn is_for_people(self) -> bool {
        matches!(self, Self::Home | Self::Script | Self::Style)
    }
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
        NodePage::Home => page_file("text/html; charset=utf-8", PAGE),
        NodePage::Script => page_file("text/javascript; charset=utf-8", PAGE_SCRIPT),
        NodePage::Style => page_file("text/css; charset=utf-8", PAGE_STYLE),
    }
}

fn ready(status: &NodeStatus) -> Answer {
    let reasons = status.not_ready();
    let code = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    answer::json(code, &json!({ "ready": reasons.is_empty(), "reasons": reasons }))
}

fn page_file(kind: &'static str, text: &'static str) -> Answer {
    let mut answer = answer::text(StatusCode::OK, kind, text);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    answer
}
