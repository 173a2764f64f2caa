//! Traces: which publishes are followed, and the spans of those. The span `publish` lasts from a
//! frame read to its ack handed over, its part `bus` from the submission to the bus's answer; both
//! are of the node that took it. What travels with the message is the context of `bus`: every node
//! with members adds a `deliver`, from the room's log to the end of the message's first pass.

mod context;
mod export;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceId};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanData, SpanProcessor};
use roomcast_protocol::{NodeId, RoomName, Seq};

use crate::config::TracesConfig;

/// What spans say of a room and a place in it.
const ROOM: &str = "messaging.destination.name";
const SEQ: &str = "roomcast.seq";
/// How long the last spans may take to leave.
const FLUSH: Duration = Duration::from_secs(2);

/// Follows some publishes, or none. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tracer(Option<Arc<Recorder>>);

#[derive(Debug)]
struct Recorder {
    processor: BatchSpanProcessor,
    scope: InstrumentationScope,
    sample: f64,
}

/// A publish that is followed, until its answer.
#[derive(Debug)]
pub(crate) struct Followed {
    pub(crate) trace: TraceId,
    /// The caller's span, if it has one.
    parent: SpanContext,
    publish: SpanId,
    bus: SpanId,
    /// When it began, by the machine's clock; all that follows is measured by the other, which
    /// nobody sets.
    begun: SystemTime,
    since: Instant,
    submitted: Duration,
    answered: Duration,
}

/// How a followed publish ended, for its spans.
pub(crate) struct TracedOutcome<'a> {
    pub(crate) room: &'a RoomName,
    pub(crate) user: Option<&'a str>,
    pub(crate) connection: String,
    /// Where it was stored, or the code of its error.
    pub(crate) result: Result<Seq, &'static str>,
}

impl Tracer {
    /// A tracer as configured. Call it within the runtime that shall send the spans.
    pub(crate) fn start(config: &TracesConfig, node: &NodeId) -> Result<Self, String> {
        let Some(endpoint) = &config.endpoint else { return Ok(Self(None)) };
        let processor = export::processor(endpoint.expose(), node)?;
        let scope = InstrumentationScope::builder("roomcast")
            .with_version(env!("CARGO_PKG_VERSION"))
            .build();
        Ok(Self(Some(Arc::new(Recorder { processor, scope, sample: config.sample }))))
    }

    /// Begins to follow a publish, if its caller does so or chance wants it.
    pub(crate) fn follow(&self, traceparent: Option<&str>) -> Option<Box<Followed>> {
        let recorder = self.0.as_ref()?;
        let parent = traceparent.map_or(SpanContext::NONE, context::read);
        let is_followed = match parent.is_valid() {
            true => parent.is_sampled(),
            false => rand::random::<f64>() < recorder.sample,
        };
        is_followed.then(|| Box::new(Followed::new(parent)))
    }

    /// A followed publish was answered, and the answer handed to its connection.
    pub(crate) fn published(&self, followed: &Followed, outcome: &TracedOutcome<'_>) {
        let Some(recorder) = &self.0 else { return };
        let room = KeyValue::new(ROOM, outcome.room.to_string());
        let (status, told) = match outcome.result {
            Ok(seq) => (Status::Ok, KeyValue::new(SEQ, seq as i64)),
            Err(code) => (Status::error(code), KeyValue::new("error.type", code)),
        };
        let mut attributes = vec![
            room.clone(),
            told.clone(),
            KeyValue::new("roomcast.connection", outcome.connection.clone()),
        ];
        attributes.extend(outcome.user.map(|user| KeyValue::new("user.id", user.to_owned())));
        let own = followed.context(followed.publish);
        recorder.record(Span {
            name: "publish",
            kind: SpanKind::Server,
            context: own.clone(),
            parent: followed.parent.clone(),
            time: (followed.begun, followed.at(followed.since.elapsed())),
            attributes,
            status: status.clone(),
        });
        recorder.record(Span {
            name: "bus",
            kind: SpanKind::Producer,
            context: followed.context(followed.bus),
            parent: own,
            time: (followed.at(followed.submitted), followed.at(followed.answered)),
            attributes: vec![room, told],
            status,
        });
    }

    /// A message's first pass has ended, so long after it came into the room's log.
    pub(crate) fn delivered(
        &self,
        traceparent: &str,
        (room, seq): (&RoomName, Seq),
        members: usize,
        took: Duration,
    ) {
        let Some(recorder) = &self.0 else { return };
        let parent = context::read(traceparent);
        if !parent.is_sampled() {
            return;
        }
        let now = wall_clock();
        recorder.record(Span {
            name: "deliver",
            kind: SpanKind::Consumer,
            context: context::new(parent.trace_id(), context::new_id()),
            parent,
            time: (now - took, now),
            attributes: vec![
                KeyValue::new(ROOM, room.to_string()),
                KeyValue::new(SEQ, seq as i64),
                KeyValue::new("roomcast.members", members as i64),
            ],
            status: Status::Ok,
        });
    }

    /// Sends what is left; the node has stopped.
    pub(crate) async fn finish(self) {
        let Some(recorder) = self.0 else { return };
        let flush = move || recorder.processor.shutdown_with_timeout(FLUSH);
        if let Ok(Err(error)) = tokio::task::spawn_blocking(flush).await {
            tracing::warn!("the last spans were not sent: {error}");
        }
    }
}

impl Followed {
    fn new(parent: SpanContext) -> Self {
        let trace = match parent.is_valid() {
            true => parent.trace_id(),
            false => TraceId::from(rand::random::<u128>()),
        };
        let (publish, bus) = (context::new_id(), context::new_id());
        let (begun, since) = (wall_clock(), Instant::now());
        let (submitted, answered) = (Duration::ZERO, Duration::ZERO);
        Self { trace, parent, publish, bus, begun, since, submitted, answered }
    }

    /// What travels with the message, from now on.
    pub(crate) fn submit(&mut self) -> Box<str> {
        self.submitted = self.since.elapsed();
        context::write(&self.context(self.bus))
    }

    /// The bus answered.
    pub(crate) fn answered(&mut self) {
        self.answered = self.since.elapsed();
    }

    /// So long after it began.
    fn at(&self, after: Duration) -> SystemTime {
        self.begun + after
    }

    fn context(&self, span: SpanId) -> SpanContext {
        context::new(self.trace, span)
    }
}

/// The machine's time: spans of several nodes are set beside each other.
#[expect(clippy::disallowed_methods, reason = "it goes into a span")]
fn wall_clock() -> SystemTime {
    SystemTime::now()
}

struct Span {
    name: &'static str,
    kind: SpanKind,
    context: SpanContext,
    parent: SpanContext,
    time: (SystemTime, SystemTime),
    attributes: Vec<KeyValue>,
    status: Status,
}

impl Recorder {
    /// Queues a span; never waits. At the queue's bound the library drops it.
    fn record(&self, span: Span) {
        self.processor.on_end(SpanData {
            span_context: span.context,
            parent_span_id: span.parent.span_id(),
            parent_span_is_remote: span.parent.is_remote(),
            span_kind: span.kind,
            name: span.name.into(),
            start_time: span.time.0,
            end_time: span.time.1,
            attributes: span.attributes,
            dropped_attributes_count: 0,
            events: Default::default(),
            links: Default::default(),
            status: span.status,
            instrumentation_scope: self.scope.clone(),
        });
    }
}
