//! What each client address uses of the node's limits by address: handshakes per second, and
//! connections. All threads share it; its lock is held for one step of a handshake or of an end.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use roomcast_access::rate::RateLimit;

use crate::meter::Meter;

/// Addresses below which those that are idle are not looked for.
const MIN_SWEEP: usize = 1_024;
/// The part of an IPv6 address that counts: one client has all addresses below it.
const V6_PREFIX: u128 = !0 << 64;
/// How often the same hint is logged.
const HINT_INTERVAL: Duration = Duration::from_secs(60);

/// All addresses that use something.
#[derive(Debug)]
pub(crate) struct AddressLimits {
    began: Instant,
    table: Mutex<AddressTable>,
}

#[derive(Debug)]
struct AddressTable {
    addresses: HashMap<IpAddr, AddressUse>,
    /// The number of addresses at which those that are idle are removed.
    sweep_at: usize,
    last_hint: Option<Duration>,
}

#[derive(Debug, Default)]
struct AddressUse {
    handshakes: Meter,
    connections: usize,
}

/// One connection of an address; it is counted until this is dropped.
#[derive(Debug)]
pub(crate) struct AddressHold {
    limits: Arc<AddressLimits>,
    address: IpAddr,
}

impl AddressLimits {
    pub(crate) fn new() -> Self {
        let table =
            AddressTable { addresses: HashMap::new(), sweep_at: MIN_SWEEP, last_hint: None };
        Self { began: Instant::now(), table: Mutex::new(table) }
    }

    /// Counts a handshake; or how long to wait.
    pub(crate) fn take_handshake(
        &self,
        address: IpAddr,
        limit: Option<RateLimit>,
    ) -> Result<(), Duration> {
        if limit.is_none() {
            return Ok(());
        }
        self.table().take_handshake(client_of(address), limit, self.began.elapsed())
    }

    /// Counts a connection, if fewer than `most` are there; 0 is no limit.
    pub(crate) fn connect(self: &Arc<Self>, address: IpAddr, most: usize) -> Option<AddressHold> {
        let address = client_of(address);
        let mut table = self.table();
        let used = table.addresses.entry(address).or_default();
        if most > 0 && used.connections >= most {
            return None;
        }
        used.connections += 1;
        Some(AddressHold { limits: self.clone(), address })
    }

    /// Whether a hint that many requests give may be logged now.
    pub(crate) fn may_hint(&self) -> bool {
        let now = self.began.elapsed();
        let last = &mut self.table().last_hint;
        let may = last.is_none_or(|last| now - last >= HINT_INTERVAL);
        if may {
            *last = Some(now);
        }
        may
    }

    /// A panic elsewhere leaves the table as it is: each step on it is whole.
    fn table(&self) -> MutexGuard<'_, AddressTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AddressTable {
    fn take_handshake(
        &mut self,
        address: IpAddr,
        limit: Option<RateLimit>,
        now: Duration,
    ) -> Result<(), Duration> {
        if self.addresses.len() >= self.sweep_at {
            self.addresses
                .retain(|_, used| used.connections > 0 || !used.handshakes.is_idle(limit, now));
            self.sweep_at = (self.addresses.len() * 2).max(MIN_SWEEP);
        }
        self.addresses.entry(address).or_default().handshakes.take(limit, 1, now)
    }
}

impl Drop for AddressHold {
    fn drop(&mut self) {
        let mut table = self.limits.table();
        if let Some(used) = table.addresses.get_mut(&self.address) {
            used.connections = used.connections.saturating_sub(1);
            if used.connections == 0 && used.handshakes.is_unused() {
                table.addresses.remove(&self.address);
            }
        }
    }
}

/// What counts as one client.
fn client_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & V6_PREFIX).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn connections_count_until_they_end() {
        let limits = Arc::new(AddressLimits::new());
        let (one, other) = (address("192.0.2.1"), address("192.0.2.2"));
        let held = limits.connect(one, 1).unwrap();
        assert!(limits.connect(one, 1).is_none());
        assert!(limits.connect(address("::ffff:192.0.2.1"), 1).is_none(), "the same as IPv6");
        let _other = limits.connect(other, 1).unwrap();
        drop(held);
        assert!(limits.connect(one, 1).is_some());
        assert!(limits.connect(other, 0).is_some(), "0 is no limit");
        assert_eq!(limits.table().addresses.len(), 1, "only the other is still connected");
    }

    #[test]
    fn one_network_of_v6_is_one_client() {
        let limits = AddressLimits::new();
        let limit = RateLimit::per_second(1, 1);
        assert_eq!(limits.take_handshake(address("2001:db8::1"), limit), Ok(()));
        assert!(limits.take_handshake(address("2001:db8::2"), limit).is_err());
        assert_eq!(limits.take_handshake(address("2001:db8:0:1::1"), limit), Ok(()));
    }

    #[test]
    fn idle_addresses_are_forgotten() {
        let mut table =
            AddressTable { addresses: HashMap::new(), sweep_at: MIN_SWEEP, last_hint: None };
        let limit = RateLimit::per_second(1, 1);
        for number in 0..100_000_u32 {
            let now = Duration::from_millis(number.into());
            table.take_handshake(IpAddr::V4(number.into()), limit, now).unwrap();
        }
        assert!(table.addresses.len() <= 2 * 1_024, "{}", table.addresses.len());
    }
}
