//! The node's routes, and how a request finds its own.

use std::net::IpAddr;
use std::sync::LazyLock;

use hyper::body::Incoming;
use hyper::header::{ALLOW, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode};
use roomcast_metrics::RefusalReason;

use super::answer::{Answer, HttpProblem};
use super::body::{self, BodyLimit};
use super::client_addr::forwarded;
use super::host::check_host;
use super::http_connection::HttpConnection;
use super::pages::{self, NodePage};
use super::route_table::{Access, Route, RouteMiss, RouteTable};
use super::upgrade;
use crate::node_status::NodeStatus;

/// What a route leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    WebSocket,
    Page(NodePage),
}

static ROUTES: [Route<Endpoint>; 5] = [
    get("/ws", Access::Public, Endpoint::WebSocket),
    get("/health/live", Access::Monitor, Endpoint::Page(NodePage::Live)),
    get("/health/ready", Access::Monitor, Endpoint::Page(NodePage::Ready)),
    get("/metrics", Access::Monitor, Endpoint::Page(NodePage::Metrics)),
    get("/", Access::Public, Endpoint::Page(NodePage::Home)),
];

static TABLE: LazyLock<RouteTable<Endpoint>> = LazyLock::new(|| RouteTable::new(&ROUTES));

const fn get(path: &'static str, access: Access, endpoint: Endpoint) -> Route<Endpoint> {
    Route { method: Method::GET, path, access, body: BodyLimit::NO_BODY, endpoint }
}

/// Answers one request on the node's address.
pub(super) async fn answer(http: &HttpConnection, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let trusted = &http.worker.settings().http.trusted_proxies;
    let client = forwarded(http.peer, &head.headers, trusted);
    answer_client(http, client, head, body).await.unwrap_or_else(|problem| {
        if let Some(reason) = problem.reason {
            tracing::debug!(%client, code = problem.code, "refused: {}", problem.detail);
            http.worker.metrics.connections.refused[reason].inc();
        }
        problem.into()
    })
}

async fn answer_client(
    http: &HttpConnection,
    client: IpAddr,
    head: Parts,
    body: Incoming,
) -> Result<Answer, HttpProblem> {
    let route = find(&head)?;
    match route.endpoint {
        // The bytes of a body would be read as frames: the handshake refuses it unread.
        Endpoint::WebSocket => upgrade::answer(http, client, head, body).await,
        Endpoint::Page(NodePage::Metrics) if http.status.metrics_apart => {
            let detail = "metrics have their own address";
            Err(HttpProblem::new(StatusCode::NOT_FOUND, "not_found", detail))
        }
        Endpoint::Page(page) => {
            body::read(body, route.body).await?;
            Ok(pages::answer(page, &http.status).await)
        }
    }
}

/// Answers a request on the metrics' own address.
pub(super) async fn answer_monitor(status: &NodeStatus, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    answer_watcher(status, &head, body).await.unwrap_or_else(Answer::from)
}

async fn answer_watcher(
    status: &NodeStatus,
    head: &Parts,
    body: Incoming,
) -> Result<Answer, HttpProblem> {
    let route = find(head)?;
    match route.endpoint {
        Endpoint::Page(page) if route.access == Access::Monitor => {
            body::read(body, route.body).await?;
            Ok(pages::answer(page, status).await)
        }
        _ => Err(nothing_here()),
    }
}

/// The route of a request, once its head keeps the rules of RFC 9112 that hold for every request.
fn find(head: &Parts) -> Result<&'static Route<Endpoint>, HttpProblem> {
    check_host(head).map_err(|flaw| HttpProblem::bad_request("bad_request", flaw))?;
    match TABLE.find(&head.method, head.uri.path()) {
        Ok((route, _no_parameters)) => Ok(route),
        Err(RouteMiss::Path) => Err(nothing_here()),
        Err(RouteMiss::Encoding(flaw)) => Err(HttpProblem::bad_request("bad_request", flaw)),
        Err(RouteMiss::Method(allowed)) => Err(wrong_method(&allowed)),
    }
}

fn nothing_here() -> HttpProblem {
    HttpProblem::new(StatusCode::NOT_FOUND, "not_found", "there is nothing at this path")
        .counted(RefusalReason::NotFound)
}

fn wrong_method(allowed: &str) -> HttpProblem {
    let detail = format!("this path takes {allowed} only");
    let allowed = HeaderValue::try_from(allowed).expect("names of methods are visible ASCII");
    HttpProblem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
        .counted(RefusalReason::Method)
        .with(ALLOW, allowed)
}
