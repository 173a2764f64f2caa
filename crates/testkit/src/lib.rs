//! For tests only: a Redis server of one's own on a free port, and a proxy that breaks the way to
//! it. Everything is stopped by its pid or task when it is dropped. Failures panic: a test that
//! cannot set its scene has failed.

mod ports;
mod proxy;
mod redis_server;

pub use proxy::Proxy;
pub use redis_server::RedisServer;
