//! A request for a WebSocket: admission first, then the handshake.

use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::http::request::Parts;
use hyper::{Request, StatusCode};
use roomcast_access::origin::CorsGrant;
use roomcast_metrics::RefusalReason;
use roomcast_protocol::{Encoding, Subprotocol};

use super::address_check::AddressCheck;
use super::admission::{self, Admitted};
use super::answer::{Answer, HttpProblem};
use super::client_address::{AddressScope, ClientAddress};
use super::http_connection::HttpConnection;
use super::tickets;
use super::user_check::UserCheck;
use crate::form::FrameExtension;
use crate::identity::Hello;
use crate::settings::NodePurpose;
use crate::websocket::handshake::{self, Flaw, Wish};
use crate::websocket::{Grant, RateBinding};

/// Answers it. Asked without an upgrade, it answers what an upgrade would get, as browsers hide
/// that; 426 where it would be granted.
pub(super) async fn answer(
    http: &HttpConnection,
    (client, origin): (ClientAddress, Result<Option<CorsGrant>, HttpProblem>),
    head: Parts,
    body: Incoming,
) -> Result<Answer, HttpProblem> {
    let settings = http.worker.settings();
    admission::check_open(&http.status, settings.limits.connections)?;
    let check = AddressCheck {
        addresses: &http.status.addresses,
        limits: &settings.limits,
        metrics: &http.worker.metrics.limits,
        client,
    };
    let bus = &http.worker.bus;
    check.take_handshake()?;
    let hold = check.take_connection()?;
    origin?;
    let (subprotocol, Admitted { hello, ticket }) = match settings.purpose {
        NodePurpose::Rooms => {
            let subprotocol = handshake::negotiate(&head.headers).map_err(|error| {
                HttpProblem::new(StatusCode::BAD_REQUEST, "unknown_subprotocol", error.to_string())
                    .counted(RefusalReason::Subprotocol)
            })?;
            admission::check_followed(&http.status.orders, &settings.auth)?;
            let keys = &http.worker.keys;
            (subprotocol, admission::admit(&head, &settings.auth, keys, bus).await?)
        }
        NodePurpose::Echo => {
            let subprotocol = Subprotocol { encoding: Encoding::Json, chosen: None };
            (subprotocol, Admitted { hello: Hello::default(), ticket: None })
        }
    };
    // Waiting for a key takes seconds: the node may be leaving now.
    admission::check_open(&http.status, settings.limits.connections)?;
    admission::check_name(&hello, settings.limits.names)?;
    admission::check_orders(&http.status.orders, &hello, client.known_ip())?;
    let users = UserCheck {
        status: &http.status,
        limits: &settings.limits,
        metrics: &http.worker.metrics.limits,
    };
    match handshake::read(&head, &body) {
        Ok(Wish::Upgrade(accept)) => {
            let user_hold = users.take_connection(&hello).await?;
            // Waiting for the others' counts takes up to a second.
            admission::check_open(&http.status, settings.limits.connections)?;
            if let Some(ticket) = &ticket {
                tickets::spend(bus, ticket).await?;
            }
            let census = &http.status.census;
            let counted = hello.user.as_ref().filter(|_| settings.demo.is_some());
            let census_hold = counted.map(|user| census.enter(user));
            let (slot, accepted) = (http.slot.clone(), http.accepted);
            let rates = match (client.scope(&settings.limits.exempt_networks), settings.purpose) {
                (AddressScope::Exempt, _) | (_, NodePurpose::Echo) => RateBinding::Exempt,
                (AddressScope::Limited | AddressScope::OnlyProxy, _) => RateBinding::Bound,
            };
            let client = client.ip;
            let deflate = match settings.http.deflate {
                true => handshake::negotiate_deflate(&head.headers),
                false => None,
            };
            let extension = deflate.map_or(FrameExtension::None, |_| FrameExtension::Deflate);
            let response = handshake::switching(accept, subprotocol.chosen, deflate);
            let upgrade = hyper::upgrade::on(Request::from_parts(head, body));
            let grant = Grant {
                hello,
                subprotocol,
                extension,
                slot,
                hold,
                user_hold,
                census_hold,
                rates,
                accepted,
                client,
            };
            http.grant(upgrade, grant);
            Ok(response)
        }
        Ok(Wish::Answer) => {
            users.look(&hello).await?;
            Err(upgrade_required(
                "upgrade_required",
                "an upgrade to WebSocket would be granted here",
            ))
        }
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
