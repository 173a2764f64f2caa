//! Where spans go: batches to a collector, by OTLP over HTTP. The library's thread makes the
//! batches; the node's runtime sends them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::{Request, Response, header};
use opentelemetry::KeyValue;
use opentelemetry_http::{Bytes, HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanProcessor};
use roomcast_protocol::NodeId;
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::fetch::fetch;

/// From the connect to the collector's answer.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);
const USUAL_PORT: u16 = 80;

/// Queues spans and sends them to a collector.
pub(super) fn processor(endpoint: &str, node: &NodeId) -> Result<BatchSpanProcessor, String> {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Sender { runtime: Handle::current(), fails: AtomicBool::new(false) })
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
        .with_timeout(EXPORT_TIMEOUT)
        .build()
        .map_err(|error| error.to_string())?;
    let mut processor = BatchSpanProcessor::builder(exporter).build();
    let resource = Resource::builder_empty()
        .with_service_name("roomcast")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("service.instance.id", node.to_string()))
        .build();
    processor.set_resource(&resource);
    Ok(processor)
}

/// An HTTP client for a few requests a minute: a connection for each.
#[derive(Debug)]
struct Sender {
    runtime: Handle,
    /// The last one failed: that is told once.
    fails: AtomicBool,
}

#[async_trait::async_trait]
impl HttpClient for Sender {
    /// Called on the library's thread, which knows no runtime.
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sent = self.runtime.spawn(async { timeout(EXPORT_TIMEOUT, send(request)).await });
        let outcome = match sent.await? {
            Ok(outcome) => outcome,
            Err(late) => Err(late.into()),
        };
        let problem = match &outcome {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("the collector answered {}", answer.status())),
            Err(error) => Some(error.to_string()),
        };
        let failed = self.fails.swap(problem.is_some(), Ordering::Relaxed);
        match problem {
            Some(problem) if !failed => tracing::warn!("spans are lost: {problem}"),
            None if failed => tracing::info!("spans are sent again"),
            _ => {}
        }
        outcome
    }
}

async fn send(mut request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let uri = std::mem::take(request.uri_mut());
    let host = uri.host().ok_or("the endpoint names no host")?;
    let server = (host.to_owned(), uri.port_u16().unwrap_or(USUAL_PORT));
    let authority = uri.authority().ok_or("the endpoint names no host")?.as_str();
    request.headers_mut().insert(header::HOST, authority.parse()?);
    *request.uri_mut() =
        uri.path_and_query().ok_or("the endpoint has no path")?.as_str().parse()?;
    fetch(server, request).await
}
