//! The node's routes, and how a request finds its own.

use std::sync::LazyLock;

use hyper::body::Incoming;
use hyper::header::{ALLOW, HeaderValue, UPGRADE};
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode};
use roomcast_access::api_key::ApiScope;
use roomcast_access::origin::{CookieUse, CorsGrant, OriginTarget};
use roomcast_metrics::{ApiRoute, RefusalReason};

use super::address_check::AddressCheck;
use super::answer::{Answer, HttpProblem};
use super::api::{self, ApiCall};
use super::body::{self, BodyLimit};
use super::client_address::ClientAddress;
use super::credentials::cookie_use;
use super::host::check_host;
use super::http_connection::HttpConnection;
use super::origin_check;
use super::pages::{self, NodePage};
use super::route_table::{Access, PathValues, Route, RouteMiss, RouteTable};
use super::tickets::ClientTickets;
use super::upgrade;
use super::web_files::{self, WebFile};
use crate::api::ApiNode;
use crate::node_status::NodeStatus;
use crate::settings::{NodePurpose, Settings};

/// What a route leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    WebSocket,
    Page(NodePage),
    File(WebFile),
    Api(ApiRoute),
}

/// What the paths of backends' routes begin with.
const API_PATHS: &str = "/v1/";
/// One connection in one room.
const MEMBER_PATH: &str = "/v1/rooms/{room}/members/{connection}";
/// Where clients take tickets with their tokens, and backends with their keys.
const TICKETS_PATH: &str = "/v1/tickets";

static ROUTES: [Route<Endpoint>; 28] = [
    get("/ws", Access::Public, Endpoint::WebSocket),
    get("/health/live", Access::Monitor, Endpoint::Page(NodePage::Live)),
    get("/health/ready", Access::Monitor, Endpoint::Page(NodePage::Ready)),
    get("/metrics", Access::Monitor, Endpoint::Page(NodePage::Metrics)),
    get("/", Access::Public, Endpoint::File(WebFile::Demo)),
    get("/demo.js", Access::Public, Endpoint::File(WebFile::DemoScript)),
    get("/demo.css", Access::Public, Endpoint::File(WebFile::DemoStyle)),
    get("/client.js", Access::Public, Endpoint::File(WebFile::Client)),
    api(Method::POST, "/v1/rooms/{room}/messages", ApiScope::Publish, ApiRoute::Publish),
    api(Method::GET, "/v1/rooms/{room}/messages", ApiScope::Read, ApiRoute::Read),
    api(Method::GET, "/v1/rooms/{room}", ApiScope::Read, ApiRoute::Room),
    api(Method::GET, "/v1/rooms/{room}/receipts", ApiScope::Read, ApiRoute::Receipts),
    api(Method::POST, "/v1/rooms/{room}/signals", ApiScope::Publish, ApiRoute::Signal),
    api(Method::PUT, MEMBER_PATH, ApiScope::Admin, ApiRoute::Join),
    api(Method::DELETE, MEMBER_PATH, ApiScope::Admin, ApiRoute::Leave),
    api(Method::POST, "/v1/users/{user}/signals", ApiScope::Publish, ApiRoute::Signal),
    api(Method::GET, "/v1/users/{user}/connections", ApiScope::Admin, ApiRoute::Connections),
    api(Method::POST, "/v1/users/{user}/messages", ApiScope::Publish, ApiRoute::Publish),
    api(Method::GET, "/v1/users/{user}/messages", ApiScope::Read, ApiRoute::Read),
    api(Method::POST, "/v1/users/messages", ApiScope::Publish, ApiRoute::UserMessages),
    api(Method::GET, "/v1/rooms/{room}/members", ApiScope::Read, ApiRoute::Members),
    api(Method::GET, "/v1/rooms/{room}/state", ApiScope::Read, ApiRoute::State),
    api(Method::POST, "/v1/batch", ApiScope::Publish, ApiRoute::Batch),
    api(Method::POST, "/v1/bans", ApiScope::Admin, ApiRoute::Ban),
    api(Method::GET, "/v1/bans", ApiScope::Admin, ApiRoute::Bans),
    api(Method::DELETE, "/v1/bans/{id}", ApiScope::Admin, ApiRoute::Lift),
    api(Method::POST, "/v1/disconnect", ApiScope::Admin, ApiRoute::Disconnect),
    api(Method::POST, TICKETS_PATH, ApiScope::Admin, ApiRoute::Ticket),
];

/// The only route of a node that sends messages back.
static ECHO_ROUTE: Route<Endpoint> = get("/", Access::Public, Endpoint::WebSocket);

static TABLE: LazyLock<RouteTable<Endpoint>> = LazyLock::new(|| RouteTable::new(&ROUTES));

const fn get(path: &'static str, access: Access, endpoint: Endpoint) -> Route<Endpoint> {
    Route { method: Method::GET, path, access, body: BodyLimit::NO_BODY, endpoint }
}

/// Where a request leads.
enum Found {
    /// With the decoded parameters of its path.
    Route(&'static Route<Endpoint>, PathValues),
    /// A browser asks whether a page may use this path, which takes these methods.
    Preflight(&'static Route<Endpoint>, String),
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
    let settings = http.worker.settings();
    let client = ClientAddress::of(http.peer, &head.headers, &settings.http.trusted_proxies);
    let mut grant = None;
    let found = match settings.purpose {
        NodePurpose::Rooms => find(&head),
        NodePurpose::Echo => find_echo(&head),
    };
    let answered = match found {
        _ if is_elsewhere(&settings, &head) => Err(nothing_here()),
        Ok(Found::Route(route, values)) => {
            let target = target_of(route.endpoint, &head);
            let origin =
                origin_check::judge(&settings, &head, cookie_use(&head, &settings.auth), target);
            grant = origin.as_ref().ok().cloned().flatten().filter(|_| has_cors(route.endpoint));
            let found = (route, values, origin);
            answer_client(http, client, found, (head, body)).await
        }
        Ok(Found::Preflight(route, allowed)) => preflight(&settings, &head, route, &allowed),
        Err(problem) => Err(problem),
    };
    let mut answer = answered.unwrap_or_else(|problem| {
        if let Some(reason) = problem.reason {
            tracing::debug!(client = %client.ip, code = problem.code, "refused: {}", problem.detail);
            http.worker.metrics.connections.refused[reason].inc();
        }
        problem.into()
    });
    if let Some(grant) = grant {
        origin_check::allow(&mut answer, &grant);
    }
    answer
}

async fn answer_client(
    http: &HttpConnection,
    client: ClientAddress,
    (route, values, origin): (&Route<Endpoint>, PathValues, Result<Option<CorsGrant>, HttpProblem>),
    (head, body): (Parts, Incoming),
) -> Result<Answer, HttpProblem> {
    let settings = http.worker.settings();
    match route.endpoint {
        Endpoint::Api(_) => {
            origin?;
            let node = ApiNode {
                bus: &http.worker.bus,
                settings: &settings,
                tracer: &http.worker.tracer,
                metrics: &http.worker.metrics,
                orders: &http.status.orders,
                peers: &http.status.peers,
            };
            let check = AddressCheck {
                addresses: &http.status.addresses,
                limits: &settings.limits,
                metrics: &http.worker.metrics.limits,
                client,
            };
            let clients = Some(ClientTickets { keys: &http.worker.keys, check });
            // In a box: what a request of a backend needs is not held for every handshake.
            let found = (route, values, clients);
            Box::pin(answer_api((&node, &http.status), found, &head, body)).await
        }
        // The bytes of a body would be read as frames: the handshake refuses it unread.
        Endpoint::WebSocket => upgrade::answer(http, (client, origin), head, body).await,
        Endpoint::Page(NodePage::Metrics) if http.status.metrics_apart => {
            let detail = "metrics have their own address";
            Err(HttpProblem::new(StatusCode::NOT_FOUND, "not_found", detail))
        }
        // Health and metrics are for programs: they are served whatever the origin.
        Endpoint::Page(page) => {
            let time = settings.http.body_timeout;
            body::read(&head.headers, body, BodyLimit { time, ..route.body }).await?;
            Ok(pages::answer(page, &http.status).await)
        }
        Endpoint::File(file) => {
            if file.is_of_demo() {
                settings.demo.as_ref().ok_or_else(nothing_here)?;
                origin?;
            }
            let time = settings.http.body_timeout;
            body::read(&head.headers, body, BodyLimit { time, ..route.body }).await?;
            Ok(web_files::answer(file, &settings, &head.headers))
        }
    }
}

/// Whether pages of other origins may read its answers.
fn has_cors(endpoint: Endpoint) -> bool {
    matches!(
        endpoint,
        Endpoint::WebSocket
            | Endpoint::Page(NodePage::Live | NodePage::Ready)
            | Endpoint::Api(ApiRoute::Ticket)
    )
}

fn target_of(endpoint: Endpoint, head: &Parts) -> OriginTarget {
    match endpoint {
        Endpoint::WebSocket if head.headers.contains_key(UPGRADE) => OriginTarget::Upgrade,
        Endpoint::File(file) if file.is_of_demo() => OriginTarget::Page,
        Endpoint::WebSocket | Endpoint::Page(_) | Endpoint::File(_) | Endpoint::Api(_) => {
            OriginTarget::Other
        }
    }
}

/// Answers OPTIONS. Health does not check the origin: without a grant a browser keeps the answer
/// from the page.
fn preflight(
    settings: &Settings,
    head: &Parts,
    route: &Route<Endpoint>,
    allowed: &str,
) -> Result<Answer, HttpProblem> {
    let cookie = match settings.auth.cookie.is_empty() {
        true => CookieUse::Off,
        false => CookieUse::NotUsed,
    };
    let origin = origin_check::judge(settings, head, cookie, OriginTarget::Other);
    let grant = match route.access {
        Access::Monitor => origin.ok().flatten(),
        Access::Public | Access::Api(_) => origin?,
    };
    Ok(origin_check::preflight(allowed, grant.as_ref()))
}

async fn answer_api(
    (node, status): (&ApiNode<'_>, &NodeStatus),
    (route, values, clients): (&Route<Endpoint>, PathValues, Option<ClientTickets<'_>>),
    head: &Parts,
    body: Incoming,
) -> Result<Answer, HttpProblem> {
    let (Access::Api(scope), Endpoint::Api(route)) = (route.access, route.endpoint) else {
        return Err(nothing_here());
    };
    Ok(api::answer(node, status, ApiCall { head, route, scope, values, clients }, body).await)
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
        match find(&head)? {
            Found::Route(route, values) => {
                answer_api((node, status), (route, values, None), &head, body).await
            }
            Found::Preflight(_, allowed) => Err(wrong_method(&allowed)),
        }
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
    let route = match find(head)? {
        Found::Route(route, _no_values) => route,
        Found::Preflight(_, allowed) => return Err(wrong_method(&allowed)),
    };
    match route.endpoint {
        Endpoint::Page(page) if route.access == Access::Monitor => {
            body::read(&head.headers, body, route.body).await?;
            Ok(pages::answer(page, status).await)
        }
        _ => Err(nothing_here()),
    }
}

/// The route of a request to a node that sends messages back: whatever its path is.
fn find_echo(head: &Parts) -> Result<Found, HttpProblem> {
    check_host(head).map_err(|flaw| HttpProblem::bad_request("bad_request", flaw))?;
    Ok(Found::Route(&ECHO_ROUTE, PathValues::new()))
}

/// The route of a request, once its head keeps the rules of RFC 9112 that hold for every request.
fn find(head: &Parts) -> Result<Found, HttpProblem> {
    check_host(head).map_err(|flaw| HttpProblem::bad_request("bad_request", flaw))?;
    match TABLE.find(&head.method, head.uri.path()) {
        Ok((route, values)) => Ok(Found::Route(route, values)),
        Err(RouteMiss::Path) => Err(nothing_here()),
        // The parameters are rooms, and ids without anything to decode.
        Err(RouteMiss::Encoding(flaw)) => Err(HttpProblem::bad_request("bad_room", flaw)),
        Err(RouteMiss::Method(allowed)) => match asked_about(head) {
            Some(route) => Ok(Found::Preflight(route, allowed)),
            None => Err(wrong_method(&allowed)),
        },
    }
}

/// The route that an OPTIONS request asks about, if pages of other origins may use it.
fn asked_about(head: &Parts) -> Option<&'static Route<Endpoint>> {
    if head.method != Method::OPTIONS {
        return None;
    }
    let route = |method| TABLE.find(method, head.uri.path()).ok().map(|(route, _)| route);
    let found = route(&Method::GET).or_else(|| route(&Method::POST));
    found.filter(|route| has_cors(route.endpoint))
}

/// Whether the path is served on the backends' own listener only.
fn is_elsewhere(settings: &Settings, head: &Parts) -> bool {
    settings.http.admin_listen.is_some() && is_api(head) && head.uri.path() != TICKETS_PATH
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
