//! One message to several users, each in its own room.

use std::borrow::Cow;

use roomcast_protocol::{Publish, RoomName};
use serde::Deserialize;
use serde_json::Value;

use super::batch::{MAX_ITEMS, results};
use super::publish::{MessageBody, PendingMessage};
use super::rooms::own_room;
use super::{ApiCaller, ApiError, ApiNode, body};

#[derive(Deserialize)]
struct UsersBody<'a> {
    #[serde(borrow)]
    users: Vec<Cow<'a, str>>,
}

/// Publishes a message in the own room of each user. A name that is none is refused alone.
pub(crate) async fn publish_to_users(
    node: &ApiNode<'_>,
    caller: &ApiCaller,
    body: &[u8],
) -> Result<Value, ApiError> {
    let UsersBody { users } = body::parse(body)?;
    if users.len() > MAX_ITEMS {
        let detail = format!("a message has at most {MAX_ITEMS} users");
        return Err(ApiError::new("too_large", detail));
    }
    let message: MessageBody<'_> = body::parse(body)?;
    // The room is another one for each user.
    let nowhere =
        RoomName::parse("users").map_err(|error| ApiError::bad_body(error.to_string()))?;
    let (author, request) = message.read(&nowhere, None)?;
    let mut submitted = Vec::with_capacity(users.len());
    for user in users {
        submitted.push(match own_room(node, &user) {
            Ok(room) => {
                let request = Publish { room, ..request.clone() };
                PendingMessage::submit(node, caller, (author.clone(), request)).await
            }
            // The name is in the body here.
            Err(error) => Err(ApiError::bad_body(error.detail)),
        });
    }
    Ok(results(node, submitted).await)
}
