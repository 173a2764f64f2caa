//! Traces: a publish that its caller follows is seen on every node that had a part in it, under one
//! trace id, by a collector that speaks OTLP over HTTP.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use crate::support::{Process, TestClient};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use prost::Message as _;
use roomcast_protocol::{ClientFrame, Encoding, Publish, ServerFrame};
use roomcast_testkit::RedisServer;
use tokio::net::TcpListener;

const ROOM: &str = "traced:a";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SECRET: &str = "what nobody else may read";

/// A span as the collector got it.
#[derive(Debug, Clone)]
struct Span {
    node: String,
    name: String,
    trace: String,
    id: Vec<u8>,
    parent: Vec<u8>,
    time: (u64, u64),
    attributes: Vec<KeyValue>,
}

impl Span {
    fn text(&self, key: &str) -> String {
        text(&self.attributes, key)
    }
}

fn text(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    match found.and_then(|attribute| attribute.value.clone()?.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("{key}: {other:?}"),
    }
}

/// What came to the collector: its requests' bodies.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Bytes>>>);

impl Collector {
    async fn start() -> (Self, SocketAddr) {
        let collector = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let taken = collector.clone();
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let taken = taken.clone();
                let service = service_fn(move |request: Request<Incoming>| {
                    let taken = taken.clone();
                    async move {
                        assert_eq!(request.uri().path(), "/v1/traces");
                        assert_eq!(request.headers()["content-type"], "application/x-protobuf");
                        let body = request.into_body().collect().await.unwrap().to_bytes();
                        taken.0.lock().unwrap().push(body);
                        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
                    }
                });
                let http = hyper::server::conn::http1::Builder::new();
                tokio::spawn(http.serve_connection(TokioIo::new(socket), service));
            }
        });
        (collector, address)
    }

    fn spans(&self) -> Vec<Span> {
        let bodies = self.0.lock().unwrap().clone();
        let requests =
            bodies.into_iter().map(|body| ExportTraceServiceRequest::decode(body).unwrap());
        let mut spans = Vec::new();
        for resource in requests.flat_map(|request| request.resource_spans) {
            let told = resource.resource.unwrap().attributes;
            assert_eq!(text(&told, "service.name"), "roomcast");
            let node = text(&told, "service.instance.id");
            for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                spans.push(Span {
                    node: node.clone(),
                    name: span.name,
                    trace: span.trace_id.iter().map(|byte| format!("{byte:02x}")).collect(),
                    id: span.span_id,
                    parent: span.parent_span_id,
                    time: (span.start_time_unix_nano, span.end_time_unix_nano),
                    attributes: span.attributes,
                });
            }
        }
        spans
    }

    fn holds(&self, words: &str) -> bool {
        let bodies = self.0.lock().unwrap();
        bodies.iter().any(|body| body.windows(words.len()).any(|part| part == words.as_bytes()))
    }
}

fn serve(redis: &RedisServer, collector: SocketAddr, name: &str, sample: &str) -> Process {
    let url = redis.url();
    let endpoint = format!("--set=traces.endpoint=http://{collector}");
    let sample = format!("--set=traces.sample={sample}");
    let log = "--set=log.level=info,roomcast_gateway=debug";
    Process::serve(&["--redis-url", &url, "--node-id", name, &endpoint, &sample, log])
}

async fn publish(client: &mut TestClient, traceparent: Option<String>) -> u64 {
    let publish = client.publication(ROOM, &format!("\"{SECRET}\""));
    let traceparent = traceparent.map(Into::into);
    let publish = ClientFrame::Publish(Publish { traceparent, ..publish });
    let ServerFrame::Ack { seq, .. } = client.ask(&publish).await else { panic!("no ack") };
    seq
}

#[tokio::test]
async fn a_publish_is_followed_over_two_nodes_under_one_trace_id() {
    let redis = RedisServer::start();
    let (collector, address) = Collector::start().await;
    let (here, there) = (serve(&redis, address, "here", "0"), serve(&redis, address, "there", "0"));
    for node in [&here, &there] {
        node.ready(200).await;
    }
    let mut member = TestClient::connect(there.address().await, Encoding::MsgPack, "").await;
    member.join(ROOM).await;
    let mut author = TestClient::connect(here.address().await, Encoding::Json, "user=ann").await;
    let followed = publish(&mut author, Some(format!("00-{TRACE}-00f067aa0ba902b7-01"))).await;
    // Neither what its caller does not follow, nor what has no caller's trace, nor nonsense.
    publish(&mut author, Some(format!("00-{}-00f067aa0ba902b7-00", "1".repeat(32)))).await;
    publish(&mut author, None).await;
    let last = publish(&mut author, Some("nonsense".into())).await;
    while !matches!(member.frame().await, ServerFrame::Message { message, .. } if message.seq == last)
    {
    }
    let line = here.until("published", 1).await;
    assert_eq!((&line["trace"], &line["user"]), (&TRACE.into(), &"ann".into()));
    drop((author, member));
    here.stop().await;
    there.stop().await;

    let spans = collector.spans();
    let find = |name: &str| spans.iter().find(|span| span.name == name).unwrap().clone();
    let (published, bus, delivered) = (find("publish"), find("bus"), find("deliver"));
    assert_eq!(spans.len(), 3, "{spans:?}");
    assert!(spans.iter().all(|span| span.trace == TRACE), "{spans:?}");
    let nodes = [&published, &bus, &delivered].map(|span| span.node.as_str());
    assert_eq!(nodes, ["here", "here", "there"]);
    assert_eq!(published.parent, 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes());
    assert_eq!((&bus.parent, &delivered.parent), (&published.id, &bus.id));
    assert!(published.time.0 <= bus.time.0 && bus.time.0 <= bus.time.1);
    assert!(bus.time.1 <= published.time.1 && delivered.time.0 <= delivered.time.1);
    for span in &spans {
        assert_eq!(span.text("messaging.destination.name"), ROOM);
        assert_eq!(span.text("roomcast.seq"), followed.to_string());
    }
    assert_eq!(
        (published.text("user.id"), delivered.text("roomcast.members")),
        ("ann".into(), "1".into())
    );
    assert!(!collector.holds(SECRET), "never what was published");
}

#[tokio::test]
async fn a_part_of_the_others_is_followed_and_a_lost_collector_harms_nobody() {
    let redis = RedisServer::start();
    let (collector, address) = Collector::start().await;
    let nobody = SocketAddr::from(([127, 0, 0, 1], roomcast_testkit::free_port()));
    for (collects, sample) in [(address, "1"), (nobody, "1")] {
        let node = serve(&redis, collects, "one", sample);
        node.ready(200).await;
        let mut author = TestClient::connect(node.address().await, Encoding::Json, "").await;
        author.join(ROOM).await;
        publish(&mut author, None).await;
        // Without a member there is no delivery to follow.
        while !matches!(author.frame().await, ServerFrame::Message { .. }) {}
        drop(author);
        let log = node.stop().await;
        let lost =
            log.iter().any(|line| line["message"].as_str().unwrap().starts_with("spans are lost"));
        assert_eq!(lost, collects == nobody, "{log:#?}");
    }
    let spans = collector.spans();
    assert_eq!(spans.len(), 3, "{spans:?}");
    assert!(spans.iter().all(|span| span.trace == spans[0].trace));
    let roots: Vec<_> = spans.iter().filter(|span| span.parent.is_empty()).collect();
    assert_eq!(roots.len(), 1, "{roots:?}");
    assert_eq!(roots[0].name, "publish");
}
