//! Requests and answers on one socket, one after the other, each stage within its limit. It knows
//! no route.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use hyper::Request;
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use roomcast_bus::Bus;
use roomcast_metrics::Metrics;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;

use super::answer::Answer;
use super::http_socket::HttpSocket;
use super::progress::{HttpProgress, HttpStage, StageLimits, within};
use super::route;
use crate::api::ApiNode;
use crate::config::HttpConfig;
use crate::node_status::NodeStatus;
use crate::settings::Settings;
use crate::traces::Tracer;

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
    (socket, begun): (impl Read + Write + Unpin + Send + 'static, Instant),
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
    let (noted, answer) = (&progress, &answer);
    let service = service_fn(move |request| {
        noted.note_request();
        async move {
            let answer = answer(request).await;
            noted.note_answer();
            Ok::<_, Infallible>(answer)
        }
    });
    // Without a timer hyper's own time-out of heads is off: it would run between requests too.
    let serving = pin!(
        http1::Builder::new()
            .max_buf_size(config.max_header_bytes)
            // Who has sent a whole request and says no more still gets the answer to it.
            .half_close(true)
            // One small head: a copy costs less than a vectored write.
            .writev(false)
            .serve_connection(HttpSocket::new(socket, progress.clone()), service)
            .with_upgrades()
    );
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
    let socket = (TokioIo::new(socket), Instant::now());
    let end = serve(socket, HttpProgress::default(), &config, answer).await;
    tracing::debug!(?end, "metrics: a socket ended");
}

/// What the backends' own address needs of the node.
pub(crate) struct AdminNode {
    pub(crate) bus: Bus,
    pub(crate) settings: watch::Receiver<Arc<Settings>>,
    pub(crate) tracer: Tracer,
    pub(crate) metrics: Metrics,
    pub(crate) status: Arc<NodeStatus>,
}

/// Serves a socket of the backends' own address.
pub(crate) async fn serve_admin(socket: TcpStream, node: Arc<AdminNode>) {
    let config = node.settings.borrow().http.clone();
    // In a box: the compiler does not look through so many layers for what may cross threads.
    let answer = |request| -> BoxFuture<'_, Answer> { Box::pin(answer_backend(&node, request)) };
    let begun = Instant::now();
    let Some(stream) = backend_stream(&node, socket, begun + config.header_timeout).await else {
        return;
    };
    let served = serve((TokioIo::new(stream), begun), HttpProgress::default(), &config, answer);
    let served: BoxFuture<'_, HttpEnd> = Box::pin(served);
    let end = served.await;
    tracing::debug!(?end, "backends: a socket ended");
}

/// What carries a backend's requests.
trait BackendStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> BackendStream for T {}

/// A backend's socket, behind TLS if the node speaks it; `None`: the handshake failed, or was not
/// done at the deadline. The library's own stream does for it: backends are few.
async fn backend_stream(
    node: &AdminNode,
    socket: TcpStream,
    deadline: Instant,
) -> Option<Box<dyn BackendStream>> {
    let tls = node.settings.borrow().tls.clone();
    let Some(tls) = tls else { return Some(Box::new(socket)) };
    match timeout_at(deadline, TlsAcceptor::from(tls.rules()).accept(socket)).await {
        Ok(Ok(stream)) => Some(Box::new(stream)),
        Ok(Err(error)) => {
            tracing::debug!(%error, "backends: no TLS handshake");
            None
        }
        Err(_late) => None,
    }
}

async fn answer_backend(node: &AdminNode, request: Request<Incoming>) -> Answer {
    let settings = node.settings.borrow().clone();
    let AdminNode { bus, tracer, metrics, status, .. } = node;
    let (orders, peers) = (&status.orders, &status.peers);
    let api = ApiNode { bus, settings: &settings, tracer, metrics, orders, peers };
    route::answer_admin(&api, status, request).await
}
