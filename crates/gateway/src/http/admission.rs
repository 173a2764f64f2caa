//! Admission: what may be refused before there is a connection, the same for every road to one. It
//! yields who the client is, or a problem; it knows no WebSocket.
//!
//! The order of its steps is a rule, cheap ones first: the node takes connections (`check_open`);
//! the client's address (`client_addr`); bans and limits by address; origin; credentials;
//! identity; limits by user. Nothing expensive may come before the limits by address.

use std::sync::Arc;

use std::net::IpAddr;

use hyper::StatusCode;
use hyper::http::request::Parts;
use roomcast_metrics::RefusalReason;

use super::answer::HttpProblem;
use super::{credentials, query};
use crate::auth::TokenKeys;
use crate::identity::Hello;
use crate::node_status::NodeStatus;
use crate::orders::{JudgedClient, OrderDesk, OrderedEnd};
use crate::settings::AuthSettings;

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

/// Who asks for a connection with this head, or why the client is not admitted. Asynchronous, as the
/// key of a token may have to be fetched: what was checked before may have changed when it returns.
pub(super) async fn admit(
    head: &Parts,
    auth: &AuthSettings,
    keys: &Arc<TokenKeys>,
) -> Result<Hello, HttpProblem> {
    let query = head.uri.query().unwrap_or_default();
    let query =
        query::parse(query).map_err(|detail| HttpProblem::bad_request("bad_query", detail))?;
    credentials::identify(&head.headers, query, auth, keys).await
}

/// Refuses a client that is banned. `address` is the client's, if more than a proxy's is known.
pub(super) fn check_orders(
    orders: &OrderDesk,
    hello: &Hello,
    address: Option<IpAddr>,
) -> Result<(), HttpProblem> {
    let client = JudgedClient { user: hello.user.as_ref(), address, connection: None };
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
    use roomcast_bus::{Bus, MemoryOptions};
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
            let admitted = admit(&head, &settings(&[]).auth, &Arc::default()).await;
            let got = admitted.as_ref().map(|hello| hello.user.as_ref().unwrap().as_str());
            assert_eq!(got.map_err(|problem| (problem.status.as_u16(), problem.code)), user);
        }
    }
}
