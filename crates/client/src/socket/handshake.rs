//! Opening a WebSocket to a node: the address, what the client says of itself, and what a refusal
//! means.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, RETRY_AFTER, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderValue, Response, StatusCode, Uri};
use roomcast_protocol::{ClientFrame, Encoding};
use rustls::ClientConfig;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{Connector, connect_async_tls_with_config};

use super::{ClientSocket, Writing};
use crate::session::{Attempt, Failure, RetryVerdict};
use crate::{Options, TokenSource};

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
    token: Option<TokenSource>,
    /// How to speak TLS, where a URL asks for it.
    tls: Option<Arc<ClientConfig>>,
}

impl Greeting {
    pub(crate) fn new(options: &Options, tls: Option<Arc<ClientConfig>>) -> Self {
        let mut query = format!("client={}", escape(&options.client));
        if let Some(user) = &options.user {
            let _ = write!(query, "&user={}", escape(user.as_str()));
        }
        Self { encoding: options.encoding, query, token: options.token.clone(), tls }
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

    fn request(&self, url: &Uri, attempt: Attempt) -> Result<Request, Error> {
        let host = url.authority().map_or("", |authority| authority.as_str());
        let path = if url.path() == "/" { "/ws" } else { url.path() };
        let own = url.query().map(|query| format!("{query}&")).unwrap_or_default();
        let (query, scheme) = (&self.query, url.scheme_str().unwrap_or("ws"));
        let Attempt { number, tries } = attempt;
        // A client that never had a connection does not come back.
        let tries = if tries == 0 { String::new() } else { format!("&tries={tries}") };
        let mut request = format!("{scheme}://{host}{path}?{own}{query}&attempt={number}{tries}")
            .into_client_request()?;
        let subprotocol = HeaderValue::from_static(self.encoding.subprotocol());
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, subprotocol);
        Ok(request)
    }
}

pub(super) async fn open(
    url: Uri,
    greeting: Greeting,
    attempt: Attempt,
) -> Result<ClientSocket, Failure> {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .max_message_size(Some(MAX_FRAME_BYTES))
        .max_frame_size(Some(MAX_FRAME_BYTES));
    // Frames are small and wanted at once: no delay by Nagle's rule.
    let mut request = greeting.request(&url, attempt).map_err(failure)?;
    if let Some(source) = &greeting.token {
        let token = source.fetch().await.map_err(no_token)?;
        request.headers_mut().insert(AUTHORIZATION, bearer(&token)?);
    }
    let connector = greeting.tls.clone().map(Connector::Rustls);
    let (stream, _) = connect_async_tls_with_config(request, Some(config), true, connector)
        .await
        .map_err(failure)?;
    let encoding = greeting.encoding;
    Ok(ClientSocket { stream, encoding, outgoing: Default::default(), writing: Writing::Done })
}

fn no_token(error: Box<str>) -> Failure {
    Failure {
        reason: format!("there is no token: {error}").into(),
        retry_after: Duration::ZERO,
        verdict: RetryVerdict::TryAgain,
    }
}

fn bearer(token: &str) -> Result<HeaderValue, Failure> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.trim())).map_err(|_| {
        let reason = "the token has characters that no header can carry".into();
        Failure { reason, retry_after: Duration::ZERO, verdict: RetryVerdict::GiveUp }
    })?;
    value.set_sensitive(true);
    Ok(value)
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

/// A node that answers with a status. 400, 401 and 403 say that this client is not welcome as it is;
/// anything else may be a balancer's or a passing state. A token that was good once is replaced, and
/// so is one of which the answer does not say what is wrong with it.
fn refusal(response: &Response<Option<Vec<u8>>>) -> Failure {
    let status = response.status();
    let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let seconds = seconds.and_then(|text| text.parse().ok()).unwrap_or(0);
    let problem = problem_code(response.body().as_deref().unwrap_or_default());
    let verdict = match (status, problem.as_deref()) {
        (StatusCode::UNAUTHORIZED, None | Some("expired_token")) => RetryVerdict::ReplaceToken,
        (StatusCode::UNAUTHORIZED, Some("spent_ticket")) => RetryVerdict::ReplaceToken,
        (StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => {
            RetryVerdict::GiveUp
        }
        _ => RetryVerdict::TryAgain,
    };
    let code = problem.map(|code| format!(" ({code})")).unwrap_or_default();
    Failure {
        reason: format!("the handshake was refused with {status}{code}").into(),
        retry_after: Duration::from_secs(seconds),
        verdict,
    }
}

/// The `code` of a problem (RFC 9457): a word of lower-case letters and `_`. The body may be cut off,
/// so it is searched, not parsed.
fn problem_code(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    let (_, rest) = text.split_once("\"code\"")?;
    let (word, _) =
        rest.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?.split_once('"')?;
    let is_word = word.len() <= 40 && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    is_word.then(|| word.to_owned())
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

    fn check(url: &str, user: Option<&str>, tries: u32, expected: &str) {
        let attempt = Attempt { number: 3, tries };
        let mut options = Options::new([url]);
        options.client = "c 1".into();
        options.user = user.map(|user| UserName::parse(user).unwrap());
        let request = Greeting::new(&options, None).request(&url.parse().unwrap(), attempt);
        assert_eq!(request.unwrap().uri().to_string(), expected);
    }

    #[test]
    fn the_address_carries_client_user_and_attempt() {
        check("ws://h:1/ws", None, 0, "ws://h:1/ws?client=c%201&attempt=3");
        check("ws://h:1", None, 2, "ws://h:1/ws?client=c%201&attempt=3&tries=2");
        check("wss://h", None, 0, "wss://h/ws?client=c%201&attempt=3");
        check(
            "ws://h/a?b=c",
            Some("ann&é"),
            0,
            "ws://h/a?b=c&client=c%201&user=ann%26%C3%A9&attempt=3",
        );
    }

    fn refused(status: u16, body: &str) -> Failure {
        let body = Some(body.as_bytes().to_vec());
        let response = Response::builder().status(status).header(RETRY_AFTER, "7").body(body);
        let failure = refusal(&response.unwrap());
        assert_eq!(failure.retry_after, Duration::from_secs(7));
        failure
    }

    #[test]
    fn statuses_tell_whether_to_come_back() {
        for status in [400, 403] {
            assert_eq!(refused(status, "").verdict, RetryVerdict::GiveUp);
        }
        for status in [404, 429, 500, 502, 503] {
            assert_eq!(refused(status, "").verdict, RetryVerdict::TryAgain);
        }
    }

    #[test]
    fn codes_tell_what_to_do_about_a_token() {
        for (code, verdict) in [
            ("no_token", RetryVerdict::GiveUp),
            ("bad_token", RetryVerdict::GiveUp),
            ("expired_token", RetryVerdict::ReplaceToken),
            ("spent_ticket", RetryVerdict::ReplaceToken),
        ] {
            let failure = refused(401, &format!(r#"{{"status":401,"code": "{code}","det"#));
            assert_eq!(failure.verdict, verdict, "{code}");
            assert!(failure.reason.contains(code));
        }
        for unknown in ["", "<html>", r#"{"code":7}"#, r#"{"code":"\u001b[31m"}"#] {
            let failure = refused(401, unknown);
            assert_eq!(failure.verdict, RetryVerdict::ReplaceToken, "{unknown}");
            assert!(failure.reason.ends_with("401 Unauthorized"), "{}", failure.reason);
        }
    }
}
