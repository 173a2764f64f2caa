//! Admission: what may be refused before there is a connection, the same for every road to one. It
//! yields who the client is, or a problem; it knows no WebSocket.
//!
//! The order of its steps is a rule, cheap ones first: the node takes connections (`check_open`);
//! the client's address (`client_addr`); bans and limits by address; origin; credentials;
//! identity; limits by user. Nothing expensive may come before the limits by address.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use hyper::http::request::Parts;
use roomcast_access::policy::Authentication;
use roomcast_access::ticket::TicketId;
use roomcast_bus::Bus;
use roomcast_metrics::RefusalReason;
use roomcast_schema::NameBounds;

use super::answer::HttpProblem;
use super::{credentials, query};
use crate::auth::TokenKeys;
use crate::identity::Hello;
use crate::node_status::NodeStatus;
use crate::orders::{JudgedClient, OrderDesk, OrderedEnd};
use crate::settings::AuthSettings;

/// A node with authentication that has not read the orders for so long takes no connections.
const ORDERS_UNREAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Refuses a connection that the node cannot take, whatever the client: it is leaving, has not
/// reached its Redis, or has as many sockets as it may have. It looks at nothing of the request.
pub(super) fn check_open(status: &NodeStatus, most_connections: usize) -> Result<(), HttpProblem> {
    let refused = |reason, code, detail| {
        Err(HttpProblem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).counted(reason))
    };
    if status.is_closed() {
        let detail = "the node is leaving; connect to another";
        return refused(RefusalReason::Draining, "draining", detail);
    }
    if !status.is_reached() {
        let detail = "the node has not reached its Redis yet; come back, or to another";
        return refused(RefusalReason::NotReady, "not_ready", detail);
    }
    if status.sockets() > most_connections {
        let detail = "the node has as many connections as it may have";
        return refused(RefusalReason::Limit, "full", detail);
    }
    Ok(())
}

/// A client that may connect, if it is not banned and no limit is against it.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) hello: Hello,
    /// The ticket that gave the identity: it is spent as the last step.
    pub(super) ticket: Option<TicketId>,
}

/// Who asks for a connection with this head, or why the client is not admitted. Asynchronous, as the
/// key of a token may have to be fetched: what was checked before may have changed when it returns.
pub(super) async fn admit(
    head: &Parts,
    auth: &AuthSettings,
    keys: &Arc<TokenKeys>,
    bus: &Bus,
) -> Result<Admitted, HttpProblem> {
    let query = head.uri.query().unwrap_or_default();
    let query =
        query::parse(query).map_err(|detail| HttpProblem::bad_request("bad_query", detail))?;
    credentials::identify(&head.headers, query, auth, (keys, bus)).await
}

/// Refuses every client while a node with authentication may not know who is banned.
pub(super) fn check_followed(orders: &OrderDesk, auth: &AuthSettings) -> Result<(), HttpProblem> {
    let needs_orders = auth.authentication == Authentication::Configured;
    if !needs_orders || orders.was_read_within(ORDERS_UNREAD_TIMEOUT) {
        return Ok(());
    }
    let detail = "the node has not read for 10 s who is banned; come back, or to another";
    Err(HttpProblem::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", detail)
        .counted(RefusalReason::NotReady))
}

/// Refuses a client that is banned. `address` is the client's, if more than a proxy's is known.
pub(super) fn check_orders(
    orders: &OrderDesk,
    hello: &Hello,
    address: Option<IpAddr>,
) -> Result<(), HttpProblem> {
    let token_id = hello.verified.as_ref().and_then(|verified| verified.identity.token_id());
    check_ban(
        orders,
        JudgedClient { user: hello.user.as_ref(), token_id, address, connection: None },
    )
}

/// Refuses a user whose name is longer than the node takes.
pub(super) fn check_name(hello: &Hello, bounds: NameBounds) -> Result<(), HttpProblem> {
    let Some(Err(error)) = hello.user.as_ref().map(|user| bounds.judge_user(user)) else {
        return Ok(());
    };
    match hello.is_authenticated() {
        true => {
            let reason = RefusalReason::BadToken;
            Err(credentials::unauthorized("bad_token", error.to_string(), reason))
        }
        false => Err(HttpProblem::bad_request("bad_query", error.to_string())),
    }
}

/// Refuses what a ban is about.
pub(super) fn check_ban(orders: &OrderDesk, client: JudgedClient<'_>) -> Result<(), HttpProblem> {
    let Some(OrderedEnd { reason, .. }) = orders.judge(client) else { return Ok(()) };
    let detail = match reason {
        Some(reason) => format!("banned: {reason}"),
        None => "banned".to_owned(),
    };
    Err(HttpProblem::new(StatusCode::FORBIDDEN, "banned", detail).counted(RefusalReason::Banned))
}

#[cfg(test)]
mod tests {
    use hyper::Request;
    use hyper::header::RETRY_AFTER;
    use roomcast_bus::MemoryOptions;
    use roomcast_metrics::Metrics;

    use super::*;
    use crate::tests::settings;

    fn code<T: std::fmt::Debug>(outcome: Result<T, HttpProblem>) -> Option<(u16, &'static str)> {
        outcome.err().map(|problem| (problem.status.as_u16(), problem.code))
    }

    #[tokio::test]
    async fn a_node_takes_connections_until_it_is_full_or_leaves() {
        let bus = Bus::memory(MemoryOptions::default()).0;
        let status = NodeStatus::new(bus, Metrics::new(), 1, false);
        status.assign();
        assert_eq!(code(check_open(&status, 1)), None);
        status.assign();
        assert_eq!(code(check_open(&status, 1)), Some((503, "full")));
        status.drain();
        assert_eq!(code(check_open(&status, 2)), None, "it still takes some while it is unready");
        status.close();
        assert_eq!(code(check_open(&status, 1)), Some((503, "draining")), "before all others");
        let problem = check_open(&status, 2).unwrap_err();
        assert_eq!(problem.header(RETRY_AFTER).unwrap(), "1");
        assert_eq!(problem.reason, Some(RefusalReason::Draining));
    }

    #[tokio::test]
    async fn the_query_says_who_the_client_is() {
        for (uri, user) in [
            ("/ws?user=ann", Ok("ann")),
            ("/ws?user=", Err((400, "bad_query"))),
            ("/ws?client=a+b", Err((400, "bad_query"))),
        ] {
            let head = Request::get(uri).body(()).unwrap().into_parts().0;
            let bus = Bus::memory(MemoryOptions::default()).0;
            let admitted = admit(&head, &settings(&[]).auth, &Arc::default(), &bus).await;
            let got = admitted.as_ref().map(|one| one.hello.user.as_ref().unwrap().as_str());
            assert_eq!(got.map_err(|problem| (problem.status.as_u16(), problem.code)), user);
        }
    }
}
