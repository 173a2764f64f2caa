//! Resolves whatever name the library asks for to one host: it then verifies the server's
//! certificate for that name, while the connection goes to the host.

use std::net::SocketAddr;

use redis::RedisFuture;
use redis::io::AsyncDNSResolver;

/// The host and port that every name stands for.
#[derive(Debug)]
pub(super) struct NamedHost(pub(super) (String, u16));

impl AsyncDNSResolver for NamedHost {
    fn resolve<'a, 'b: 'a>(
        &'a self,
        _name: &'b str,
        _port: u16,
    ) -> RedisFuture<'a, Box<dyn Iterator<Item = SocketAddr> + Send + 'a>> {
        Box::pin(async {
            let (host, port) = &self.0;
            let found: Vec<_> = tokio::net::lookup_host((host.as_str(), *port)).await?.collect();
            let found: Box<dyn Iterator<Item = SocketAddr> + Send> = Box::new(found.into_iter());
            Ok(found)
        })
    }
}
