//! What a client says in the handshake's query: `user`, `client`, `attempt`, `tries`, `token`, `ticket`.

use std::fmt;
use std::sync::Arc;

use roomcast_protocol::UserName;

use super::percent;
use crate::identity::Tag;

/// Longest `client` in bytes: a UUID fits.
const MAX_CLIENT: usize = 64;

/// What a query says.
pub(super) struct ClientQuery {
    /// The user, or what is wrong with it: it counts only where clients name themselves.
    pub(super) user: Result<Option<UserName>, String>,
    pub(super) tag: Option<Box<Tag>>,
    pub(super) tries: Option<u32>,
    pub(super) ticket: Option<String>,
    pub(super) token: Option<String>,
}

/// Without what it presents.
impl fmt::Debug for ClientQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientQuery").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Reads a query; unknown arguments are left alone. Fails with what is wrong.
pub(super) fn parse(query: &str) -> Result<ClientQuery, String> {
    let mut read =
        ClientQuery { user: Ok(None), tag: None, tries: None, ticket: None, token: None };
    let (mut client, mut attempt) = (None, 0);
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match name {
            "user" => {
                let user = decode(value)
                    .and_then(|user| UserName::parse(&user).map_err(|e| format!("user: {e}")));
                read.user = user.map(Some);
            }
            "client" => client = Some(client_name(decode(value)?)?),
            "attempt" => {
                attempt = value.parse().map_err(|_| "attempt: a number from 0 on".to_owned())?;
            }
            "tries" => {
                let tries = value.parse().map_err(|_| "tries: a number from 0 on".to_owned())?;
                read.tries = Some(tries);
            }
            "ticket" => present(&mut read.ticket, value)?,
            "token" => present(&mut read.token, value)?,
            _ => {}
        }
    }
    read.tag = client.map(|client| Box::new(Tag { client, attempt }));
    Ok(read)
}

/// Takes a credential, which may come twice if it is the same.
fn present(place: &mut Option<String>, value: &str) -> Result<(), String> {
    let value = percent::decode(value).map_err(|_| "a credential is not percent-encoded")?;
    match place.replace(value) {
        Some(before) if place.as_ref() != Some(&before) => {
            Err("the request has two different credentials".to_owned())
        }
        _ => Ok(()),
    }
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
    use crate::identity::Hello;

    #[test]
    fn reads_what_a_client_says() {
        let read = parse("user=al%C3%A9&client=abc-1&attempt=3&tries=2&other=x").unwrap();
        assert_eq!(read.user.unwrap().unwrap().as_str(), "alé");
        assert_eq!(read.tries, Some(2));
        assert_eq!(read.tag.as_ref().unwrap().to_string(), "client=abc-1 attempt=3");
        let returning = Hello { tag: read.tag, ..Hello::default() };
        assert_eq!(returning.kind(), ConnectionKind::Returning);
        assert_eq!(Hello::default().kind(), ConnectionKind::First);
    }

    #[test]
    fn credentials_are_read_and_not_shown() {
        let read = parse("token=a.b%2Ec&ticket=tick&token=a.b.c").unwrap();
        assert_eq!(read.token.as_deref(), Some("a.b.c"));
        assert_eq!(read.ticket.as_deref(), Some("tick"));
        let shown = format!("{read:?}");
        assert!(!shown.contains("a.b.c") && !shown.contains("tick"), "{shown}");
        for two in ["token=a&token=b", "ticket=a&ticket=b", "token=%zz"] {
            assert!(parse(two).is_err(), "{two}");
        }
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
            let read = parse(query).and_then(|read| read.user.map(drop));
            let error = read.unwrap_err();
            assert!(error.contains(part), "{query}: {error}");
        }
    }
}
