//! Publishing several messages in one request. Each has an outcome of its own.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::publish::{MessageBody, PendingMessage};
use super::rooms::room_named;
use super::{ApiCaller, ApiError, ApiNode, OUTCOME_TIMEOUT, body};

/// Messages in one request: what one client of a backend collects in a few ms.
pub(super) const MAX_ITEMS: usize = 1_000;

#[derive(Deserialize)]
struct BatchBody<'a> {
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct ItemRoom<'a> {
    #[serde(borrow)]
    room: Cow<'a, str>,
}

/// Publishes the items; those of one room in their order. A bad item is refused alone.
pub(crate) async fn publish_batch(
    node: &ApiNode<'_>,
    caller: &ApiCaller,
    body: &[u8],
) -> Result<Value, ApiError> {
    let BatchBody { items } = body::parse(body)?;
    if items.len() > MAX_ITEMS {
        let detail = format!("a batch has at most {MAX_ITEMS} items");
        return Err(ApiError::new("too_large", detail));
    }
    let mut submitted = Vec::with_capacity(items.len());
    for item in items {
        submitted.push(submit(node, caller, item).await);
    }
    Ok(results(node, submitted).await)
}

/// The outcome of each message, in their order.
pub(super) async fn results(
    node: &ApiNode<'_>,
    submitted: Vec<Result<PendingMessage, ApiError>>,
) -> Value {
    let deadline = Instant::now() + OUTCOME_TIMEOUT;
    let mut results = Vec::with_capacity(submitted.len());
    for pending in submitted {
        // The bus works on all of them while the first is waited for.
        let outcome = match pending {
            Ok(pending) => pending.outcome(node, deadline).await,
            Err(error) => Err(error),
        };
        results.push(outcome.unwrap_or_else(
            |ApiError { code, detail, .. }| json!({ "code": code, "detail": detail }),
        ));
    }
    json!({ "results": results })
}

async fn submit(
    node: &ApiNode<'_>,
    caller: &ApiCaller,
    item: &RawValue,
) -> Result<PendingMessage, ApiError> {
    let ItemRoom { room } = body::parse_value(item)?;
    let room = room_named(&room)?;
    let message: MessageBody<'_> = body::parse_value(item)?;
    PendingMessage::submit(node, caller, message.read(&room, None)?).await
}
