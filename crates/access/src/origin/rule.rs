//! One entry of `http.origins`, and the origin of a page (RFC 6454): scheme, host and port.

use super::host::{HostName, host_and_port};

/// Which origins an entry admits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum OriginRule {
    /// `*`: all.
    Any,
    /// One.
    One(PageOrigin),
    /// `scheme://*.host`: every name below the host, at any depth, and not the host.
    Below(PageOrigin),
}

/// An origin. The port of the scheme counts as none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PageOrigin {
    scheme: String,
    pub(super) host: HostName,
    port: Option<u16>,
}

impl OriginRule {
    pub(super) fn parse(word: &str) -> Option<Self> {
        if word == "*" {
            return Some(Self::Any);
        }
        let Some((scheme, below)) = word.split_once("://*.") else {
            return PageOrigin::parse(word).map(Self::One);
        };
        let origin = PageOrigin::parse(&format!("{scheme}://{below}"))?;
        matches!(origin.host, HostName::Name(_)).then_some(Self::Below(origin))
    }

    /// Whether it names the host, by whatever scheme and port.
    pub(super) fn names_host(&self, host: &HostName) -> bool {
        match self {
            Self::Any => false,
            Self::One(origin) => origin.host.is_same(host),
            Self::Below(origin) => is_below(host, &origin.host),
        }
    }

    /// Whether it admits the origin, and is not `*`.
    pub(super) fn names(&self, page: &PageOrigin) -> bool {
        match self {
            Self::Any => false,
            Self::One(origin) => origin == page,
            Self::Below(origin) => {
                origin.scheme == page.scheme
                    && origin.port == page.port
                    && is_below(&page.host, &origin.host)
            }
        }
    }
}

impl PageOrigin {
    /// Reads `scheme://host[:port]`; `None` for `null` and for anything else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
        let starts = scheme.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
        if !starts || !scheme.bytes().all(allowed) {
            return None;
        }
        let scheme = scheme.to_ascii_lowercase();
        let (host, port) = host_and_port(rest)?;
        let of_scheme = match scheme.as_str() {
            "http" => Some(80),
            "https" => Some(443),
            _ => None,
        };
        Some(Self { scheme, host, port: port.filter(|port| Some(*port) != of_scheme) })
    }
}

fn is_below(host: &HostName, parent: &HostName) -> bool {
    let (HostName::Name(host), HostName::Name(parent)) = (host, parent) else { return false };
    let label = host.strip_suffix(parent.as_str()).and_then(|rest| rest.strip_suffix('.'));
    label.is_some_and(|label| !label.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(rule: &str, origin: &str, expected: bool) {
        let rule_read = OriginRule::parse(rule).unwrap();
        let page = PageOrigin::parse(origin).unwrap();
        assert_eq!(rule_read.names(&page), expected, "{rule} and {origin}");
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        check("https://app.example.com", "https://app.example.com", true);
        check("https://app.example.com", "https://APP.example.com:443", true);
        check("https://app.example.com:443", "https://app.example.com", true);
        check("https://app.example.com", "http://app.example.com", false);
        check("https://app.example.com", "https://app.example.com:8443", false);
        check("https://app.example.com", "https://app.example.com.evil.com", false);
        check("http://[::1]:3000", "http://[::1]:3000", true);
        check("chrome-extension://abcdef", "chrome-extension://abcdef", true);
        check("*", "https://a.com", false);
    }

    #[test]
    fn a_star_admits_names_below_at_any_depth() {
        check("https://*.example.com", "https://a.example.com", true);
        check("https://*.example.com", "https://a.b.example.com", true);
        check("https://*.example.com", "https://example.com", false);
        check("https://*.example.com", "https://evilexample.com", false);
        check("https://*.example.com", "http://a.example.com", false);
        check("https://*.example.com", "https://a.example.com:1", false);
        check("https://*.example.com:1", "https://a.example.com:1", true);
        check("https://*.example.com", "https://.example.com", false);
    }

    #[test]
    fn other_words_are_no_rules() {
        for bad in [
            "",
            "**",
            "null",
            "example.com",
            "https://",
            "https://*",
            "https://*.",
            "https://a/",
            "https://a*.com",
            "https://*.*.com",
            "https://*.10.0.0.1",
            "://a",
            "1a://a",
            "https:/a",
        ] {
            assert_eq!(OriginRule::parse(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn no_origin_is_too_odd(text in "(\\PC{0,30}|https?://[a-z.*:0-9\\[\\]]{0,20})") {
            OriginRule::parse(&text);
            PageOrigin::parse(&text);
        }
    }
}
