//! Files for browsers, built before and part of the program: the demo's page with what it loads, and
//! the client library. They are what `crates/gateway/web` holds.

use std::hash::{DefaultHasher, Hasher};
use std::sync::LazyLock;

use hyper::StatusCode;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG, HOST, HeaderMap,
    HeaderValue, IF_NONE_MATCH, REFERRER_POLICY, X_FRAME_OPTIONS,
};
use roomcast_access::origin::is_host_trusted;

use super::answer::{self, Answer};
use crate::settings::{PageKey, Settings};

/// The page at `/`.
const PAGE: &str = include_str!("../../web/index.html");
/// Where the page has the key of its `curl` line: in the value of an attribute in double quotes.
const KEY_MARKER: &str = "__ROOMCAST_DEMO_KEY__";
/// The node's own script and style, and a WebSocket to where the page came from. Nothing inline: what
/// were ever taken as markup could still run nothing.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     connect-src 'self' ws: wss:; img-src data:; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'; require-trusted-types-for 'script'";

static SCRIPT: LazyLock<CachedFile> = LazyLock::new(|| {
    CachedFile::new("text/javascript; charset=utf-8", include_str!("../../web/demo.js"))
});
static STYLE: LazyLock<CachedFile> = LazyLock::new(|| {
    CachedFile::new("text/css; charset=utf-8", include_str!("../../web/demo.css"))
});
static CLIENT: LazyLock<CachedFile> = LazyLock::new(|| {
    CachedFile::new("text/javascript; charset=utf-8", include_str!("../../web/client.js"))
});

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WebFile {
    /// The demo's page.
    Demo,
    /// Its script.
    DemoScript,
    /// Its style.
    DemoStyle,
    /// The client library, for pages of all origins.
    Client,
}

impl WebFile {
    /// Whether it is there only with the demo, for pages that may reach the node.
    pub(super) fn is_of_demo(self) -> bool {
        self != Self::Client
    }
}

/// A file that browsers keep, and ask for again by its tag.
struct CachedFile {
    kind: &'static str,
    text: &'static str,
    tag: HeaderValue,
}

impl CachedFile {
    fn new(kind: &'static str, text: &'static str) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write(text.as_bytes());
        let tag = format!("\"{:016x}\"", hasher.finish());
        let tag = HeaderValue::try_from(tag).expect("digits in quotes are a value");
        Self { kind, text, tag }
    }

    fn answer(&self, headers: &HeaderMap) -> Answer {
        let mut answer = match is_known(headers, &self.tag) {
            true => answer::empty(StatusCode::NOT_MODIFIED),
            false => answer::text(StatusCode::OK, self.kind, self.text),
        };
        let headers = answer.headers_mut();
        headers.insert(ETAG, self.tag.clone());
        // A browser asks each time: after an update of the node a page never mixes versions.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        answer
    }
}

/// The answer to a request with these headers.
pub(super) fn answer(file: WebFile, settings: &Settings, headers: &HeaderMap) -> Answer {
    match file {
        WebFile::Demo => page(settings, headers),
        WebFile::DemoScript => SCRIPT.answer(headers),
        WebFile::DemoStyle => STYLE.answer(headers),
        WebFile::Client => {
            let mut answer = CLIENT.answer(headers);
            let all = HeaderValue::from_static("*");
            answer.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, all);
            answer
        }
    }
}

/// The page, with the key where the host is no name that an attacker's DNS could lead here.
fn page(settings: &Settings, headers: &HeaderMap) -> Answer {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let is_trusted = host.is_some_and(|host| is_host_trusted(&settings.http.origins, host));
    let key = settings.demo.as_ref().and_then(|demo| demo.key.as_ref()).filter(|_| is_trusted);
    let shown = escape(key.map_or("", PageKey::text));
    let page = PAGE.replacen(KEY_MARKER, &shown, 1);
    let mut answer = answer::text(StatusCode::OK, "text/html; charset=utf-8", page);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    answer
}

/// Whether the client has the file of this tag (RFC 9110, section 13.1.2).
fn is_known(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let lines = headers.get_all(IF_NONE_MATCH).iter().filter_map(|line| line.to_str().ok());
    let mut tags = lines.flat_map(|line| line.split(',')).map(str::trim);
    tags.any(|known| {
        known == "*" || known.strip_prefix("W/").unwrap_or(known).as_bytes() == tag.as_bytes()
    })
}

/// A text as the value of an attribute in double quotes.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_one_place_for_the_key() {
        assert_eq!(PAGE.matches(KEY_MARKER).count(), 1);
        assert!(PAGE.contains(&format!("content=\"{KEY_MARKER}\"")));
        for file in [&SCRIPT, &STYLE, &CLIENT] {
            assert!(!file.text.is_empty());
        }
        assert_eq!(escape("a.\"<&>'"), "a.&quot;&lt;&amp;&gt;'");
    }

    #[test]
    fn a_file_that_is_known_is_not_sent_again() {
        let tag = CLIENT.tag.to_str().unwrap();
        for (sent, status) in [
            (vec![], 200),
            (vec!["\"other\"".to_owned()], 200),
            (vec![tag.to_owned()], 304),
            (vec![format!("W/{tag}")], 304),
            (vec!["*".to_owned()], 304),
            (vec![format!("\"a\", {tag}")], 304),
            (vec!["\"a\"".to_owned(), tag.to_owned()], 304),
            (vec![tag.replace('"', "")], 200),
        ] {
            let mut headers = HeaderMap::new();
            for value in &sent {
                headers.append(IF_NONE_MATCH, HeaderValue::try_from(value).unwrap());
            }
            let answer = CLIENT.answer(&headers);
            assert_eq!(answer.status().as_u16(), status, "{sent:?}");
            assert_eq!(answer.headers()[ETAG], CLIENT.tag, "{sent:?}");
        }
        assert_ne!(CLIENT.tag, SCRIPT.tag);
    }
}
