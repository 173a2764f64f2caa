//! From a request's head to an identity: finds the one credential, has its token checked, and says
//! by which problem it is refused. Tokens and tickets are in no text that leaves this file.

use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::{
    AUTHORIZATION, COOKIE, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_PROTOCOL,
    WWW_AUTHENTICATE,
};
use hyper::http::request::Parts;
use roomcast_access::credential::{PresentedCredential, PresentedCredentials};
use roomcast_access::identity::AccessIdentity;
use roomcast_access::origin::CookieUse;
use roomcast_access::policy::Authentication;
use roomcast_bus::Bus;
use roomcast_metrics::RefusalReason;

use super::admission::Admitted;
use super::answer::HttpProblem;
use super::query::{self, ClientQuery};
use super::tickets;
use crate::auth::{RefusedToken, TokenKeys, TokenRefusal};
use crate::identity::{CredentialWay, Hello, Tag, VerifiedIdentity};
use crate::settings::{AuthSettings, WithoutToken};

/// Who a client is, by its credential or, where none is needed, by its own word.
pub(super) async fn identify(
    headers: &HeaderMap,
    query: ClientQuery,
    auth: &AuthSettings,
    (keys, bus): (&Arc<TokenKeys>, &Bus),
) -> Result<Admitted, HttpProblem> {
    let ClientQuery { user, tag, tries, ticket, token } = query;
    if headers.get_all(AUTHORIZATION).iter().any(|line| Some(line) != headers.get(AUTHORIZATION)) {
        let detail = "the request has two different credentials";
        return Err(HttpProblem::bad_request("bad_query", detail));
    }
    let lines = CredentialLines::of(headers);
    let presented = lines.presented(ticket.as_deref(), token.as_deref());
    let chosen = presented
        .choose(&auth.cookie, auth.query_tokens)
        .map_err(|error| HttpProblem::bad_request("bad_query", error.to_string()))?;
    let (token, way) = match chosen {
        PresentedCredential::Token(token) => (token, CredentialWay::Presented),
        PresentedCredential::Cookie(token) => (token, CredentialWay::Cookie),
        // It is refused as every credential is where there are no keys.
        PresentedCredential::Ticket(_) if auth.authentication == Authentication::NotConfigured => {
            ("", CredentialWay::Presented)
        }
        PresentedCredential::Ticket(text) => {
            let (ticket, identity) = tickets::look(bus, text).await?;
            let hello = known(identity, CredentialWay::Presented, (tag, tries));
            return Ok(Admitted { hello, ticket: Some(ticket) });
        }
        PresentedCredential::None => {
            let hello = without_credential(user, (tag, tries), auth)?;
            return Ok(Admitted { hello, ticket: None });
        }
    };
    let checked = keys.clone().check_connection(token.into(), auth.rules.clone()).await;
    let identity = checked.map_err(|refusal| token_problem(&refusal))?;
    Ok(Admitted { hello: known(identity, way, (tag, tries)), ticket: None })
}

/// What a client says of itself besides its name: its tag, and the attempts that it needed.
type SaidOfItself = (Option<Box<Tag>>, Option<u32>);

fn known(identity: AccessIdentity, way: CredentialWay, (tag, tries): SaidOfItself) -> Hello {
    let user = identity.user().cloned();
    Hello { user, tag, tries, verified: Some(Box::new(VerifiedIdentity { way, identity })) }
}

/// Whether a request's one credential is the cookie: then it must come from a page that may use it.
pub(super) fn cookie_use(head: &Parts, auth: &AuthSettings) -> CookieUse {
    if auth.cookie.is_empty() {
        return CookieUse::Off;
    }
    let lines = CredentialLines::of(&head.headers);
    // A query that cannot be read refuses the request later.
    let Ok(said) = query::parse(head.uri.query().unwrap_or_default()) else {
        return CookieUse::NotUsed;
    };
    let presented = lines.presented(said.ticket.as_deref(), said.token.as_deref());
    match presented.choose(&auth.cookie, auth.query_tokens) {
        Ok(PresentedCredential::Cookie(_)) => CookieUse::Credential,
        _ => CookieUse::NotUsed,
    }
}

/// The lines of a head that may hold a credential.
struct CredentialLines {
    authorization: Option<String>,
    subprotocols: Option<String>,
    cookies: Option<String>,
}

impl CredentialLines {
    fn of(headers: &HeaderMap) -> Self {
        Self {
            // One that comes twice is one; two different ones are refused.
            authorization: headers.get(AUTHORIZATION).map(as_text),
            subprotocols: joined(headers, &SEC_WEBSOCKET_PROTOCOL, ","),
            cookies: joined(headers, &COOKIE, "; "),
        }
    }

    fn presented<'a>(
        &'a self,
        ticket: Option<&'a str>,
        query_token: Option<&'a str>,
    ) -> PresentedCredentials<'a> {
        PresentedCredentials {
            authorization: self.authorization.as_deref(),
            subprotocols: self.subprotocols.as_deref(),
            cookies: self.cookies.as_deref(),
            ticket,
            query_token,
        }
    }
}

fn without_credential(
    user: Result<Option<roomcast_protocol::UserName>, String>,
    (tag, tries): SaidOfItself,
    auth: &AuthSettings,
) -> Result<Hello, HttpProblem> {
    match (auth.authentication, auth.without_token) {
        (Authentication::NotConfigured, _) => {
            let user = user.map_err(|detail| HttpProblem::bad_request("bad_query", detail))?;
            Ok(Hello { user, tag, tries, verified: None })
        }
        (Authentication::Configured, WithoutToken::Anonymous) => {
            Ok(Hello { user: None, tag, tries, verified: None })
        }
        (Authentication::Configured, WithoutToken::Refused) => {
            let detail = "this node needs a token: Authorization: Bearer, the subprotocol \
                          roomcast.token.TOKEN, or the cookie of auth.cookie";
            Err(unauthorized("no_token", detail.to_owned(), RefusalReason::NoToken))
        }
    }
}

pub(super) fn token_problem(refusal: &TokenRefusal) -> HttpProblem {
    let detail = refusal.detail.clone();
    match refusal.kind {
        RefusedToken::Expired => unauthorized("expired_token", detail, RefusalReason::ExpiredToken),
        RefusedToken::Bad | RefusedToken::Forbidden => {
            unauthorized("bad_token", detail, RefusalReason::BadToken)
        }
        RefusedToken::NotReady { retry_after_ms } => {
            HttpProblem::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", detail)
                .counted(RefusalReason::NotReady)
                .retry_after(retry_after_ms)
        }
    }
}

pub(super) fn unauthorized(
    code: &'static str,
    detail: String,
    reason: RefusalReason,
) -> HttpProblem {
    HttpProblem::new(StatusCode::UNAUTHORIZED, code, detail)
        .counted(reason)
        .with(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}

/// All lines of a header as one. What is no UTF-8 becomes a text that no token is.
fn joined(headers: &HeaderMap, name: &HeaderName, separator: &str) -> Option<String> {
    let lines: Vec<_> = headers.get_all(name).iter().map(as_text).collect();
    (!lines.is_empty()).then(|| lines.join(separator))
}

fn as_text(line: &HeaderValue) -> String {
    String::from_utf8_lossy(line.as_bytes()).into_owned()
}

#[cfg(test)]
mod tests;
