//! What a port answers to plain bytes or to a TLS greeting, asked where the client library got no
//! answer that it understands: Redis in protected mode closes before its error is read, and an HTTP
//! or TLS server is no Redis. Used only for the texts of errors.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use redis::{ConnectionAddr, ErrorKind, RedisError};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::fault::{RedisFault, clean};
use crate::placement::endpoint::RedisEndpoint;

/// A server that sends first does so within this.
const GREETING_TIMEOUT: Duration = Duration::from_millis(200);
/// Longest wait for a connection, and for an answer.
const REPLY_TIMEOUT: Duration = Duration::from_millis(500);
/// Bytes read of an answer: more than the first line of any.
const MAX_HEARD_BYTES: usize = 512;
/// Redis answers this, and an HTTP server answers that it is no request.
const PING: &[u8] = b"PING\r\n\r\n";

/// What is wrong with a server, by the error of a connection to it, or by what the port answers
/// where the error does not say it.
pub(crate) async fn explain(info: &RedisEndpoint, error: &RedisError) -> RedisFault {
    let fault = RedisFault::read(error);
    if !matches!(fault, RedisFault::Away(_)) || error.is_connection_refusal() {
        return fault;
    }
    let is_mute = matches!(error.kind(), ErrorKind::Io | ErrorKind::Parse);
    let heard = match info.addr() {
        ConnectionAddr::Tcp(host, port) if is_mute && !error.is_timeout() => {
            overhear(host, *port).await
        }
        // A server without TLS reads the TLS greeting as an unfinished line and waits.
        ConnectionAddr::TcpTls { host, port, .. } if is_mute => answers_plainly(host, *port).await,
        _ => None,
    };
    heard.unwrap_or(fault)
}

/// A fault if a port that should use TLS answers without it.
async fn answers_plainly(host: &str, port: u16) -> Option<RedisFault> {
    let words = listen(host, port, PING).await.ok()?;
    let is_redis = matches!(words.first(), Some(b'+' | b'-'));
    is_redis.then(|| RedisFault::NoTls("it answers without".to_owned()))
}

async fn overhear(host: &str, port: u16) -> Option<RedisFault> {
    let words = listen(host, port, PING).await.ok()?;
    if words.is_empty() {
        let words = listen(host, port, &client_hello().ok()?).await.ok()?;
        // A TLS record: an alert or a handshake, of any version (RFC 8446, section 5.1).
        return matches!(words[..], [0x15 | 0x16, 0x03, ..]).then_some(RedisFault::Tls);
    }
    let text = String::from_utf8_lossy(&words);
    match text.strip_prefix('-') {
        Some(error) => Some(RedisFault::answered(error)),
        None if text.starts_with('+') => None,
        None => Some(RedisFault::Foreign(clean(&text))),
    }
}

/// The first bytes that a server sends without a request, or else its answer to these bytes; empty
/// if it sends none.
async fn listen(host: &str, port: u16, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    let mut socket =
        timeout(REPLY_TIMEOUT, TcpStream::connect((host, port))).await.map_err(late)??;
    let mut words = vec![0; MAX_HEARD_BYTES];
    // First read without sending: a server that closes with unread bytes may discard what it sent.
    let mut count =
        timeout(GREETING_TIMEOUT, socket.read(&mut words)).await.unwrap_or(Ok(0)).unwrap_or(0);
    if count == 0 && socket.write_all(bytes).await.is_ok() {
        count = timeout(REPLY_TIMEOUT, socket.read(&mut words)).await.unwrap_or(Ok(0)).unwrap_or(0);
    }
    words.truncate(count);
    Ok(words)
}

/// The first bytes of a TLS client.
fn client_hello() -> Result<Vec<u8>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a valid name");
    let mut hello = Vec::new();
    let mut connection = ClientConnection::new(Arc::new(config), name)?;
    connection.write_tls(&mut hello).map_err(|error| rustls::Error::General(error.to_string()))?;
    Ok(hello)
}
