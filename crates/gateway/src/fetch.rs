//! One request to an HTTP server over a connection of its own, where that is all there is to ask.

use std::net::SocketAddr;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, ToSocketAddrs};
use tokio_rustls::TlsConnector;

use crate::tls;

/// The largest answer that is read.
const MAX_ANSWER: usize = 64 * 1024;

/// Sends a request, which names its `Host` itself, and reads the whole answer. The caller bounds how
/// long this may take.
pub async fn fetch(
    server: impl ToSocketAddrs,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, Box<dyn std::error::Error + Send + Sync>> {
    exchange(TcpStream::connect(server).await?, request).await
}

/// The same with a node of this machine that speaks TLS. Its certificate is not judged: it is for the
/// name that clients use, and nothing secret is sent.
#[doc(hidden)]
pub async fn fetch_unverified(
    server: SocketAddr,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, Box<dyn std::error::Error + Send + Sync>> {
    let tcp = TcpStream::connect(server).await?;
    let connector = TlsConnector::from(tls::trusting_config()?);
    exchange(connector.connect(server.ip().into(), tcp).await?, request).await
}

async fn exchange(
    socket: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, Box<dyn std::error::Error + Send + Sync>> {
    let (mut sender, connection) = handshake(TokioIo::new(socket)).await?;
    let driven = tokio::spawn(connection);
    let (head, body) = sender.send_request(request.map(Full::new)).await?.into_parts();
    let body = Limited::new(body, MAX_ANSWER).collect().await?.to_bytes();
    driven.abort();
    Ok(Response::from_parts(head, body))
}
