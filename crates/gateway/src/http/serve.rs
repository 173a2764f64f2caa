//! Requests and answers on one socket, one after the other, each stage within its limit. It knows
//! no route.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::answer::Answer;
use super::http_socket::{HttpSocket, HttpTransport};
use super::progress::{HttpProgress, HttpStage, StageLimits, within};
use super::route;
use crate::config::HttpConfig;
use crate::node_status::NodeStatus;

/// How long an answer may take to be made, and again to be taken by the client.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// How HTTP on a socket ended.
#[derive(Debug)]
pub(super) enum HttpEnd {
    /// As its rules say: closed, or upgraded.
    Done,
    /// This stage took too long.
    Late(HttpStage),
    /// Bytes that are no HTTP, or a socket that broke.
    Failed(hyper::Error),
}

/// Serves a socket until it ends, or a stage takes too long. A request that is granted an upgrade
/// ends it; the socket comes out of hyper's `OnUpgrade`, as an `HttpSocket`. The time of the first
/// head runs since `begun`.
pub(super) async fn serve<F: Future<Output = Answer>>(
    (socket, begun): (HttpTransport, Instant),
    progress: HttpProgress,
    config: &HttpConfig,
    answer: impl Fn(Request<Incoming>) -> F,
) -> HttpEnd {
    let limits = StageLimits {
        head: config.header_timeout,
        answer: ANSWER_TIMEOUT,
        write: ANSWER_TIMEOUT,
        idle: config.idle_timeout,
    };
    let noted = &progress;
    let service = service_fn(move |request| {
        noted.note_request();
        let answering = answer(request);
        async move {
            let answer = answering.await;
            noted.note_answer();
            Ok::<_, Infallible>(answer)
        }
    });
    // Without a timer hyper's own time-out of heads is off: it would run between requests too.
    let serving = http1::Builder::new()
        .max_buf_size(config.max_header_bytes)
        // One small head: a copy costs less than a vectored write.
        .writev(false)
        .serve_connection(HttpSocket::new(socket, progress.clone()), service)
        .with_upgrades();
    match within(limits, &progress, begun, serving).await {
        Ok(Ok(())) => HttpEnd::Done,
        Ok(Err(error)) => HttpEnd::Failed(error),
        Err(stage) => HttpEnd::Late(stage),
    }
}

/// Serves a socket of the metrics' own address.
pub(crate) async fn serve_monitor(
    socket: TcpStream,
    status: Arc<NodeStatus>,
    config: Arc<HttpConfig>,
) {
    let answer = |request| route::answer_monitor(&status, request);
    let socket = (socket.into(), Instant::now());
    let end = serve(socket, HttpProgress::default(), &config, answer).await;
    tracing::debug!(?end, "metrics: a socket ended");
}
