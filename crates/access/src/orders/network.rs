//! Networks that are banned, and the index that finds those of an address: one look-up for each
//! length of prefix in use, however many networks there are.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use super::OrderId;

/// A network, its host bits cleared. An IPv4 network written as IPv6 (`::ffff:0:0/96` and below)
/// is that IPv4 network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BanNetwork(IpNet);

/// The text is no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("give a network such as 192.0.2.0/24 or 2001:db8::/32, or an address")]
pub struct BanNetworkError;

/// Bits of an IPv6 address before an IPv4 address that is written in it.
const MAPPED_BITS: u8 = 96;

impl BanNetwork {
    /// Reads a network or an address.
    pub fn parse(text: &str) -> Result<Self, BanNetworkError> {
        let network: IpNet = match text.parse() {
            Ok(network) => network,
            Err(_) => IpNet::from(text.parse::<IpAddr>().map_err(|_| BanNetworkError)?),
        };
        let v4 = network.addr().to_canonical();
        let is_mapped = network.addr().is_ipv6() && v4.is_ipv4();
        let network = match network.prefix_len().checked_sub(MAPPED_BITS) {
            Some(length) if is_mapped => IpNet::new(v4, length).map_err(|_| BanNetworkError)?,
            _ => network,
        };
        Ok(Self(network.trunc()))
    }

    /// Whether the address lies in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl fmt::Display for BanNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The orders of networks.
#[derive(Debug, Default)]
pub(super) struct NetworkIndex {
    orders: HashMap<BanNetwork, BTreeSet<OrderId>>,
    /// How many networks there are of each length of prefix.
    lengths: BTreeMap<u8, usize>,
}

impl NetworkIndex {
    pub(super) fn insert(&mut self, network: BanNetwork, id: OrderId) {
        let ids = self.orders.entry(network).or_default();
        if ids.is_empty() {
            *self.lengths.entry(network.0.prefix_len()).or_default() += 1;
        }
        ids.insert(id);
    }

    pub(super) fn remove(&mut self, network: BanNetwork, id: OrderId) {
        let Some(ids) = self.orders.get_mut(&network) else { return };
        ids.remove(&id);
        if !ids.is_empty() {
            return;
        }
        self.orders.remove(&network);
        let length = network.0.prefix_len();
        if let Some(count) = self.lengths.get_mut(&length) {
            *count -= 1;
            if *count == 0 {
                self.lengths.remove(&length);
            }
        }
    }

    /// The orders of all networks in which the address lies.
    pub(super) fn of(&self, address: IpAddr) -> impl Iterator<Item = OrderId> {
        let address = address.to_canonical();
        let network = move |length: &u8| IpNet::new(address, *length).ok().map(|net| net.trunc());
        let found = self.lengths.keys().filter_map(network);
        found.filter_map(|network| self.orders.get(&BanNetwork(network))).flatten().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(network: &str, address: &str, expected: bool) {
        let network = BanNetwork::parse(network).unwrap();
        let address = address.parse().unwrap();
        assert_eq!(network.contains(address), expected, "{network} and {address}");
        let mut index = NetworkIndex::default();
        index.insert(network, OrderId(1));
        assert_eq!(index.of(address).count() == 1, expected, "{network} and {address}");
        index.remove(network, OrderId(1));
        assert_eq!(index.of(address).count(), 0);
        assert!(index.lengths.is_empty() && index.orders.is_empty());
    }

    #[test]
    fn networks_of_both_families() {
        check("192.0.2.0/24", "192.0.2.255", true);
        check("192.0.2.0/24", "192.0.3.0", false);
        check("192.0.2.77/24", "192.0.2.1", true);
        check("192.0.2.1", "192.0.2.1", true);
        check("192.0.2.1", "192.0.2.2", false);
        check("0.0.0.0/0", "8.8.8.8", true);
        check("0.0.0.0/0", "2001:db8::1", false);
        check("2001:db8::/32", "2001:db8:ffff::1", true);
        check("2001:db8::/32", "2001:db9::1", false);
        check("::/0", "2001:db8::1", true);
        check("::/0", "8.8.8.8", false);
    }

    #[test]
    fn ipv4_written_as_ipv6_is_ipv4() {
        check("192.0.2.0/24", "::ffff:192.0.2.1", true);
        check("::ffff:192.0.2.0/120", "192.0.2.1", true);
        check("::ffff:192.0.2.0/120", "::ffff:192.0.2.1", true);
        check("::ffff:192.0.2.1", "192.0.2.1", true);
        check("::ffff:192.0.2.0/120", "192.0.3.1", false);
    }

    #[test]
    fn other_texts_are_no_networks() {
        for bad in ["", "a", "192.0.2.0/33", "192.0.2", "192.0.2.0/", "::/129", "1.2.3.4/-1"] {
            assert_eq!(BanNetwork::parse(bad), Err(BanNetworkError), "{bad:?}");
        }
    }

    proptest! {
        /// The index finds what a look at every network finds.
        #[test]
        fn the_index_finds_every_network_of_an_address(
            networks in prop::collection::vec((any::<u32>(), 0_u8..=32), 0..20), address: u32,
        ) {
            let mut index = NetworkIndex::default();
            let mut expected = BTreeSet::new();
            let address = IpAddr::V4(address.into());
            for (id, (bits, length)) in networks.into_iter().enumerate() {
                let text = format!("{}/{length}", std::net::Ipv4Addr::from(bits));
                let network = BanNetwork::parse(&text).unwrap();
                index.insert(network, OrderId(id as u64));
                if network.contains(address) {
                    expected.insert(OrderId(id as u64));
                }
            }
            prop_assert_eq!(index.of(address).collect::<BTreeSet<_>>(), expected);
        }

        #[test]
        fn a_network_survives_its_text(bits: u128, length in 0_u8..=128) {
            let text = format!("{}/{length}", std::net::Ipv6Addr::from(bits));
            let network = BanNetwork::parse(&text).unwrap();
            prop_assert_eq!(BanNetwork::parse(&network.to_string()), Ok(network));
        }
    }
}
