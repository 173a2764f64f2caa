//! One request to an HTTP server over a connection of its own, where that is all there is to ask.

mod https;

use std::error::Error;
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

pub(crate) use https::fetch_url;

/// The largest answer that is read.
const MAX_ANSWER: usize = 64 * 1024;

/// Why there is no answer.
type FetchError = Box<dyn Error + Send + Sync>;

/// Sends a request, which names its `Host` itself, and reads the whole answer. The caller bounds how
/// long this may take.
pub async fn fetch(
    server: impl ToSocketAddrs,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, Box<dyn Error + Send + Sync>> {
    exchange(TcpStream::connect(server).await?, request, MAX_ANSWER).await
}

/// The same with a node of this machine that speaks TLS. Its certificate is not judged: it is for the
/// name that clients use, and nothing secret is sent.
#[doc(hidden)]
pub async fn fetch_unverified(
    server: SocketAddr,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, Box<dyn Error + Send + Sync>> {
    let tcp = TcpStream::connect(server).await?;
    let connector = TlsConnector::from(tls::trusting_config()?);
    exchange(connector.connect(server.ip().into(), tcp).await?, request, MAX_ANSWER).await
}

/// The same over a stream that is open, with a bound on the answer's body in bytes.
async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Bytes>,
    most: usize,
) -> Result<Response<Bytes>, FetchError> {
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    let driven = tokio::spawn(connection);
    let answer = async {
        let (head, body) = sender.send_request(request.map(Full::new)).await?.into_parts();
        let body = Limited::new(body, most).collect().await?.to_bytes();
        Ok(Response::from_parts(head, body))
    };
    let answer = answer.await;
    driven.abort();
    answer
}
