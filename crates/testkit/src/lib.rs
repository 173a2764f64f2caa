//! For tests: Redis servers of one's own, alone, under sentinels or as a cluster, a proxy that
//! disturbs the way to a server, and certificates and keys. Everything is stopped by its pid or task when it is dropped.
//! Servers panic where they fail: a test that cannot set its scene has failed.

mod certificates;
mod key_server;
mod ports;
mod proxy;
mod redis_cluster;
mod redis_server;
mod sentinels;
mod signing_key;
mod wait;

pub use certificates::{CertificateAuthority, CertificateKind};
pub use key_server::KeyServer;
pub use ports::free_port;
pub use proxy::{Direction, Proxy, ProxyFault};
pub use redis_cluster::{RedisCluster, SlotMove};
pub use redis_server::{Launch, Login, RedisServer, is_replica};
pub use sentinels::Sentinels;
pub use signing_key::SigningKey;
