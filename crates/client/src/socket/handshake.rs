//! Opening a WebSocket to a node: the address, what the client says of itself, and what a refusal
//! means.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use http::header::{RETRY_AFTER, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderValue, Response, StatusCode, Uri};
use roomcast_protocol::{ClientFrame, Encoding};
use rustls::ClientConfig;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{Connector, connect_async_tls_with_config};

use super::{ClientSocket, Writing};
use crate::Options;
use crate::session::{Failure, RetryVerdict};

/// The largest frame taken from a node: a message of 1 MiB, the ceiling of any namespace, may be a
/// third longer as base64, and a page of history holds several.
const MAX_FRAME_BYTES: usize = 16 << 20;
/// Enough for a burst of small messages per read; larger ones grow it.
const READ_BUFFER_BYTES: usize = 16 << 10;

/// What a client says of itself at every handshake.
#[derive(Debug, Clone)]
pub(crate) struct Greeting {
    encoding: Encoding,
    /// `client=…&user=…`, ready for a URL.
    query: String,
    /// How to speak TLS, where a URL asks for it.
    tls: Option<Arc<ClientConfig>>,
}

impl Greeting {
    pub(crate) fn new(options: &Options, tls: Option<Arc<ClientConfig>>) -> Self {
        let mut query = format!("client={}", escape(&options.client));
        if let Some(user) = &options.user {
            let _ = write!(query, "&user={}", escape(user.as_str()));
        }
        Self { encoding: options.encoding, query, tls }
    }

    /// A frame as this client's encoding sends it.
    pub(crate) fn encode(&self, frame: &ClientFrame) -> Message {
        let mut bytes = Vec::new();
        frame.encode(self.encoding, &mut bytes);
        match self.encoding {
            Encoding::Json => match String::from_utf8(bytes) {
                Ok(text) => Message::text(text),
                Err(error) => Message::binary(error.into_bytes()),
            },
            Encoding::MsgPack => Message::binary(bytes),
        }
    }

    fn request(&self, url: &Uri, attempt: u32) -> Result<Request, Error> {
        let host = url.authority().map_or("", |authority| authority.as_str());
        let path = if url.path() == "/" { "/ws" } else { url.path() };
        let own = url.query().map(|query| format!("{query}&")).unwrap_or_default();
        let (query, scheme) = (&self.query, url.scheme_str().unwrap_or("ws"));
        let mut request = format!("{scheme}://{host}{path}?{own}{query}&attempt={attempt}")
            .into_client_request()?;
        let subprotocol = HeaderValue::from_static(self.encoding.subprotocol());
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, subprotocol);
        Ok(request)
    }
}

pub(super) async fn open(
    url: Uri,
    greeting: Greeting,
    attempt: u32,
) -> Result<ClientSocket, Failure> {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .max_message_size(Some(MAX_FRAME_BYTES))
        .max_frame_size(Some(MAX_FRAME_BYTES));
    // Frames are small and wanted at once: no delay by Nagle's rule.
    let request = greeting.request(&url, attempt).map_err(failure)?;
    let connector = greeting.tls.clone().map(Connector::Rustls);
    let (stream, _) = connect_async_tls_with_config(request, Some(config), true, connector)
        .await
        .map_err(failure)?;
    let encoding = greeting.encoding;
    Ok(ClientSocket { stream, encoding, outgoing: Default::default(), writing: Writing::Done })
}

fn failure(error: Error) -> Failure {
    match error {
        Error::Http(response) => refusal(&response),
        error => Failure {
            reason: error.to_string().into(),
            retry_after: Duration::ZERO,
            verdict: RetryVerdict::TryAgain,
        },
    }
}

/// A node that answers with a status. 400 (no subprotocol in common), 401 and 403 say that this
/// client is not welcome as it is; anything else may be a balancer's or a passing state.
fn refusal<B>(response: &Response<B>) -> Failure {
    let status = response.status();
    let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let seconds = seconds.and_then(|text| text.parse().ok()).unwrap_or(0);
    let final_ones = [StatusCode::BAD_REQUEST, StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN];
    let verdict =
        if final_ones.contains(&status) { RetryVerdict::GiveUp } else { RetryVerdict::TryAgain };
    Failure {
        reason: format!("the handshake was refused with {status}").into(),
        retry_after: Duration::from_secs(seconds),
        verdict,
    }
}

/// Percent-encoding (RFC 3986) of everything but unreserved characters.
fn escape(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut escaped, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                escaped.push(byte.into());
            }
            _ => drop(write!(escaped, "%{byte:02X}")),
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use roomcast_protocol::UserName;

    use super::*;

    fn check(url: &str, user: Option<&str>, expected: &str) {
        let mut options = Options::new([url]);
        options.client = "c 1".into();
        options.user = user.map(|user| UserName::parse(user).unwrap());
        let request = Greeting::new(&options, None).request(&url.parse().unwrap(), 3).unwrap();
        assert_eq!(request.uri().to_string(), expected);
    }

    #[test]
    fn the_address_carries_client_user_and_attempt() {
        check("ws://h:1/ws", None, "ws://h:1/ws?client=c%201&attempt=3");
        check("ws://h:1", None, "ws://h:1/ws?client=c%201&attempt=3");
        check("wss://h", None, "wss://h/ws?client=c%201&attempt=3");
        check(
            "ws://h/a?b=c",
            Some("ann&é"),
            "ws://h/a?b=c&client=c%201&user=ann%26%C3%A9&attempt=3",
        );
    }

    #[test]
    fn statuses_tell_whether_to_come_back() {
        let verdict = |status: u16| {
            let response = Response::builder().status(status).header(RETRY_AFTER, "7").body(());
            let failure = refusal(&response.unwrap());
            assert_eq!(failure.retry_after, Duration::from_secs(7));
            failure.verdict
        };
        for status in [400, 401, 403] {
            assert_eq!(verdict(status), RetryVerdict::GiveUp);
        }
        for status in [404, 429, 500, 502, 503] {
            assert_eq!(verdict(status), RetryVerdict::TryAgain);
        }
    }
}
