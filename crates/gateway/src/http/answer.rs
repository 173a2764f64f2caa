//! HTTP answers, in the few shapes the node has: text, JSON, and problems.

use std::borrow::Cow;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};
use roomcast_metrics::RefusalReason;

/// An answer whose body is at hand.
pub(crate) type Answer = Response<Full<Bytes>>;

/// Why a request gets no other answer: a problem for programs and people (RFC 9457), with a word
/// and a sentence.
#[derive(Debug)]
pub(super) struct HttpProblem {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) detail: Cow<'static, str>,
    /// What it is counted as in `roomcast_connections_refused_total`; `None`: it is not counted.
    pub(super) reason: Option<RefusalReason>,
    /// Besides those of every problem.
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl HttpProblem {
    /// A problem that is not counted. A 503 says when to try again.
    pub(super) fn new(
        status: StatusCode,
        code: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        let problem = Self { status, code, detail: detail.into(), reason: None, headers: vec![] };
        if status == StatusCode::SERVICE_UNAVAILABLE {
            return problem.with(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        problem
    }

    /// A request that breaks a rule: 400.
    pub(super) fn bad_request(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        let reason = match code {
            "bad_query" => RefusalReason::BadQuery,
            _ => RefusalReason::BadRequest,
        };
        Self::new(StatusCode::BAD_REQUEST, code, detail).counted(reason)
    }

    /// The same problem with one header more.
    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The same problem with this time in `Retry-After`, in whole seconds (RFC 9110, section 10.2.3).
    pub(super) fn retry_after(mut self, ms: u64) -> Self {
        self.headers.retain(|(name, _)| *name != RETRY_AFTER);
        self.with(RETRY_AFTER, HeaderValue::from(ms.div_ceil(1_000).max(1)))
    }

    /// The same problem, not counted as a refused handshake.
    pub(super) fn uncounted(mut self) -> Self {
        self.reason = None;
        self
    }

    /// The value of one of its headers.
    #[cfg(test)]
    pub(super) fn header(&self, name: HeaderName) -> Option<&HeaderValue> {
        self.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// The same problem, counted.
    pub(super) fn counted(mut self, reason: RefusalReason) -> Self {
        self.reason = Some(reason);
        self
    }
}

impl From<HttpProblem> for Answer {
    fn from(problem: HttpProblem) -> Self {
        let HttpProblem { status, code, detail, headers, .. } = problem;
        let body = serde_json::json!({ "status": status.as_u16(), "code": code, "detail": detail });
        let mut answer = text(status, "application/problem+json", body.to_string());
        answer.headers_mut().extend(headers);
        answer
    }
}

/// A JSON value.
pub(super) fn json(status: StatusCode, body: &serde_json::Value) -> Answer {
    text(status, "application/json", body.to_string())
}

/// An answer without a body.
pub(super) fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}

/// What is no page: a browser that shows it all the same takes it as it is named, runs and loads
/// nothing, and shows it in no frame.
const NO_PAGE_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// A text that must not be cached.
pub(super) fn text(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(NO_PAGE_POLICY));
    answer
}
