//! The routes of backends below `/v1`: who may use them, what they take, and their answers. The key
//! is checked before the body is read; what is asked is done in `api`.

use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use hyper::http::request::Parts;
use roomcast_access::api_key::ApiScope;
use roomcast_access::credential::bearer;
use roomcast_metrics::{ApiOutcome, ApiRoute};

use super::admission;
use super::answer::{self, Answer, HttpProblem};
use super::body::{self, BodyLimit};
use super::route_table::PathValues;
use super::tickets::{self, ClientTickets};
use crate::api::{self, ApiCaller, ApiError, ApiNode, PublishHeaders};
use crate::node_status::NodeStatus;

const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// What the paths of users' own rooms begin with.
const USER_PATHS: &str = "/v1/users/";
const TRACEPARENT: &str = "traceparent";

/// A request that found its route.
pub(super) struct ApiCall<'a> {
    pub(super) head: &'a Parts,
    pub(super) route: ApiRoute,
    pub(super) scope: ApiScope,
    /// The decoded parameters of the path.
    pub(super) values: PathValues,
    /// What tickets for clients' tokens need, where clients are served.
    pub(super) clients: Option<ClientTickets<'a>>,
}

/// Answers it, and counts the outcome.
pub(super) async fn answer(
    node: &ApiNode<'_>,
    status: &NodeStatus,
    call: ApiCall<'_>,
    body: Incoming,
) -> Answer {
    let route = call.route;
    let answer = checked(node, status, call, body).await.unwrap_or_else(Answer::from);
    let outcome = ApiOutcome::of_status(answer.status().as_u16());
    node.metrics.access.api_requests[route][outcome].inc();
    answer
}

async fn checked(
    node: &ApiNode<'_>,
    status: &NodeStatus,
    call: ApiCall<'_>,
    body: Incoming,
) -> Result<Answer, HttpProblem> {
    // Requests are few beside connections: only the sockets' own bound counts them.
    admission::check_open(status, usize::MAX)?;
    if call.route == ApiRoute::Ticket {
        return tickets::answer(node, call, body).await.map_err(HttpProblem::uncounted);
    }
    let caller = check_key(node, &call.head.headers, call.scope)?;
    let takes_body = takes_body(call.route);
    if takes_body {
        check_type(&call.head.headers)?;
    }
    let limit = match takes_body {
        true => BodyLimit {
            bytes: node.settings.limits.body_bytes,
            time: node.settings.http.body_timeout,
        },
        false => BodyLimit::NO_BODY,
    };
    let body = body::read(&call.head.headers, body, limit).await.map_err(HttpProblem::uncounted)?;
    done(node, &caller, &call, &body).await.map_err(problem)
}

/// Does what the route is for.
async fn done(
    node: &ApiNode<'_>,
    caller: &ApiCaller,
    call: &ApiCall<'_>,
    body: &[u8],
) -> Result<Answer, ApiError> {
    let value = || call.values.first().map(String::as_str).unwrap_or_default();
    let other = || call.values.get(1).map(String::as_str).unwrap_or_default();
    // Paths of users mean their own rooms.
    let room = || match call.head.uri.path().starts_with(USER_PATHS) {
        true => api::own_room(node, value()),
        false => api::room_named(value()),
    };
    let query = call.head.uri.query().unwrap_or_default();
    let ok = |value: &serde_json::Value| answer::json(StatusCode::OK, value);
    Ok(match call.route {
        ApiRoute::Publish => {
            let headers = publish_headers(&call.head.headers)?;
            ok(&api::publish(node, caller, (room()?, body), headers).await?)
        }
        ApiRoute::Batch => ok(&api::publish_batch(node, caller, body).await?),
        ApiRoute::Read => {
            let page = api::read(node, caller, room()?, query).await?;
            answer::text(StatusCode::OK, "application/json", page)
        }
        ApiRoute::Room => {
            let info = api::room_info(node, caller, room()?).await?;
            answer::text(StatusCode::OK, "application/json", info)
        }
        ApiRoute::Receipts => ok(&api::receipts(node, caller, room()?, query).await?),
        ApiRoute::Signal => {
            api::signal(node, caller, room()?, body)?;
            answer::empty(StatusCode::NO_CONTENT)
        }
        ApiRoute::Connections => ok(&api::connections(node, value()).await?),
        ApiRoute::Join => {
            api::join(node, (room()?, other()), body).await?;
            answer::empty(StatusCode::NO_CONTENT)
        }
        ApiRoute::Leave => {
            api::leave(node, (room()?, other())).await?;
            answer::empty(StatusCode::NO_CONTENT)
        }
        ApiRoute::UserMessages => ok(&api::publish_to_users(node, caller, body).await?),
        ApiRoute::Members => {
            let page = api::members(node, caller, value(), query).await?;
            answer::text(StatusCode::OK, "application/json", page)
        }
        ApiRoute::State => {
            let query = call.head.uri.query().unwrap_or_default();
            let page = api::read_state(node, caller, value(), query).await?;
            answer::text(StatusCode::OK, "application/json", page)
        }
        ApiRoute::Ban => ok(&api::ban(node, body).await?),
        ApiRoute::Bans => ok(&api::bans(node).await?),
        ApiRoute::Lift => {
            api::lift(node, value()).await?;
            answer::empty(StatusCode::NO_CONTENT)
        }
        ApiRoute::Disconnect => {
            api::disconnect(node, body).await?;
            answer::empty(StatusCode::NO_CONTENT)
        }
        // Clients may use it without a key: it is answered before.
        ApiRoute::Ticket => {
            return Err(ApiError::new("not_found", "there is nothing at this path"));
        }
    })
}

fn takes_body(route: ApiRoute) -> bool {
    use ApiRoute::{Bans, Connections, Leave, Lift, Members, Read, Receipts, Room, State};
    !matches!(route, Read | State | Members | Bans | Lift | Room | Receipts | Connections | Leave)
}

/// The backend that sent the request, if its key has the scope.
pub(super) fn check_key(
    node: &ApiNode<'_>,
    headers: &HeaderMap,
    scope: ApiScope,
) -> Result<ApiCaller, HttpProblem> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let presented = match (all.next(), all.next()) {
        (None, _) => {
            return Err(unauthorized("no_token", "send Authorization: Bearer NAME.SECRET"));
        }
        (Some(one), None) => one.to_str().ok().and_then(bearer),
        (Some(_), Some(_)) => None,
    };
    let known = presented.and_then(|presented| node.settings.api_keys.check(presented));
    let Some((name, scopes)) = known else {
        return Err(unauthorized("bad_token", "this is no API key of this node"));
    };
    if !scopes.has(scope) {
        let detail = format!("the key {name} lacks the scope {}", scope.word());
        return Err(HttpProblem::new(StatusCode::FORBIDDEN, "forbidden", detail));
    }
    Ok(ApiCaller { key: name.into(), scopes })
}

fn unauthorized(code: &'static str, detail: &'static str) -> HttpProblem {
    HttpProblem::new(StatusCode::UNAUTHORIZED, code, detail)
        .with(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}

/// A body is JSON, by its name or without one. Parameters such as `charset` change nothing.
pub(super) fn check_type(headers: &HeaderMap) -> Result<(), HttpProblem> {
    let Some(kind) = headers.get(CONTENT_TYPE) else { return Ok(()) };
    let kind = kind.to_str().unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let detail = "this path takes application/json";
    Err(HttpProblem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail))
}

fn publish_headers(headers: &HeaderMap) -> Result<PublishHeaders<'_>, ApiError> {
    let key = headers.get(IDEMPOTENCY_KEY).map(HeaderValue::to_str).transpose();
    let key = key.map_err(|_| ApiError::bad_body("Idempotency-Key: printable ASCII"))?;
    // The draft of the header has its value in quotes; most senders leave them out.
    let key = key
        .map(|key| key.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or(key));
    Ok(PublishHeaders {
        key,
        traceparent: headers.get(TRACEPARENT).and_then(|value| value.to_str().ok()),
    })
}

fn problem(error: ApiError) -> HttpProblem {
    let ApiError { code, detail, retry_after } = error;
    let status = match code {
        "forbidden" => StatusCode::FORBIDDEN,
        "not_found" => StatusCode::NOT_FOUND,
        "key_conflict" | "seq_conflict" | "too_many_keys" => StatusCode::CONFLICT,
        "too_large" => StatusCode::PAYLOAD_TOO_LARGE,
        "rate_limited" => StatusCode::TOO_MANY_REQUESTS,
        "bus_unavailable" | "overloaded" => StatusCode::SERVICE_UNAVAILABLE,
        "publish_unknown" | "no_answer" => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::BAD_REQUEST,
    };
    let problem = HttpProblem::new(status, code, detail);
    match retry_after {
        Some(wait) => problem.retry_after(wait.as_millis() as u64),
        None => problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_json_is_taken() {
        let taken = |kind: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.extend(kind.map(|kind| (CONTENT_TYPE, HeaderValue::from_static(kind))));
            check_type(&headers).map_err(|problem| problem.status.as_u16())
        };
        assert_eq!(taken(None), Ok(()));
        assert_eq!(taken(Some("application/json")), Ok(()));
        assert_eq!(taken(Some("Application/JSON; charset=utf-8")), Ok(()));
        for other in ["text/plain", "application/jsonp", ""] {
            assert_eq!(taken(Some(other)), Err(415), "{other}");
        }
    }

    #[test]
    fn every_code_has_its_status() {
        for (code, status) in [
            ("bad_body", 400),
            ("bad_room", 400),
            ("bad_query", 400),
            ("forbidden", 403),
            ("not_found", 404),
            ("key_conflict", 409),
            ("seq_conflict", 409),
            ("too_many_keys", 409),
            ("unsupported", 400),
            ("too_large", 413),
            ("rate_limited", 429),
            ("bus_unavailable", 503),
            ("overloaded", 503),
            ("publish_unknown", 504),
            ("no_answer", 504),
            ("unsupported", 400),
        ] {
            assert_eq!(problem(ApiError::new(code, "")).status.as_u16(), status, "{code}");
        }
    }
}
