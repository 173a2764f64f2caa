//! Which credential a handshake presents: a token or a ticket, of all the ways it may come. It
//! reads no signature; it must not know HTTP types.

use std::fmt;

/// What a token in the list of subprotocols begins with.
const TOKEN_SUBPROTOCOL: &str = "roomcast.token.";

/// Whether a token may come in the query (`auth.query_token`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryTokens {
    /// It may.
    Allowed,
    /// It is refused.
    Refused,
}

/// All that a request presents, as it came.
#[derive(Clone, Copy, Default)]
pub struct PresentedCredentials<'a> {
    /// The header `Authorization`.
    pub authorization: Option<&'a str>,
    /// The header `Sec-WebSocket-Protocol`, all its lines joined by commas.
    pub subprotocols: Option<&'a str>,
    /// The header `Cookie`, all its lines joined by `; `.
    pub cookies: Option<&'a str>,
    /// `?ticket=`, decoded.
    pub ticket: Option<&'a str>,
    /// `?token=`, decoded.
    pub query_token: Option<&'a str>,
}

/// The credential of a request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PresentedCredential<'a> {
    /// There is none.
    None,
    /// A token that the page or program put there itself.
    Token(&'a str),
    /// A token that came by the cookie alone. A browser adds it to requests of foreign pages too,
    /// so the origin must be checked.
    Cookie(&'a str),
    /// A ticket.
    Ticket(&'a str),
}

/// 400 `bad_query`: the text is its `detail`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// Send one credential, or the same token by each way.
    #[error("the request has two different credentials")]
    Several,
    /// Send the token by another way.
    #[error("tokens in the query are not taken (auth.query_token)")]
    QueryToken,
    /// Offer `roomcast.v1.json` or another real subprotocol beside the token: an answer with the
    /// token as the chosen one would show it in logs.
    #[error("a token among the subprotocols needs a real one beside it")]
    TokenSubprotocolAlone,
}

impl<'a> PresentedCredentials<'a> {
    /// The one credential. `cookie` is `auth.cookie`, empty for none.
    pub fn choose(
        &self,
        cookie: &str,
        query_tokens: QueryTokens,
    ) -> Result<PresentedCredential<'a>, CredentialError> {
        if self.query_token.is_some() && query_tokens == QueryTokens::Refused {
            return Err(CredentialError::QueryToken);
        }
        let own = self.authorization.and_then(bearer).into_iter();
        let own: Vec<&str> =
            own.chain(self.query_token).chain(self.subprotocol_tokens()?).collect();
        let by_cookie: Vec<&str> = self.cookie_values(cookie).collect();
        let mut tokens = own.iter().chain(&by_cookie);
        let Some(token) = tokens.next() else {
            return Ok(self.ticket.map_or(PresentedCredential::None, PresentedCredential::Ticket));
        };
        if self.ticket.is_some() || tokens.any(|other| other != token) {
            return Err(CredentialError::Several);
        }
        Ok(match own.is_empty() {
            true => PresentedCredential::Cookie(token),
            false => PresentedCredential::Token(token),
        })
    }

    fn subprotocol_tokens(&self) -> Result<Vec<&'a str>, CredentialError> {
        let offered = self.subprotocols.into_iter().flat_map(|list| list.split(','));
        let offered = offered.map(str::trim).filter(|one| !one.is_empty());
        let tokens: Vec<_> =
            offered.clone().filter_map(|one| one.strip_prefix(TOKEN_SUBPROTOCOL)).collect();
        if !tokens.is_empty() && tokens.len() == offered.count() {
            return Err(CredentialError::TokenSubprotocolAlone);
        }
        Ok(tokens)
    }

    /// The values of the cookie of this name. An empty one is none: that is how sites take a
    /// cookie back.
    fn cookie_values(&self, name: &str) -> impl Iterator<Item = &'a str> {
        let pairs = self.cookies.into_iter().flat_map(|all| all.split(';'));
        let pairs = pairs.filter_map(|pair| pair.trim().split_once('='));
        let values = pairs.filter(move |(key, _)| !name.is_empty() && *key == name);
        values.map(|(_, value)| unquoted(value)).filter(|value| !value.is_empty())
    }
}

/// The token of `Authorization: Bearer TOKEN`; the scheme's letters may be large or small (RFC
/// 9110, section 11.1). Other schemes are no credential here.
pub fn bearer(authorization: &str) -> Option<&str> {
    let text = authorization.trim();
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whether an offered subprotocol holds a token: it is never chosen and never logged.
pub fn is_token_subprotocol(offered: &str) -> bool {
    offered.trim().starts_with(TOKEN_SUBPROTOCOL)
}

/// A cookie's value may stand in quotes (RFC 6265, section 4.1.1).
fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)
}

impl fmt::Debug for PresentedCredentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresentedCredentials").finish_non_exhaustive()
    }
}

impl fmt::Debug for PresentedCredential<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Token(_) => "Token(…)",
            Self::Cookie(_) => "Cookie(…)",
            Self::Ticket(_) => "Ticket(…)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Presented<'a> = PresentedCredentials<'a>;
    const NOTHING: Presented<'static> = Presented {
        authorization: None,
        subprotocols: None,
        cookies: None,
        ticket: None,
        query_token: None,
    };

    #[track_caller]
    fn check(presented: Presented<'_>, expected: Result<PresentedCredential<'_>, CredentialError>) {
        assert!(presented.choose("sid", QueryTokens::Allowed) == expected);
    }

    #[test]
    fn each_way_alone() {
        let token = Ok(PresentedCredential::Token("t.o.k"));
        check(NOTHING, Ok(PresentedCredential::None));
        for authorization in ["Bearer t.o.k", "bearer  t.o.k ", "BEARER t.o.k"] {
            check(Presented { authorization: Some(authorization), ..NOTHING }, token);
        }
        for list in ["roomcast.token.t.o.k, json", "json,roomcast.token.t.o.k"] {
            check(Presented { subprotocols: Some(list), ..NOTHING }, token);
        }
        check(Presented { query_token: Some("t.o.k"), ..NOTHING }, token);
        check(Presented { ticket: Some("x"), ..NOTHING }, Ok(PresentedCredential::Ticket("x")));
        for cookies in ["sid=t.o.k", "a=b; sid=t.o.k; c", "sid=\"t.o.k\"", "sid=; sid=t.o.k"] {
            let by_cookie = Ok(PresentedCredential::Cookie("t.o.k"));
            check(Presented { cookies: Some(cookies), ..NOTHING }, by_cookie);
        }
    }

    #[test]
    fn what_is_no_credential() {
        for authorization in ["Basic dTpw", "Bearers x", ""] {
            let presented = Presented { authorization: Some(authorization), ..NOTHING };
            check(presented, Ok(PresentedCredential::None));
        }
        for cookies in ["sid=", "SID=x", "xsid=x", "sid", "", ";;="] {
            check(Presented { cookies: Some(cookies), ..NOTHING }, Ok(PresentedCredential::None));
        }
        let no_cookie = Presented { cookies: Some("=x; sid=x"), ..NOTHING };
        assert!(no_cookie.choose("", QueryTokens::Refused) == Ok(PresentedCredential::None));
        check(Presented { subprotocols: Some("json"), ..NOTHING }, Ok(PresentedCredential::None));
    }

    /// An empty credential is presented too: it is refused, and no connection becomes anonymous.
    #[test]
    fn empty_credentials_are_presented() {
        let empty = Ok(PresentedCredential::Token(""));
        check(Presented { authorization: Some("Bearer "), ..NOTHING }, empty);
        check(Presented { authorization: Some("Bearer"), ..NOTHING }, empty);
        check(Presented { query_token: Some(""), ..NOTHING }, empty);
        check(Presented { subprotocols: Some("json, roomcast.token."), ..NOTHING }, empty);
        check(Presented { ticket: Some(""), ..NOTHING }, Ok(PresentedCredential::Ticket("")));
    }

    #[test]
    fn the_same_token_may_come_twice_and_another_may_not() {
        let both = |token, cookies| Presented {
            authorization: Some(token),
            cookies: Some(cookies),
            ..NOTHING
        };
        check(both("Bearer t", "sid=t"), Ok(PresentedCredential::Token("t")));
        check(both("Bearer t", "sid=u"), Err(CredentialError::Several));
        let twice = Presented { cookies: Some("sid=t; sid=u"), ..NOTHING };
        check(twice, Err(CredentialError::Several));
        let twice = Presented { cookies: Some("sid=t; sid=t"), ..NOTHING };
        check(twice, Ok(PresentedCredential::Cookie("t")));
        let offered = Some("json, roomcast.token.t, roomcast.token.u");
        check(Presented { subprotocols: offered, ..NOTHING }, Err(CredentialError::Several));
        for presented in [both("Bearer t", ""), both("", "sid=t")] {
            let beside = Presented { ticket: Some("t"), ..presented };
            check(beside, Err(CredentialError::Several));
        }
    }

    #[test]
    fn some_ways_are_closed() {
        let query = Presented { query_token: Some("t"), ..NOTHING };
        let refused = query.choose("sid", QueryTokens::Refused);
        assert!(refused == Err(CredentialError::QueryToken));
        let alone = Err(CredentialError::TokenSubprotocolAlone);
        check(Presented { subprotocols: Some("roomcast.token.t"), ..NOTHING }, alone);
        check(Presented { subprotocols: Some("roomcast.token.t, "), ..NOTHING }, alone);
        assert!(is_token_subprotocol(" roomcast.token.t") && !is_token_subprotocol("json"));
    }

    proptest! {
        /// The origin check depends on it: the answer is `Cookie` only if the token came by no
        /// other way.
        #[test]
        fn no_headers_are_too_odd(
            authorization in prop::option::of("(Bearer )?[ab]?"),
            cookies in prop::option::of("(sid=[ab]?; ?)?(sid=[ab]?)?\\PC{0,5}"),
            subprotocols in prop::option::of("(json|roomcast.token.[ab])?,(json|roomcast.token.[ab])?"),
            ticket in prop::option::of("[ab]"), query_token in prop::option::of("[ab]"),
        ) {
            let presented = Presented {
                authorization: authorization.as_deref(),
                subprotocols: subprotocols.as_deref(),
                cookies: cookies.as_deref(),
                ticket: ticket.as_deref(),
                query_token: query_token.as_deref(),
            };
            if let Ok(PresentedCredential::Cookie(token)) = presented.choose("sid", QueryTokens::Allowed) {
                let all = cookies.as_deref().unwrap_or_default();
                let written = format!("sid={token}");
                prop_assert!(query_token.is_none() && ticket.is_none() && all.contains(&written));
            }
        }
    }
}
