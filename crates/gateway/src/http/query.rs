//! What a client says of itself in the handshake's query: `user`, `client`, `attempt`.

use std::sync::Arc;

use roomcast_protocol::UserName;

use super::percent;
use crate::identity::{Hello, Tag};

/// Longest `client` in bytes: a UUID fits.
const MAX_CLIENT: usize = 64;

/// Reads a query; unknown arguments are left alone. Fails with what is wrong.
pub(super) fn parse(query: &str) -> Result<Hello, String> {
    let (mut hello, mut client, mut attempt) = (Hello::default(), None, 0);
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match name {
            "user" => {
                let user = decode(value)?;
                hello.user = Some(UserName::parse(&user).map_err(|e| format!("user: {e}"))?);
            }
            "client" => client = Some(client_name(decode(value)?)?),
            "attempt" => {
                attempt = value.parse().map_err(|_| "attempt: a number from 0 on".to_owned())?;
            }
            _ => {}
        }
    }
    hello.tag = client.map(|client| Box::new(Tag { client, attempt }));
    Ok(hello)
}

fn client_name(client: String) -> Result<Arc<str>, String> {
    let is_plain = client.bytes().all(|byte| byte.is_ascii_graphic());
    if client.is_empty() || client.len() > MAX_CLIENT || !is_plain {
        return Err(format!("client: 1 to {MAX_CLIENT} printable ASCII characters"));
    }
    Ok(client.into())
}

/// Undoes percent-encoding, and `+` for a blank as forms write it.
fn decode(value: &str) -> Result<String, String> {
    percent::decode(&value.replace('+', " "))
}

#[cfg(test)]
mod tests {
    use roomcast_metrics::ConnectionKind;

    use super::*;

    #[test]
    fn reads_what_a_client_says() {
        let hello = parse("user=al%C3%A9&client=abc-1&attempt=3&other=x").unwrap();
        assert_eq!(hello.user.as_ref().unwrap().as_str(), "alé");
        assert_eq!(hello.tag.as_ref().unwrap().to_string(), "client=abc-1 attempt=3");
        assert_eq!(hello.kind(), ConnectionKind::Returning);
        assert_eq!(parse("").unwrap().kind(), ConnectionKind::First);
    }

    #[test]
    fn says_what_is_wrong() {
        for (query, part) in [
            ("user=", "user:"),
            ("user=a+b", "blanks"),
            ("user=%zz", "hex digits"),
            ("user=%ff", "UTF-8"),
            ("client=", "client:"),
            ("client=a%0ab", "client:"),
            ("attempt=-1", "attempt:"),
        ] {
            let error = parse(query).unwrap_err();
            assert!(error.contains(part), "{query}: {error}");
        }
    }
}
