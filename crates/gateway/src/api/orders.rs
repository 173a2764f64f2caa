//! Orders by a backend: bans, their end, and the end of connections.

use std::borrow::Cow;
use std::time::Duration;

use roomcast_access::identity::TokenId;
use roomcast_access::orders::{
    AccessOrder, BanNetwork, BanTarget, DisconnectTarget, MAX_REASON_BYTES, OrderId, OrderKind,
    Renewal,
};
use roomcast_protocol::{ConnectionId, UserName};
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::{id, name};
use super::{ApiError, ApiNode, body};

/// The shortest and the longest ban, in seconds: a year.
const BAN_SECONDS: std::ops::RangeInclusive<u64> = 1..=365 * 86_400;
/// How long a disconnect is known: a node that lost Redis for so long still ends the connections
/// when it returns.
const DISCONNECT_LIFE: Duration = Duration::from_secs(600);

#[derive(Deserialize)]
struct BanBody<'a> {
    #[serde(borrow, default)]
    user: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    jti: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    network: Option<Cow<'a, str>>,
    seconds: u64,
    #[serde(default)]
    reason: Option<String>,
}

#[derive(Deserialize)]
struct DisconnectBody<'a> {
    #[serde(borrow, default)]
    user: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    connection: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    jti: Option<Cow<'a, str>>,
    #[serde(default)]
    renew: bool,
}

/// Bans a user, a token or a network.
pub(crate) async fn ban(node: &ApiNode<'_>, body: &[u8]) -> Result<Value, ApiError> {
    let BanBody { user, jti, network, seconds, reason } = body::parse(body)?;
    let user = name(user.as_deref(), UserName::parse)?;
    let network = network.map(|text| BanNetwork::parse(&text)).transpose();
    let network = network.map_err(|error| ApiError::bad_body(format!("network: {error}")))?;
    let target = match (user, token_id(jti.as_deref())?, network) {
        (Some(user), None, None) => BanTarget::User(user),
        (None, Some(id), None) => BanTarget::TokenId(id),
        (None, None, Some(network)) => BanTarget::Network(network),
        _ => return Err(ApiError::bad_body("give one of user, jti, network")),
    };
    if !BAN_SECONDS.contains(&seconds) {
        return Err(ApiError::bad_body("seconds: 1 to a year"));
    }
    if reason.as_ref().is_some_and(|reason| reason.len() > MAX_REASON_BYTES) {
        let detail = format!("reason: at most {MAX_REASON_BYTES} bytes");
        return Err(ApiError::bad_body(detail));
    }
    let life = Duration::from_secs(seconds);
    let order = node.orders.give(OrderKind::Ban(target), life, reason).await?;
    tracing::info!(id = %order.id, seconds, "a ban was given");
    Ok(shown(&order, seconds))
}

/// The bans in force.
pub(crate) async fn bans(node: &ApiNode<'_>) -> Result<Value, ApiError> {
    let now = node.orders.now();
    let bans = node.orders.bans().await?;
    let left = |order: &AccessOrder| order.end.saturating_sub(now).div_ceil(1_000);
    let bans: Vec<_> = bans.iter().map(|order| shown(order, left(order))).collect();
    Ok(json!({ "bans": bans }))
}

/// Lifts a ban. Lifting one that is lifted changes nothing.
pub(crate) async fn lift(node: &ApiNode<'_>, id: &str) -> Result<(), ApiError> {
    let is_known = match OrderId::parse(id) {
        Some(id) => node.orders.lift(id).await?,
        None => false,
    };
    if !is_known {
        return Err(ApiError::new("not_found", "there is no such ban"));
    }
    tracing::info!(id, "a ban was lifted");
    Ok(())
}

/// Ends connections that began before now, on all nodes.
pub(crate) async fn disconnect(node: &ApiNode<'_>, body: &[u8]) -> Result<(), ApiError> {
    let DisconnectBody { user, connection, jti, renew } = body::parse(body)?;
    let user = name(user.as_deref(), UserName::parse)?;
    let connection = id("connection", connection.as_deref(), ConnectionId::parse)?;
    let target = match (user, connection, token_id(jti.as_deref())?) {
        (Some(user), None, None) => DisconnectTarget::User(user),
        (None, Some(connection), None) => DisconnectTarget::Connection(connection),
        (None, None, Some(id)) => DisconnectTarget::TokenId(id),
        _ => return Err(ApiError::bad_body("give one of user, connection, jti")),
    };
    let renewal = if renew { Renewal::Yes } else { Renewal::No };
    // What began in this very millisecond is older than the answer, too.
    let before = node.orders.latest() + 1;
    let kind = OrderKind::Disconnect { target, before, renewal };
    node.orders.give(kind, DISCONNECT_LIFE, None).await?;
    // Nothing that begins after the answer is ended.
    let left = before.saturating_sub(node.orders.earliest());
    tokio::time::sleep(Duration::from_millis(left)).await;
    Ok(())
}

fn token_id(text: Option<&str>) -> Result<Option<TokenId>, ApiError> {
    let wrong = || ApiError::bad_body("jti: 1 to 256 bytes without control characters");
    text.map(|text| TokenId::parse(text).ok_or_else(wrong)).transpose()
}

/// A ban as answers have it; `seconds` is its life, or what is left of it.
fn shown(order: &AccessOrder, seconds: u64) -> Value {
    let mut shown = json!({ "id": order.id.to_string(), "seconds": seconds, "end": order.end });
    let (member, target) = match &order.kind {
        OrderKind::Ban(BanTarget::User(user)) => ("user", user.to_string()),
        OrderKind::Ban(BanTarget::TokenId(id)) => ("jti", id.as_str().to_owned()),
        OrderKind::Ban(BanTarget::Network(network)) => ("network", network.to_string()),
        OrderKind::Disconnect { .. } => return shown,
    };
    shown[member] = target.into();
    if let Some(reason) = &order.reason {
        shown["reason"] = reason.as_str().into();
    }
    shown
}
