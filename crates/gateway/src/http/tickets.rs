//! Tickets: the way to one by `POST /v1/tickets`, and what one gives at a handshake. A ticket is in
//! no text that leaves this file but the answer that hands it out.

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header::AUTHORIZATION;
use roomcast_access::api_key::ApiScope;
use roomcast_access::identity::AccessIdentity;
use roomcast_access::policy::Authentication;
use roomcast_access::ticket::{
    TICKET_LIFE_MS, TicketId, decode_ticket, encode_ticket, read_ticket_request,
};
use roomcast_bus::{Bus, TicketUse};
use roomcast_metrics::RefusalReason;
use serde::Deserialize;
use serde_json::json;

use super::address_check::AddressCheck;
use super::answer::{self, Answer, HttpProblem};
use super::api::{ApiCall, check_key, check_type};
use super::body::{self, BodyLimit};
use super::{admission, credentials};
use crate::api::ApiNode;
use crate::auth::{TokenKeys, wall_ms};
use crate::orders::JudgedClient;

/// Largest body of a client that has no key yet: the longest token and some room.
const CLIENT_BODY_BYTES: usize = 32 * 1024;

/// What a ticket for a client's token needs. The backends' own listener has none of it.
pub(super) struct ClientTickets<'a> {
    pub(super) keys: &'a Arc<TokenKeys>,
    pub(super) check: AddressCheck<'a>,
}

#[derive(Deserialize)]
struct TokenBody {
    token: String,
}

/// Answers `POST /v1/tickets`: {token} is a client's, which needs no key; {sub, …} is a backend's.
pub(super) async fn answer(
    node: &ApiNode<'_>,
    mut call: ApiCall<'_>,
    body: Incoming,
) -> Result<Answer, HttpProblem> {
    let clients = call.clients.take();
    let headers = &call.head.headers;
    let key = check_key(node, headers, ApiScope::Admin).map(drop);
    if key.is_err() {
        // Strangers count in the limits by address, and have none on the backends' own listener.
        let Some(clients) = &clients else {
            key?;
            return Err(nothing_here());
        };
        clients.check.take_handshake()?;
        if !headers.contains_key(AUTHORIZATION) {
            check_configured(node)?;
        }
    }
    check_type(headers)?;
    let bytes = match key {
        Ok(()) => node.settings.limits.body_bytes,
        Err(_) => CLIENT_BODY_BYTES.min(node.settings.limits.body_bytes),
    };
    let limit = BodyLimit { bytes, time: node.settings.http.body_timeout };
    let body = body::read(headers, body, limit).await?;
    let has_own_listener = node.settings.http.admin_listen.is_some();
    let identity = match (read_token(&body), clients) {
        (Some(token), Some(clients)) => for_client(node, &clients, token).await?,
        (Some(_), None) => return Err(nothing_here()),
        // Backends have a listener of their own, and this is the other one.
        (None, Some(_)) if has_own_listener => return Err(nothing_here()),
        (None, _) if !headers.contains_key(AUTHORIZATION) && !names_user(&body) => {
            let detail =
                "give {\"token\": …}, or send an API key with {\"sub\": …, \"seconds\": …}";
            return Err(bad_body(detail.to_owned()));
        }
        (None, _) => {
            key?;
            for_backend(node, &body)?
        }
    };
    keep(node.bus, &identity).await
}

fn nothing_here() -> HttpProblem {
    HttpProblem::new(StatusCode::NOT_FOUND, "not_found", "there is nothing at this path")
}

fn bad_body(detail: String) -> HttpProblem {
    HttpProblem::new(StatusCode::BAD_REQUEST, "bad_body", detail)
}

async fn for_client(
    node: &ApiNode<'_>,
    clients: &ClientTickets<'_>,
    token: String,
) -> Result<AccessIdentity, HttpProblem> {
    check_configured(node)?;
    admission::check_followed(node.orders, &node.settings.auth)?;
    let rules = node.settings.auth.rules.clone();
    let checked = clients.keys.clone().check_connection(token.into(), rules).await;
    let identity = checked.map_err(|refusal| credentials::token_problem(&refusal))?;
    let (user, token_id) = (identity.user(), identity.token_id());
    let address = clients.check.client.known_ip();
    admission::check_ban(node.orders, JudgedClient { user, token_id, address, connection: None })?;
    Ok(identity)
}

/// The member `token` of an object; a list is none, though the library takes one for it.
fn read_token(body: &[u8]) -> Option<String> {
    let is_object = body.trim_ascii_start().first() == Some(&b'{');
    let read = serde_json::from_slice(body).ok().filter(|_| is_object);
    read.map(|TokenBody { token }| token)
}

/// Whether the body is what a backend asks for.
fn names_user(body: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(body).is_ok_and(|body| body.get("sub").is_some())
}

fn for_backend(node: &ApiNode<'_>, body: &[u8]) -> Result<AccessIdentity, HttpProblem> {
    check_configured(node)?;
    let identity = read_ticket_request(body, wall_ms());
    let identity = identity.map_err(|error| bad_body(error.to_string()))?;
    let most = node.settings.limits.info_bytes;
    if identity.info().is_some_and(|info| info.len() > most) {
        let detail = format!("info: more than {most} bytes (limits.info_bytes)");
        return Err(HttpProblem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail));
    }
    match identity.user().map(|user| node.settings.limits.names.judge_user(user)) {
        Some(Err(error)) => Err(bad_body(format!("sub: {error}"))),
        _ => Ok(identity),
    }
}

/// A node without keys for tokens gives no tickets either.
fn check_configured(node: &ApiNode<'_>) -> Result<(), HttpProblem> {
    match node.settings.auth.authentication {
        Authentication::Configured => Ok(()),
        Authentication::NotConfigured => {
            let detail = "no keys of tokens are configured on this node, so it gives no tickets";
            let reason = RefusalReason::BadToken;
            Err(credentials::unauthorized("bad_token", detail.to_owned(), reason).uncounted())
        }
    }
}

async fn keep(bus: &Bus, identity: &AccessIdentity) -> Result<Answer, HttpProblem> {
    let ticket = TicketId::new(rand::random());
    let now = wall_ms();
    let ends = identity.life().map_or(0, |life| life.ends);
    let life = TICKET_LIFE_MS.min(ends.saturating_sub(now));
    let record = encode_ticket(identity).filter(|_| life > 0).ok_or_else(|| {
        let (code, reason) = ("expired_token", RefusalReason::ExpiredToken);
        credentials::unauthorized(code, "the token ends now".to_owned(), reason)
    })?;
    let kept = bus.keep_ticket(ticket.as_str(), &record, Duration::from_millis(life)).await;
    kept.map_err(|_| unavailable())?;
    let answered = json!({ "ticket": ticket.as_str(), "expires": now + life });
    Ok(answer::json(StatusCode::OK, &answered))
}

/// The identity of a ticket that was presented, which is not spent yet.
pub(super) async fn look(bus: &Bus, text: &str) -> Result<(TicketId, AccessIdentity), HttpProblem> {
    let ticket = TicketId::parse(text).ok_or_else(spent)?;
    let record = bus.find_ticket(ticket.as_str(), TicketUse::Look).await;
    let identity = record.map_err(|_| unavailable())?.and_then(|record| decode_ticket(&record));
    // One that was made of a token ends with it.
    let is_alive =
        |identity: &AccessIdentity| identity.life().is_some_and(|life| life.ends > wall_ms());
    let identity = identity.filter(is_alive).ok_or_else(spent)?;
    Ok((ticket, identity))
}

/// Spends it: of two handshakes with one ticket the second is refused.
pub(super) async fn spend(bus: &Bus, ticket: &TicketId) -> Result<(), HttpProblem> {
    let record = bus.find_ticket(ticket.as_str(), TicketUse::Take).await;
    record.map_err(|_| unavailable())?.map(drop).ok_or_else(spent)
}

fn spent() -> HttpProblem {
    let detail = "the ticket is unknown, was used, or is too old: take a new one".to_owned();
    credentials::unauthorized("spent_ticket", detail, RefusalReason::SpentTicket)
}

fn unavailable() -> HttpProblem {
    let detail = "the bus does not answer, so tickets cannot be kept or looked up";
    HttpProblem::new(StatusCode::SERVICE_UNAVAILABLE, "bus_unavailable", detail)
        .counted(RefusalReason::BusUnavailable)
}
