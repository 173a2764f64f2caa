//! Hosts as `Host` and `Origin` name them: names and IP addresses, without ports.

use std::net::{IpAddr, Ipv6Addr};

/// A host. Names are in lower case and without a dot at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HostName {
    Address(IpAddr),
    Name(String),
}

impl HostName {
    /// Reads a host; an IPv6 address is in brackets.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some(inner) = text.strip_prefix('[') {
            let address: Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
            return Some(Self::Address(IpAddr::V6(address).to_canonical()));
        }
        if let Ok(address) = text.parse() {
            return Some(Self::Address(IpAddr::V4(address)));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        let fits = !name.is_empty() && name.len() <= 253 && name.bytes().all(allowed);
        fits.then(|| Self::Name(name.to_ascii_lowercase()))
    }

    /// Whether it is this machine: `localhost`, a name below it (RFC 6761, section 6.3), or a
    /// loopback address.
    pub(super) fn is_loopback(&self) -> bool {
        match self {
            Self::Address(address) => address.is_loopback(),
            Self::Name(name) => name == "localhost" || name.ends_with(".localhost"),
        }
    }

    /// Whether no foreign DNS can make it: a loopback name, or an IP address.
    pub(super) fn is_local(&self) -> bool {
        matches!(self, Self::Address(_)) || self.is_loopback()
    }

    /// Whether both are one host; all loopback names are one.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self == other || (self.is_loopback() && other.is_loopback())
    }
}

/// A host with its port, if it has one.
pub(super) fn host_and_port(text: &str) -> Option<(HostName, Option<u16>)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let port = match port {
        None | Some("") => None,
        Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => Some(port.parse().ok()?),
        Some(_) => return None,
    };
    Some((HostName::parse(host)?, port))
}

/// The host that a `Host` header names.
pub(super) fn host_of_header(text: &str) -> Option<HostName> {
    host_and_port(text).map(|(host, _)| host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(header: &str, expected: Option<(&str, Option<u16>)>) {
        let expected = expected.map(|(host, port)| (HostName::parse(host).unwrap(), port));
        assert_eq!(host_and_port(header), expected, "{header:?}");
    }

    #[test]
    fn a_host_may_have_a_port() {
        check("Example.COM", Some(("example.com", None)));
        check("example.com.:8080", Some(("example.com", Some(8080))));
        check("example.com:", Some(("example.com", None)));
        check("127.0.0.1:1", Some(("127.0.0.1", Some(1))));
        check("[::1]:80", Some(("[::1]", Some(80))));
        check("[::ffff:10.0.0.1]", Some(("10.0.0.1", None)));
        for bad in ["", ":80", "::1", "[::1", "a b", "a/b", "a@b", "a:99999", "a:+1", "a:x", "ä"] {
            check(bad, None);
        }
    }

    #[test]
    fn loopback_names_are_one_host() {
        let host = |text: &str| HostName::parse(text).unwrap();
        for one in ["localhost", "LOCALHOST.", "app.localhost", "127.0.0.1", "127.9.9.9", "[::1]"] {
            assert!(host(one).is_loopback() && host(one).is_local(), "{one}");
            assert!(host(one).is_same(&host("localhost")), "{one}");
        }
        for other in ["localhost.example.com", "notlocalhost", "example.com"] {
            assert!(!host(other).is_local(), "{other}");
        }
        assert!(host("10.0.0.1").is_local() && !host("10.0.0.1").is_loopback());
        assert!(!host("10.0.0.1").is_same(&host("10.0.0.2")));
        assert!(host("[::ffff:127.0.0.1]").is_loopback());
    }

    proptest! {
        #[test]
        fn no_header_is_too_odd(text in "(\\PC{0,30}|[\\[\\]:a-f0-9.]{0,20})") {
            host_and_port(&text);
        }
    }
}
