//! The node's routes, and how a request finds its own.

use std::net::IpAddr;
use std::sync::LazyLock;

use hyper::body::Incoming;
use hyper::header::{ALLOW, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode};
use roomcast_access::api_key::ApiScope;
use roomcast_metrics::{ApiRoute, RefusalReason};

use super::answer::{Answer, HttpProblem};
use super::api::{self, ApiCall};
use super::body::{self, BodyLimit};
use super::client_addr::forwarded;
use super::host::check_host;
use super::http_connection::HttpConnection;
use super::pages::{self, NodePage};
use super::route_table::{Access, PathValues, Route, RouteMiss, RouteTable};
use super::upgrade;
use crate::api::ApiNode;
use crate::node_status::NodeStatus;

/// What a route leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    WebSocket,
    Page(NodePage),
    Api(ApiRoute),
}

/// What the paths of backends' routes begin with.
const API_PATHS: &str = "/v1/";

static ROUTES: [Route<Endpoint>; 13] = [
    get("/ws", Access::Public, Endpoint::WebSocket),
    get("/health/live", Access::Monitor, Endpoint::Page(NodePage::Live)),
    get("/health/ready", Access::Monitor, Endpoint::Page(NodePage::Ready)),
    get("/metrics", Access::Monitor, Endpoint::Page(NodePage::Metrics)),
    get("/", Access::Public, Endpoint::Page(NodePage::Home)),
    api(Method::POST, "/v1/rooms/{room}/messages", ApiScope::Publish, ApiRoute::Publish),
    api(Method::GET, "/v1/rooms/{room}/messages", ApiScope::Read, ApiRoute::Read),
    api(Method::POST, "/v1/batch", ApiScope::Publish, ApiRoute::Batch),
    api(Method::POST, "/v1/bans", ApiScope::Admin, ApiRoute::Ban),
    api(Method::GET, "/v1/bans", ApiScope::Admin, ApiRoute::Bans),
    api(Method::DELETE, "/v1/bans/{id}", ApiScope::Admin, ApiRoute::Lift),
    api(Method::POST, "/v1/disconnect", ApiScope::Admin, ApiRoute::Disconnect),
    api(Method::POST, "/v1/tickets", ApiScope::Admin, ApiRoute::Ticket),
];

static TABLE: LazyLock<RouteTable<Endpoint>> = LazyLock::new(|| RouteTable::new(&ROUTES));

const fn get(path: &'static str, access: Access, endpoint: Endpoint) -> Route<Endpoint> {
    Route { method: Method::GET, path, access, body: BodyLimit::NO_BODY, endpoint }
}

/// The bound of its body is a setting, and is not in the table.
const fn api(
    method: Method,
    path: &'static str,
    scope: ApiScope,
    route: ApiRoute,
) -> Route<Endpoint> {
    let (access, endpoint) = (Access::Api(scope), Endpoint::Api(route));
    Route { method, path, access, body: BodyLimit::NO_BODY, endpoint }
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
    let settings = http.worker.settings();
    if settings.http.admin_listen.is_some() && is_api(&head) {
        return Err(nothing_here());
    }
    let (route, values) = find(&head)?;
    match route.endpoint {
        Endpoint::Api(_) => {
            let node = ApiNode {
                bus: &http.worker.bus,
                settings: &settings,
                tracer: &http.worker.tracer,
                metrics: &http.worker.metrics,
                orders: &http.status.orders,
            };
            // In a box: what a request of a backend needs is not held for every handshake.
            let answering = answer_api((&node, &http.status), (route, values), &head, body);
            Box::pin(answering).await
        }
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

async fn answer_api(
    (node, status): (&ApiNode<'_>, &NodeStatus),
    (route, values): (&Route<Endpoint>, PathValues),
    head: &Parts,
    body: Incoming,
) -> Result<Answer, HttpProblem> {
    let (Access::Api(scope), Endpoint::Api(route)) = (route.access, route.endpoint) else {
        return Err(nothing_here());
    };
    Ok(api::answer(node, status, ApiCall { head, route, scope, values }, body).await)
}

/// Answers a request on the backends' own address.
pub(super) async fn answer_admin(
    node: &ApiNode<'_>,
    status: &NodeStatus,
    request: Request<Incoming>,
) -> Answer {
    let (head, body) = request.into_parts();
    let answered = async {
        if !is_api(&head) {
            return Err(nothing_here());
        }
        answer_api((node, status), find(&head)?, &head, body).await
    };
    answered.await.unwrap_or_else(Answer::from)
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
    let (route, _no_values) = find(head)?;
    match route.endpoint {
        Endpoint::Page(page) if route.access == Access::Monitor => {
            body::read(body, route.body).await?;
            Ok(pages::answer(page, status).await)
        }
        _ => Err(nothing_here()),
    }
}

/// The route of a request, once its head keeps the rules of RFC 9112 that hold for every request.
fn find(head: &Parts) -> Result<(&'static Route<Endpoint>, PathValues), HttpProblem> {
    check_host(head).map_err(|flaw| HttpProblem::bad_request("bad_request", flaw))?;
    match TABLE.find(&head.method, head.uri.path()) {
        Ok(found) => Ok(found),
        Err(RouteMiss::Path) => Err(nothing_here()),
        // The parameters are rooms, and ids without anything to decode.
        Err(RouteMiss::Encoding(flaw)) => Err(HttpProblem::bad_request("bad_room", flaw)),
        Err(RouteMiss::Method(allowed)) => Err(wrong_method(&allowed)),
    }
}

fn is_api(head: &Parts) -> bool {
    head.uri.path().starts_with(API_PATHS)
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
