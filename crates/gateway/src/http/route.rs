//! The routes. One table says which path takes which method.

use std::sync::LazyLock;

use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::{Method, Request, StatusCode};
use matchit::Router;
use roomcast_metrics::RefusalReason;
use serde_json::json;

use super::handshake::check_host;
use super::upgrade::HttpConnection;
use super::{Answer, answer, upgrade};
use crate::node_status::NodeStatus;

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Socket,
    Live,
    Ready,
    Metrics,
    Page,
}

const ROUTES: [(&str, Route); 5] = [
    ("/ws", Route::Socket),
    ("/health/live", Route::Live),
    ("/health/ready", Route::Ready),
    ("/metrics", Route::Metrics),
    ("/", Route::Page),
];

static ROUTER: LazyLock<Router<Route>> = LazyLock::new(|| {
    let mut router = Router::new();
    for (path, route) in ROUTES {
        router.insert(path, route).expect("the paths of the table differ");
    }
    router
});

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

/// Answers one request.
pub(super) async fn answer(http: &HttpConnection, request: Request<Incoming>) -> Answer {
    let refused = &http.worker.metrics.connections.refused;
    if let Err(flaw) = check_host(&request) {
        refused[RefusalReason::BadRequest].inc();
        return bad_request(flaw);
    }
    let Ok(found) = ROUTER.at(request.uri().path()) else {
        refused[RefusalReason::NotFound].inc();
        return answer::problem(
            StatusCode::NOT_FOUND,
            "not_found",
            "there is nothing at this path",
        );
    };
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        refused[RefusalReason::Method].inc();
        let mut answer = answer::problem(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "this path takes GET only",
        );
        answer.headers_mut().insert("allow", HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    match found.value {
        Route::Socket => upgrade::answer(http, request),
        Route::Page => page(),
        Route::Metrics if http.status.metrics_apart => {
            answer::problem(StatusCode::NOT_FOUND, "not_found", "metrics have their own address")
        }
        route => monitor(&http.status, *route).await,
    }
}

/// Answers a request on the metrics' own address.
pub(crate) async fn answer_monitor(status: &NodeStatus, request: &Request<Incoming>) -> Answer {
    if let Err(flaw) = check_host(request) {
        return bad_request(flaw);
    }
    match ROUTER.at(request.uri().path()).map(|found| *found.value) {
        Ok(route @ (Route::Live | Route::Ready | Route::Metrics)) => monitor(status, route).await,
        _ => answer::problem(StatusCode::NOT_FOUND, "not_found", "there is nothing at this path"),
    }
}

/// A request that RFC 9112 has every server refuse, whatever it asks for.
fn bad_request(flaw: &str) -> Answer {
    answer::problem(StatusCode::BAD_REQUEST, "bad_request", flaw)
}

async fn monitor(status: &NodeStatus, route: Route) -> Answer {
    match route {
        Route::Live if status.is_alive() => answer::json(StatusCode::OK, &json!({ "live": true })),
        Route::Live => answer::json(StatusCode::SERVICE_UNAVAILABLE, &json!({ "live": false })),
        Route::Metrics => {
            answer::text(StatusCode::OK, roomcast_metrics::CONTENT_TYPE, status.render().await)
        }
        _ => ready(status),
    }
}

fn ready(status: &NodeStatus) -> Answer {
    let reasons = status.not_ready();
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    answer::json(status, &json!({ "ready": reasons.is_empty(), "reasons": reasons }))
}

fn page() -> Answer {
    let mut answer = answer::text(StatusCode::OK, "text/html; charset=utf-8", PAGE);
    let policy = HeaderValue::from_static(PAGE_POLICY);
    answer.headers_mut().insert("content-security-policy", policy);
    answer
}
