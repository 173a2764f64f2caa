//! Publishing by a backend: one message, from its body to the position that it got.

use std::borrow::Cow;

use roomcast_access::policy::{Caller, RoomStanding};
use roomcast_bus::{PublishAck, PublishError};
use roomcast_metrics::{LimitAction, LimitName};
use roomcast_protocol::{
    ConnectionId, Data, Epoch, EventName, MAX_TRACEPARENT_BYTES, MAX_TTL_MS, MIN_TTL_MS, Position,
    Publish, PublishKey, RoomName, Seq, StateKey, UserName,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::body::{id, name};
use super::judging::judge;
use super::{ApiCaller, ApiError, ApiNode, OUTCOME_TIMEOUT, body};
use crate::permit::{RoomAction, permit};
use crate::publication::{
    PublicationAuthor, PublishOutcome, Submission, judge_options, publish_error_code,
};
use crate::traces::{Followed, TracedOutcome};

/// What may stand beside a body.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PublishHeaders<'a> {
    /// `Idempotency-Key`.
    pub(crate) key: Option<&'a str>,
    /// `traceparent` (W3C Trace Context).
    pub(crate) traceparent: Option<&'a str>,
}

/// A message as a body has it.
#[derive(Deserialize)]
pub(super) struct MessageBody<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(borrow, default)]
    event: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    key: Option<Cow<'a, str>>,
    #[serde(default)]
    if_seq: Option<Seq>,
    #[serde(borrow, default)]
    epoch: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    user: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    connection: Option<Cow<'a, str>>,
    #[serde(default)]
    echo: Option<bool>,
    #[serde(borrow, default)]
    state_key: Option<Cow<'a, str>>,
    #[serde(default)]
    ttl_ms: Option<u64>,
    #[serde(default)]
    remove: Option<bool>,
    #[serde(default)]
    if_key_seq: Option<Seq>,
    #[serde(default)]
    receipts: bool,
}

/// Publishes one message.
pub(crate) async fn publish(
    node: &ApiNode<'_>,
    caller: &ApiCaller,
    (room, body): (RoomName, &[u8]),
    headers: PublishHeaders<'_>,
) -> Result<Value, ApiError> {
    let mut message: MessageBody<'_> = body::parse(body)?;
    match (&message.key, headers.key) {
        (Some(own), Some(header)) if own != header => {
            return Err(ApiError::bad_body("key and Idempotency-Key differ"));
        }
        (None, Some(header)) => message.key = Some(header.into()),
        _ => {}
    }
    let traceparent = headers.traceparent.filter(|text| text.len() <= MAX_TRACEPARENT_BYTES);
    let message = message.read(&room, traceparent)?;
    let pending = PendingMessage::submit(node, caller, message).await?;
    pending.outcome(node, Instant::now() + OUTCOME_TIMEOUT).await
}

/// A message that the bus has.
pub(super) struct PendingMessage {
    room: RoomName,
    user: Option<UserName>,
    caller: ApiCaller,
    answer: oneshot::Receiver<(PublishOutcome, Option<Box<Followed>>)>,
}

impl PendingMessage {
    /// Checks a message and hands it to the bus. What is submitted to one room in a row is stored
    /// in that order.
    pub(super) async fn submit(
        node: &ApiNode<'_>,
        caller: &ApiCaller,
        (author, request): (PublicationAuthor, Publish),
    ) -> Result<Self, ApiError> {
        let room = request.room.clone();
        let action = RoomAction::Publish { data_bytes: request.data.len() };
        let standing = (Caller::ApiKey(caller.scopes), RoomStanding::Outside);
        permit(node.settings, standing, &room, action)?;
        let user = author.user.clone();
        if let Some(user) = &user {
            let judged = node.settings.limits.names.judge_user(user);
            judged.map_err(|error| ApiError::bad_body(format!("user: {error}")))?;
        }
        let namespace = node.settings.namespace_of(&room);
        judge_options(&request, namespace)
            .map_err(|(code, message)| ApiError::new(code.as_str(), message))?;
        judge(node.settings, &request).await?;
        let author = PublicationAuthor { api_key: Some(caller.key.clone()), ..author };
        let submission = Submission::new(author, namespace, node.tracer, request);
        let (answer, answered) = oneshot::channel();
        node.metrics.traffic.messages_in.inc();
        submission.submit(node.bus, move |outcome, followed| {
            // The backend may have gone.
            let _ = answer.send((outcome, followed));
        });
        Ok(Self { room, user, caller: caller.clone(), answer: answered })
    }

    /// Where it was stored, as an answer; a message without outcome at the deadline is
    /// `publish_unknown`.
    pub(super) async fn outcome(
        self,
        node: &ApiNode<'_>,
        deadline: Instant,
    ) -> Result<Value, ApiError> {
        let unknown = || (Err(PublishError::Unknown), None);
        let answered = timeout_at(deadline, self.answer).await;
        let (outcome, followed) = answered.ok().and_then(Result::ok).unwrap_or_else(unknown);
        if let Some(followed) = followed {
            let result = match &outcome {
                Ok(ack) => Ok(ack.position.seq),
                Err(error) => Err(publish_error_code(*error).as_str()),
            };
            let user = self.user.as_ref().map(UserName::as_str);
            let connection = format!("api_key {}", self.caller.key);
            let traced = TracedOutcome { room: &self.room, user, connection, result };
            node.tracer.published(&followed, &traced);
        }
        if let Err(PublishError::RoomRate(_)) = outcome {
            let above = &node.metrics.limits.above[LimitName::RoomPublishRate];
            above[LimitAction::Refused].inc();
        }
        let PublishAck { position, time } = outcome?;
        Ok(json!({ "epoch": position.epoch.to_string(), "seq": position.seq, "time": time }))
    }
}

impl MessageBody<'_> {
    /// The author and the request that the body means.
    pub(super) fn read(
        self,
        room: &RoomName,
        traceparent: Option<&str>,
    ) -> Result<(PublicationAuthor, Publish), ApiError> {
        let data = Data::json(self.data.get().as_bytes().to_vec())
            .map_err(|error| ApiError::bad_body(format!("data: {error}")))?;
        let epoch = id("epoch", self.epoch.as_deref(), Epoch::parse)?;
        let is_conditional = self.if_seq.is_some() || self.if_key_seq.is_some();
        if is_conditional != epoch.is_some() {
            return Err(ApiError::bad_body("if_seq or if_key_seq and epoch belong together"));
        }
        let at = |seq: Option<Seq>| Some(Position { epoch: epoch?, seq: seq? });
        if let Some(ttl_ms) = self.ttl_ms
            && !(MIN_TTL_MS..=MAX_TTL_MS).contains(&ttl_ms)
        {
            return Err(ApiError::bad_body(format!("ttl_ms: {MIN_TTL_MS} to {MAX_TTL_MS}")));
        }
        let author = PublicationAuthor {
            user: name(self.user.as_deref(), UserName::parse)?,
            connection: id("connection", self.connection.as_deref(), ConnectionId::parse)?,
            ..PublicationAuthor::default()
        };
        let request = Publish {
            event: name(self.event.as_deref(), EventName::parse)?,
            key: name(self.key.as_deref(), PublishKey::parse)?,
            if_seq: at(self.if_seq),
            if_key_seq: at(self.if_key_seq),
            state_key: name(self.state_key.as_deref(), StateKey::parse)?,
            ttl_ms: self.ttl_ms,
            remove: self.remove.unwrap_or(false),
            echo: self.echo.unwrap_or(true),
            receipts: self.receipts,
            traceparent: traceparent.map(Into::into),
            ..Publish::new(room.clone(), data)
        };
        Ok((author, request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(PublicationAuthor, Publish), ApiError> {
        let message: MessageBody<'_> = body::parse(text.as_bytes())?;
        message.read(&RoomName::parse("a").unwrap(), None)
    }

    #[test]
    fn a_body_has_all_of_a_message() {
        let (author, request) = read(
            r#"{"data": {"a": [1]}, "event": "note", "key": "k", "if_seq": 7,
                "epoch": "00000000000000ff", "user": "al\u00e9", "connection": "0000000000000001",
                "echo": false, "later": 1}"#,
        )
        .unwrap();
        assert_eq!(request.data, Data::json(r#"{"a": [1]}"#).unwrap());
        assert_eq!(request.event.unwrap().as_str(), "note");
        assert_eq!(request.key.unwrap().as_str(), "k");
        assert_eq!(request.if_seq, Some(Position { epoch: Epoch(255), seq: 7 }));
        assert!(!request.echo);
        assert_eq!(author.user.unwrap().as_str(), "alé");
        assert_eq!(author.connection, Some(ConnectionId(1)));
        let (_, request) = read(r#"{"data": null}"#).unwrap();
        assert!(request.echo && request.data == Data::json("null").unwrap());
    }

    #[test]
    fn other_bodies_are_refused() {
        for (text, part) in [
            ("", "object"),
            ("[]", "object"),
            ("[1]", "object"),
            ("{", "EOF"),
            ("{}", "data"),
            (r#"{"data":1,"data":2}"#, "duplicate"),
            (r#"{"data":1} x"#, "trailing"),
            (r#"{"data":1,"event":""}"#, "event"),
            (r#"{"data":1,"key":"a b"}"#, "key"),
            (r#"{"data":1,"if_seq":1}"#, "belong together"),
            (r#"{"data":1,"epoch":"00000000000000ff"}"#, "belong together"),
            (r#"{"data":1,"if_seq":-1,"epoch":"00000000000000ff"}"#, "invalid value"),
            (r#"{"data":1,"connection":"1"}"#, "connection"),
            (r#"{"data":1,"echo":"no"}"#, "invalid type"),
        ] {
            let error = read(text).unwrap_err();
            assert_eq!(error.code, "bad_body", "{text}");
            assert!(error.detail.contains(part), "{text}: {}", error.detail);
        }
        let deep = format!(r#"{{"data":{}{}}}"#, "[".repeat(65), "]".repeat(65));
        assert!(read(&deep).unwrap_err().detail.contains("nested deeper"));
    }
}
