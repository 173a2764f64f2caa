//! A request for a WebSocket: admission first, then the handshake.

use std::net::IpAddr;

use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::http::request::Parts;
use hyper::{Request, StatusCode};
use roomcast_metrics::RefusalReason;

use super::admission;
use super::answer::{Answer, HttpProblem};
use super::http_connection::HttpConnection;
use crate::websocket::Grant;
use crate::websocket::handshake::{self, Flaw, Wish};

/// Answers it. Asked without an upgrade, it answers what an upgrade would get, as browsers hide
/// that; 426 where it would be granted.
pub(super) async fn answer(
    http: &HttpConnection,
    client: IpAddr,
    head: Parts,
    body: Incoming,
) -> Result<Answer, HttpProblem> {
    let settings = http.worker.settings();
    admission::check_open(&http.status, settings.limits.connections)?;
    let subprotocol = handshake::negotiate(&head.headers).map_err(|error| {
        HttpProblem::new(StatusCode::BAD_REQUEST, "unknown_subprotocol", error.to_string())
            .counted(RefusalReason::Subprotocol)
    })?;
    let hello = admission::admit(&head).await?;
    let address = Some(client).filter(|client| !settings.http.trusted_proxies.contain(*client));
    admission::check_orders(&http.status.orders, &hello, address)?;
    match handshake::read(&head, &body) {
        Ok(Wish::Upgrade(accept)) => {
            let (slot, accepted) = (http.slot.clone(), http.accepted);
            let response = handshake::switching(accept, subprotocol.chosen);
            let upgrade = hyper::upgrade::on(Request::from_parts(head, body));
            http.grant(upgrade, Grant { hello, subprotocol, slot, accepted, client });
            Ok(response)
        }
        Ok(Wish::Answer) => Err(upgrade_required(
            "upgrade_required",
            "an upgrade to WebSocket would be granted here",
        )),
        Err(Flaw::Version) => {
            let detail = "this node speaks version 13 of WebSocket only";
            Err(upgrade_required("bad_handshake", detail).counted(RefusalReason::BadRequest))
        }
        Err(Flaw::Rule(detail)) => Err(HttpProblem::bad_request("bad_handshake", detail)),
    }
}

fn upgrade_required(code: &'static str, detail: &'static str) -> HttpProblem {
    handshake::OFFER.into_iter().fold(
        HttpProblem::new(StatusCode::UPGRADE_REQUIRED, code, detail),
        |problem, (name, value)| problem.with(name, HeaderValue::from_static(value)),
    )
}
