//! The host that a request names (RFC 9112, section 3.2). Pure.

use hyper::Version;
use hyper::header::HOST;
use hyper::http::request::Parts;
use hyper::http::uri::Authority;

/// Whether a request names its host as RFC 9112, section 3.2 demands; if not, what is wrong.
pub(super) fn check_host(head: &Parts) -> Result<(), &'static str> {
    let mut hosts = head.headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if is_host(host.as_bytes()) => Ok(()),
        (Some(_), None) => Err("the value of Host is not a host with or without a port"),
        (Some(_), Some(_)) => Err("there are several lines with Host: send one"),
        (None, _) if head.version < Version::HTTP_11 => Ok(()),
        (None, _) => Err("the line with Host is missing"),
    }
}

/// An empty value is one: a target may have no authority.
fn is_host(value: &[u8]) -> bool {
    if value.is_empty() {
        return true;
    }
    let Ok(authority) = Authority::try_from(value) else { return false };
    let port = &authority.as_str()[authority.host().len().min(value.len())..];
    !value.contains(&b'@')
        && (port.is_empty()
            || port.strip_prefix(':').is_some_and(|p| p.bytes().all(|b| b.is_ascii_digit())))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_a_host_with_or_without_a_port_is_one() {
        for host in ["", "node", "node:8080", "node:", "a.b-c.example", "127.0.0.1:1", "[::1]:80"] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for other in ["a b", "a/b", "u@h", "a:b", "[::1", "::1", "a:80:80", "a?b", "a#b", "a\\b"] {
            assert!(!is_host(other.as_bytes()), "{other}");
        }
    }

    proptest! {
        #[test]
        fn no_host_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            is_host(&bytes);
        }
    }
}
