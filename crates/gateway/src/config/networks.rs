//! Networks of addresses, as `http.trusted_proxies` and `limits.exempt_networks` name them.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer};

use super::value;

/// The word for no network, where the default is one.
const NONE: &str = "none";

/// Some networks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// Reads networks (`10.0.0.0/8`) and addresses, separated by blanks.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let read = |word: &str| {
            let network = word.parse().or_else(|_| word.parse::<IpAddr>().map(IpNet::from));
            network.map_err(|_| {
                let shown = value::quoted(text);
                format!("{shown} holds what is no network; give one such as 10.0.0.0/8")
            })
        };
        text.split_whitespace().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Whether an address lies in one of them; an IPv4 address written as IPv6 counts as IPv4.
    pub fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Reads a value in which `none` stands for no network.
pub(super) fn read_or_none(text: &str) -> Result<Networks, String> {
    if text == NONE { Ok(Networks::default()) } else { Networks::read(text) }
}

/// The same for a field.
pub(super) fn or_none<'de, D: Deserializer<'de>>(input: D) -> Result<Networks, D::Error> {
    read_or_none(&String::deserialize(input)?).map_err(serde::de::Error::custom)
}

impl<'de> Deserialize<'de> for Networks {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        Self::read(&String::deserialize(input)?).map_err(serde::de::Error::custom)
    }
}
