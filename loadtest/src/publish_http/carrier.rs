//! What carries publishes: the bytes of one request, and how many of them an answer acknowledges.
//! Pure.

use anyhow::{Context, Result, bail};
use roomcast_protocol::ServerFrame;
use serde_json::{Value, json};

use crate::dialect::{Dialect, WireEncoding, room_text};
use crate::wire;

/// A way to publish.
#[derive(Debug, Clone)]
pub(super) enum Carrier {
    /// Frames on a connection, so many in one write.
    WebSocket { at_once: usize },
    /// A POST for each message.
    Http { key: String },
    /// A POST for so many.
    HttpBatch { key: String, items: usize },
}

impl Carrier {
    /// As the table calls it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::WebSocket { at_once: 1 } => "WebSocket, one at a time".to_owned(),
            Self::WebSocket { at_once } => format!("WebSocket, {at_once} at a time"),
            Self::Http { .. } => "HTTP, one in a request".to_owned(),
            Self::HttpBatch { items, .. } => format!("HTTP, {items} in a batch"),
        }
    }

    /// Messages of one request.
    pub(super) fn messages(&self) -> usize {
        match self {
            Self::WebSocket { at_once } => *at_once,
            Self::Http { .. } => 1,
            Self::HttpBatch { items, .. } => *items,
        }
    }

    /// One request, in this room.
    pub(super) fn request(
        &self,
        dialect: &Dialect,
        room: usize,
        payload: usize,
    ) -> Result<Vec<u8>> {
        let text = room_text(room);
        let data = Value::from("x".repeat(payload.saturating_sub(2)));
        match self {
            Self::WebSocket { at_once } => {
                let data = WireEncoding::Json.payload("", payload);
                let frame = dialect.publish(room, data, Some(1))?;
                Ok(frame.repeat(*at_once))
            }
            Self::Http { key } => {
                let path = format!("/v1/rooms/{text}/messages");
                Ok(post(dialect, (&path, key), &json!({ "data": data })))
            }
            Self::HttpBatch { key, items } => {
                let items = vec![json!({ "room": text, "data": data }); *items];
                Ok(post(dialect, ("/v1/batch", key), &json!({ "items": items })))
            }
        }
    }

    /// Takes one whole answer off what has come; the messages that it acknowledges, if it is whole.
    pub(super) fn take_answer(&self, come: &mut Vec<u8>) -> Result<Option<usize>> {
        let Some(end) = wire::head_end(come) else { return Ok(None) };
        let head = String::from_utf8_lossy(&come[..end]).into_owned();
        let length =
            wire::field(&head, "content-length").and_then(|text| text.parse::<usize>().ok());
        let whole = end + length.context("an answer without Content-Length")?;
        if come.len() < whole {
            return Ok(None);
        }
        let body = String::from_utf8_lossy(&come[end..whole]).into_owned();
        come.drain(..whole);
        if head.split(' ').nth(1) != Some("200") {
            bail!("a publish was answered {:?}: {body}", head.lines().next().unwrap_or_default());
        }
        let acks = body.matches("\"seq\":").count();
        if acks != self.messages() {
            bail!("{acks} of {} messages were taken: {body}", self.messages());
        }
        Ok(Some(acks))
    }

    /// Reads a frame of a WebSocket: whether it is an ack.
    pub(super) fn is_ack(dialect: &Dialect, payload: &[u8]) -> Result<bool> {
        match dialect.decode(payload)? {
            ServerFrame::Ack { .. } => Ok(true),
            ServerFrame::Error { code, message, .. } => {
                bail!("a publish was answered {}: {message}", code.as_str())
            }
            _ => Ok(false),
        }
    }
}

fn post(dialect: &Dialect, (path, key): (&str, &str), body: &Value) -> Vec<u8> {
    let (body, host) = (body.to_string(), dialect.addr);
    format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: &str, body: &str) -> Vec<u8> {
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    #[test]
    fn answers_are_taken_whole_and_one_by_one() {
        let carrier = Carrier::HttpBatch { key: String::new(), items: 2 };
        let body = r#"{"results":[{"epoch":"e","seq":1,"time":1},{"epoch":"e","seq":2,"time":1}]}"#;
        let whole = answer("200 OK", body);
        for cut in [0, 10, whole.len() - 1] {
            let mut come = whole[..cut].to_vec();
            assert_eq!(carrier.take_answer(&mut come).unwrap(), None);
        }
        let mut come = whole.repeat(2);
        for rest in [whole.len(), 0] {
            assert_eq!(carrier.take_answer(&mut come).unwrap(), Some(2));
            assert_eq!(come.len(), rest);
        }
        let half = r#"{"results":[{"seq":1},{"code":"overloaded"}]}"#;
        for mut bad in [answer("503 x", ""), answer("200 OK", half)] {
            assert!(carrier.take_answer(&mut bad).is_err());
        }
    }
}
