//! `http.origins`, applied to a request, and the CORS headers that follow from it.

use hyper::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW,
    HOST, HeaderMap, HeaderValue, ORIGIN, VARY,
};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};
use roomcast_access::origin::{CookieUse, CorsGrant, OriginRequest, OriginTarget, judge_origin};
use roomcast_metrics::RefusalReason;

use super::answer::{Answer, HttpProblem};
use crate::settings::Settings;

/// What stands for a header that cannot be read: no origin is written so.
const UNREADABLE: &str = "?";
/// Headers that pages may send.
const ALLOWED_HEADERS: &str = "authorization, content-type";
/// Seconds for which a browser may keep the answer to a preflight request.
const PREFLIGHT_AGE: u64 = 600;

/// What the request may be told of its origin; `Ok(None)`: it names none.
pub(super) fn judge(
    settings: &Settings,
    head: &Parts,
    cookie: CookieUse,
    target: OriginTarget,
) -> Result<Option<CorsGrant>, HttpProblem> {
    let request = OriginRequest {
        origin: only(&head.headers, &ORIGIN),
        host: only(&head.headers, &HOST),
        cookie,
        target,
    };
    judge_origin(&settings.http.origins, settings.auth.authentication, request).map_err(|refusal| {
        HttpProblem::new(StatusCode::FORBIDDEN, "bad_origin", refusal.to_string())
            .counted(RefusalReason::BadOrigin)
    })
}

/// The value of a header; one that comes twice is not readable.
fn only<'a>(headers: &'a HeaderMap, name: &hyper::header::HeaderName) -> Option<&'a str> {
    let mut lines = headers.get_all(name).iter();
    let value = lines.next()?.to_str().unwrap_or(UNREADABLE);
    Some(if lines.next().is_some() { UNREADABLE } else { value })
}

/// Lets the page at the origin read the answer.
pub(super) fn allow(answer: &mut Answer, grant: &CorsGrant) {
    let Ok(origin) = HeaderValue::try_from(&grant.origin) else { return };
    let headers = answer.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("Retry-After"));
    headers.append(VARY, HeaderValue::from_static("Origin"));
    if grant.credentials {
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
}

/// Answers an OPTIONS request at a path that takes these methods, as `Allow` lists them.
pub(super) fn preflight(allowed: &str, grant: Option<&CorsGrant>) -> Answer {
    let mut answer = Response::new(Default::default());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    let methods = HeaderValue::try_from(allowed).expect("names of methods are visible ASCII");
    let headers = answer.headers_mut();
    if let Some(grant) = grant {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods.clone());
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(ALLOWED_HEADERS));
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(PREFLIGHT_AGE));
        headers.insert(ALLOW, methods);
        allow(&mut answer, grant);
    } else {
        headers.insert(ALLOW, methods);
    }
    answer
}
