//! A request's client as far as its address tells: which address it is, whether limits by address
//! hold for it, and whether it is exempt. It knows no limit.

use std::net::IpAddr;

use hyper::header::HeaderMap;

use super::client_addr::forwarded;
use crate::config::Networks;

/// Headers by which proxies name a client.
const FORWARDING: [&str; 3] = ["x-forwarded-for", "forwarded", "x-real-ip"];

/// The address of a request's client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ClientAddress {
    pub(super) ip: IpAddr,
    /// It is only a trusted proxy's: many clients may share it.
    is_proxy: bool,
    forwarding: ForwardingHeader,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ForwardingHeader {
    None,
    Trusted,
    /// It came from an address that is no trusted proxy, and is ignored.
    Untrusted,
}

/// Which limits hold for an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AddressScope {
    /// All.
    Limited,
    /// All but those by address.
    OnlyProxy,
    /// Neither limits by address nor rates.
    Exempt,
}

impl ClientAddress {
    /// The client of a request that came from `peer`.
    pub(super) fn of(peer: IpAddr, headers: &HeaderMap, trusted: &Networks) -> Self {
        let ip = forwarded(peer, headers, trusted);
        let forwarding = match FORWARDING.iter().any(|name| headers.contains_key(*name)) {
            false => ForwardingHeader::None,
            true if trusted.contain(peer) => ForwardingHeader::Trusted,
            true => ForwardingHeader::Untrusted,
        };
        Self { ip, is_proxy: trusted.contain(ip), forwarding }
    }

    /// Which limits hold for it, where clients of these networks are exempt.
    pub(super) fn scope(self, exempt: &Networks) -> AddressScope {
        let is_direct = self.forwarding == ForwardingHeader::None;
        match self.is_proxy {
            _ if is_direct && exempt.contain(self.ip) => AddressScope::Exempt,
            true => AddressScope::OnlyProxy,
            false => AddressScope::Limited,
        }
    }

    /// Its address, unless that is only a proxy's: bans by network judge it.
    pub(super) fn known_ip(self) -> Option<IpAddr> {
        (!self.is_proxy).then_some(self.ip)
    }

    /// Whether a forwarding header was ignored.
    pub(super) fn is_untrusted_forward(self) -> bool {
        self.forwarding == ForwardingHeader::Untrusted
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderName;

    use super::*;

    #[track_caller]
    fn check(peer: &str, header: Option<(&str, &str)>, ip: &str, scope: AddressScope) {
        let trusted = Networks::read("10.0.0.0/8 ::1").unwrap();
        let exempt = Networks::read("127.0.0.0/8 ::1 192.0.2.0/24").unwrap();
        let mut headers = HeaderMap::new();
        if let Some((name, value)) = header {
            headers.insert(HeaderName::try_from(name).unwrap(), value.parse().unwrap());
        }
        let client = ClientAddress::of(peer.parse().unwrap(), &headers, &trusted);
        assert_eq!((client.ip, client.scope(&exempt)), (ip.parse().unwrap(), scope));
        let is_ignored = header.is_some() && !trusted.contain(peer.parse().unwrap());
        assert_eq!(client.is_untrusted_forward(), is_ignored);
    }

    #[test]
    fn the_scope_follows_from_the_address_and_who_says_it() {
        let forwarded = |value| Some(("x-forwarded-for", value));
        check("203.0.113.1", None, "203.0.113.1", AddressScope::Limited);
        check("127.0.0.1", None, "127.0.0.1", AddressScope::Exempt);
        check("10.0.0.1", None, "10.0.0.1", AddressScope::OnlyProxy);
        check("10.0.0.1", forwarded("203.0.113.1"), "203.0.113.1", AddressScope::Limited);
        check("10.0.0.1", forwarded("unknown"), "10.0.0.1", AddressScope::OnlyProxy);
        // A forwarded client is never exempt, and neither is a proxy that is not trusted.
        check("10.0.0.1", forwarded("192.0.2.1"), "192.0.2.1", AddressScope::Limited);
        check("127.0.0.1", forwarded("203.0.113.1"), "127.0.0.1", AddressScope::Limited);
        check("127.0.0.1", Some(("x-real-ip", "1.2.3.4")), "127.0.0.1", AddressScope::Limited);
        check("::1", None, "::1", AddressScope::Exempt);
    }
}
