//! From which pages a browser may reach the node: `http.origins` against the `Origin` and `Host`
//! of a request, and what CORS headers then say. A pure function; it must not know HTTP types.

mod host;
mod rule;

use host::{HostName, host_of_header};
use rule::{OriginRule, PageOrigin};

use crate::policy::Authentication;

/// Longest part of a header that a refusal shows, in characters.
const SHOWN_CHARACTERS: usize = 200;

/// The configured list of origins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OriginList(Vec<OriginRule>);

/// A word of `http.origins` is no origin; it is given back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no origin: give *, https://app.example.com or https://*.example.com")]
pub struct OriginListError(pub String);

impl OriginList {
    /// Reads `http.origins`: origins separated by blanks.
    pub fn parse(text: &str) -> Result<Self, OriginListError> {
        let rule =
            |word: &str| OriginRule::parse(word).ok_or_else(|| OriginListError(word.to_owned()));
        text.split_whitespace().map(rule).collect::<Result<_, _>>().map(Self)
    }

    /// Whether no origin is configured: then the page's host must be the request's.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the list names this origin otherwise than by `*`.
    fn names(&self, page: &PageOrigin) -> bool {
        self.0.iter().any(|rule| rule.names(page))
    }

    fn has_any(&self) -> bool {
        self.0.contains(&OriginRule::Any)
    }
}

/// The cookie of `auth.cookie` in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CookieUse {
    /// The setting is empty: no cookie is ever taken.
    Off,
    /// The request has another credential or none. A preflight request belongs here.
    NotUsed,
    /// The cookie is the request's credential.
    Credential,
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OriginTarget {
    /// An upgrade to a WebSocket.
    Upgrade,
    /// An HTML page.
    Page,
    /// Anything else, `GET /ws` without upgrade included.
    Other,
}

/// What of a request decides.
#[derive(Debug, Clone, Copy)]
pub struct OriginRequest<'a> {
    /// The header `Origin`.
    pub origin: Option<&'a str>,
    /// The header `Host`.
    pub host: Option<&'a str>,
    /// The cookie's part in it.
    pub cookie: CookieUse,
    /// What it asks for.
    pub target: OriginTarget,
}

/// What CORS headers say to an admitted origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorsGrant {
    /// `Access-Control-Allow-Origin`; it differs by request, so `Vary: Origin` goes with it.
    pub origin: String,
    /// Whether `Access-Control-Allow-Credentials: true` is sent: the cookie is taken from there.
    pub credentials: bool,
}

/// `bad_origin`: the text is its `detail`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason} (Origin {origin}, Host {host}; the setting is http.origins)")]
pub struct OriginRefusal {
    reason: &'static str,
    origin: String,
    host: String,
}

/// Decides whether the request may come from where it says. `Ok(None)`: it names no origin.
pub fn judge_origin(
    list: &OriginList,
    authentication: Authentication,
    request: OriginRequest<'_>,
) -> Result<Option<CorsGrant>, OriginRefusal> {
    let refuse = |reason| Err(refusal(reason, request));
    let host = request.host.and_then(host_of_header);
    // DNS rebinding: a name that an attacker owns can point at this node, and then page and
    // request have the same host. Without tokens nothing else would stop it.
    let is_open = authentication == Authentication::NotConfigured && list.is_empty();
    let is_local = |host: &Option<HostName>| host.as_ref().is_some_and(HostName::is_local);
    if is_open && request.target == OriginTarget::Page && !is_local(&host) {
        return refuse("without authentication and origins pages are served at local names only");
    }
    let Some(text) = request.origin else {
        let by_cookie = request.cookie == CookieUse::Credential;
        return match request.target {
            OriginTarget::Upgrade if by_cookie => refuse("an upgrade by cookie needs an origin"),
            _ => Ok(None),
        };
    };
    let page = PageOrigin::parse(text);
    if is_open && !page.as_ref().is_some_and(|page| page.host.is_local()) {
        return refuse("without authentication and origins only local pages are let in");
    }
    let same_host = || match (&page, &host) {
        (Some(page), Some(host)) => page.host.is_same(host),
        _ => false,
    };
    let named = page.as_ref().is_some_and(|page| list.names(page));
    let takes_cookie = || named || ((list.is_empty() || list.has_any()) && same_host());
    let admitted = match request.cookie {
        CookieUse::Credential => takes_cookie(),
        CookieUse::Off | CookieUse::NotUsed => {
            named || list.has_any() || (list.is_empty() && same_host())
        }
    };
    if !admitted {
        return refuse(match (list.is_empty(), request.cookie) {
            (true, _) => "the page's host is not the request's",
            (false, CookieUse::Credential) if list.has_any() => {
                "by cookie the page's host must be the request's, or the origin be named"
            }
            (false, _) => "the origin is not among those configured",
        });
    }
    let credentials = request.cookie != CookieUse::Off && takes_cookie();
    Ok(Some(CorsGrant { origin: text.to_owned(), credentials }))
}

/// Whether a page with a secret in it may be served by the name in `Host`: an IP address, this machine,
/// or a host that the list names. To any other name an attacker's DNS may have led, and then the
/// attacker's page could read it (DNS rebinding).
pub fn is_host_trusted(list: &OriginList, header: &str) -> bool {
    let Some(host) = host_of_header(header) else { return false };
    host.is_local() || list.0.iter().any(|rule| rule.names_host(&host))
}

fn refusal(reason: &'static str, request: OriginRequest<'_>) -> OriginRefusal {
    let shown = |header: Option<&str>| match header {
        Some(text) => format!("{:?}", text.chars().take(SHOWN_CHARACTERS).collect::<String>()),
        None => "none".to_owned(),
    };
    OriginRefusal { reason, origin: shown(request.origin), host: shown(request.host) }
}

#[cfg(test)]
mod tests;
