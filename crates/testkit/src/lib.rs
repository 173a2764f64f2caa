//! For tests: Redis servers of one's own, alone, under sentinels or as a cluster, and a proxy that
//! disturbs the way to a server. Everything is stopped by its pid or task when it is dropped.
//! Servers panic where they fail: a test that cannot set its scene has failed.

mod certificates;
mod ports;
mod proxy;
mod redis_cluster;
mod redis_server;
mod sentinels;
mod wait;

pub use certificates::{CertificateAuthority, CertificateKind};
pub use ports::free_port;
pub use proxy::{Direction, Proxy, ProxyFault};
pub use redis_cluster::{RedisCluster, SlotMove};
pub use redis_server::{Launch, Login, RedisServer, is_replica};
pub use sentinels::Sentinels;
