//! The client's address: the socket's, or what a trusted proxy says in the header `X-Forwarded-For`
//! or by the PROXY protocol (versions 1 and 2, as HAProxy's documentation `proxy-protocol.txt`
//! defines them). From other peers neither is believed.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hyper::header::HeaderMap;
use ppp::{PartialResult, v1, v2};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::config::Networks;

const FORWARDED_FOR: &str = "x-forwarded-for";
/// The longest head of version 1, by its definition.
const MAX_V1_BYTES: usize = 107;
/// The longest head read: version 2 with a kilobyte of what proxies add.
const MAX_HEAD_BYTES: usize = 1_024 + v2::PROTOCOL_PREFIX.len() + 4;
/// A head comes in one segment; if not, this is how often the rest is looked for.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// A socket that does not begin as the PROXY protocol says.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotProxied {
    #[error("{0} is no trusted proxy")]
    Untrusted(IpAddr),
    #[error("no PROXY protocol: {0}")]
    Malformed(&'static str),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The client's address by the request's head: the last in `X-Forwarded-For` that is no trusted
/// proxy itself, if a trusted one (`peer`) sent it. Any client may
/// have written what comes before that.
pub(super) fn forwarded(peer: IpAddr, headers: &HeaderMap, trusted: &Networks) -> IpAddr {
    let mut client = peer;
    let lines = headers.get_all(FORWARDED_FOR).iter().rev();
    let mut hops =
        lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(',')).map(hop_address);
    while trusted.contain(client)
        && let Some(Some(hop)) = hops.next()
    {
        client = hop.to_canonical();
    }
    client
}

/// The address of one hop: `ip`, `ip:port`, `[v6]` or `[v6]:port`, as proxies write them.
fn hop_address(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    let with_port = || hop.parse().ok().map(|address: SocketAddr| address.ip());
    let bracketed = || hop.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
    hop.parse().ok().or_else(with_port).or_else(bracketed)
}

/// Reads the head of the PROXY protocol off a socket: the address it names, or the peer's own if
/// the proxy speaks for itself. The caller bounds how long this may take.
pub(super) async fn proxied(
    socket: &mut TcpStream,
    peer: IpAddr,
    trusted: &Networks,
) -> Result<IpAddr, NotProxied> {
    if !trusted.contain(peer) {
        return Err(NotProxied::Untrusted(peer));
    }
    // Looked at first and taken off then, so that the request behind it stays in the socket.
    let mut seen = [0; MAX_HEAD_BYTES];
    loop {
        let count = socket.peek(&mut seen).await?;
        if count == 0 {
            return Err(NotProxied::Malformed("it ended before"));
        }
        match read(&seen[..count])? {
            Some((length, named)) => {
                socket.read_exact(&mut seen[..length]).await?;
                return Ok(named.unwrap_or(peer));
            }
            None => sleep(POLL_INTERVAL).await,
        }
    }
}

/// A head and its length, if all of it is there; its address, if it names one.
fn read(bytes: &[u8]) -> Result<Option<(usize, Option<IpAddr>)>, NotProxied> {
    if begins(bytes, v2::PROTOCOL_PREFIX) {
        return read_v2(bytes);
    }
    if !begins(bytes, v1::PROTOCOL_PREFIX.as_bytes()) {
        return Err(NotProxied::Malformed("neither version 1 nor 2"));
    }
    let line = &bytes[..bytes.len().min(MAX_V1_BYTES)];
    let Some(end) = line.windows(2).position(|pair| pair == b"\r\n") else {
        return match line.len() {
            MAX_V1_BYTES => Err(NotProxied::Malformed("its line does not end")),
            _ => Ok(None),
        };
    };
    let head = v1::Header::try_from(&line[..end + 2]);
    let head = head.map_err(|_| NotProxied::Malformed("a line that is no head"))?;
    let named = match head.addresses {
        v1::Addresses::Tcp4(addresses) => Some(addresses.source_address.into()),
        v1::Addresses::Tcp6(addresses) => Some(addresses.source_address.into()),
        v1::Addresses::Unknown => None,
    };
    Ok(Some((end + 2, named)))
}

fn read_v2(bytes: &[u8]) -> Result<Option<(usize, Option<IpAddr>)>, NotProxied> {
    let head = v2::Header::try_from(bytes);
    if head.is_incomplete() {
        return match bytes.len() {
            MAX_HEAD_BYTES => Err(NotProxied::Malformed("its head is too long")),
            _ => Ok(None),
        };
    }
    let head = head.map_err(|_| NotProxied::Malformed("bytes that are no head"))?;
    let named = match (head.command, head.addresses) {
        // A proxy that looks whether the node lives speaks for itself.
        (v2::Command::Local, _) => None,
        (_, v2::Addresses::IPv4(addresses)) => Some(addresses.source_address.into()),
        (_, v2::Addresses::IPv6(addresses)) => Some(addresses.source_address.into()),
        (_, v2::Addresses::Unspecified | v2::Addresses::Unix(_)) => None,
    };
    Ok(Some((head.len(), named)))
}

/// Whether these are the first bytes of, or begin with, that.
fn begins(bytes: &[u8], with: &[u8]) -> bool {
    let count = bytes.len().min(with.len());
    bytes[..count] == with[..count]
}

#[cfg(test)]
mod tests;
