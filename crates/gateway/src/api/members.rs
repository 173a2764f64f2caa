//! Connections of a user on all nodes, and rooms that a backend lets a connection join or leave.

use roomcast_protocol::{ConnectionId, ErrorCode, RoomName, UserName};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{ApiError, ApiNode, body};
use crate::peers::{
    JoinOptionsFlaw, PeerAnswer, PeerAnswers, PeerRequest, TooManyQuestions, join_by_backend,
};

/// The connections of a user, by the nodes that have them.
pub(crate) async fn connections(node: &ApiNode<'_>, user: &str) -> Result<Value, ApiError> {
    let user =
        UserName::parse(user).map_err(|error| ApiError::bad_query(format!("user: {error}")))?;
    let told = ask(node, PeerRequest::Connections(user)).await?;
    let mut rows = Vec::new();
    for (_, answer) in told.answers {
        if let PeerAnswer::Connections(some) = answer {
            rows.extend(some);
        }
    }
    let silent: Vec<String> = told.silent.iter().map(ToString::to_string).collect();
    Ok(json!({ "connections": rows, "silent": silent }))
}

/// Joins a connection to a room.
pub(crate) async fn join(
    node: &ApiNode<'_>,
    (room, connection): (RoomName, &str),
    body: &[u8],
) -> Result<(), ApiError> {
    let text = if body.trim_ascii().is_empty() { b"{}" } else { body };
    let options: Box<RawValue> = body::parse(text)?;
    join_by_backend(room.clone(), &options).map_err(|flaw| match flaw {
        JoinOptionsFlaw::Json(error) => body::told(&error),
        JoinOptionsFlaw::Value(detail) => ApiError::bad_body(detail),
    })?;
    node.settings
        .limits
        .names
        .judge_room(&room)
        .map_err(|error| ApiError::new("bad_room", error.to_string()))?;
    let info = info_bytes(&options);
    if info > node.settings.limits.info_bytes {
        let limit = node.settings.limits.info_bytes;
        let detail = format!("info has {info} bytes, {limit} are allowed");
        return Err(ApiError::new(ErrorCode::TooLarge.as_str(), detail));
    }
    let connection = id_of(connection)?;
    done(ask(node, PeerRequest::Join { connection, room, options }).await?)
}

/// Ends a connection's membership in a room, if there is one.
pub(crate) async fn leave(
    node: &ApiNode<'_>,
    (room, connection): (RoomName, &str),
) -> Result<(), ApiError> {
    let connection = id_of(connection)?;
    done(ask(node, PeerRequest::Leave { connection, room }).await?)
}

fn info_bytes(options: &RawValue) -> usize {
    #[derive(serde::Deserialize)]
    struct Info<'a> {
        #[serde(borrow, default)]
        info: Option<&'a RawValue>,
    }
    let read: Result<Info<'_>, _> = serde_json::from_str(options.get());
    read.ok().and_then(|read| read.info).map_or(0, |info| info.get().len())
}

fn id_of(text: &str) -> Result<ConnectionId, ApiError> {
    ConnectionId::parse(text).ok_or_else(unknown)
}

async fn ask(node: &ApiNode<'_>, about: PeerRequest) -> Result<PeerAnswers, ApiError> {
    node.peers.ask(node.bus, about).await.map_err(|TooManyQuestions| {
        let detail = "too many questions to the nodes wait for answers";
        ApiError::new(ErrorCode::Overloaded.as_str(), detail)
    })
}

/// What became of a request that one node is to do.
fn done(told: PeerAnswers) -> Result<(), ApiError> {
    for (_, answer) in told.answers {
        match answer {
            PeerAnswer::Done => return Ok(()),
            PeerAnswer::Refused(code, message) => {
                let known = ErrorCode::ALL.into_iter().find(|known| known.as_str() == code);
                let code = known.unwrap_or(ErrorCode::Internal);
                return Err(ApiError::new(code.as_str(), message));
            }
            PeerAnswer::Unknown | PeerAnswer::Connections(_) => {}
        }
    }
    if told.silent.is_empty() {
        return Err(unknown());
    }
    let silent: Vec<&str> = told.silent.iter().map(|node| node.as_str()).collect();
    let detail = format!("no node has the connection, and these did not answer: {silent:?}");
    Err(ApiError::new("no_answer", detail))
}

fn unknown() -> ApiError {
    ApiError::new("not_found", "no node has this connection")
}
