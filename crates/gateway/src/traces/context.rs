//! W3C Trace Context: the text `traceparent` and what it says. Pure.

use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use opentelemetry_sdk::propagation::TraceContextPropagator;

/// A span of ours that is recorded.
pub(super) fn new(trace: TraceId, span: SpanId) -> SpanContext {
    SpanContext::new(trace, span, TraceFlags::SAMPLED, false, TraceState::default())
}

/// A span's id.
pub(super) fn new_id() -> SpanId {
    SpanId::from(rand::random::<u64>())
}

/// What a `traceparent` says; not valid if it says nothing.
pub(super) fn read(traceparent: &str) -> SpanContext {
    let context = Context::new();
    let told = TraceContextPropagator::new().extract_with_context(&context, &Header(traceparent));
    told.span().span_context().clone()
}

/// The text of a span that is recorded.
pub(super) fn write(context: &SpanContext) -> Box<str> {
    let (trace, span) = (context.trace_id(), context.span_id());
    format!("00-{trace}-{span}-{:02x}", context.trace_flags().to_u8()).into()
}

/// The one header.
struct Header<'a>(&'a str);

impl Extractor for Header<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == "traceparent").then_some(self.0)
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent"]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn what_is_written_is_read() {
        let trace = TraceId::from_hex(TRACE).expect("hex");
        let text = write(&new(trace, SpanId::from(7)));
        assert_eq!(&*text, format!("00-{TRACE}-0000000000000007-01"));
        let told = read(&text);
        assert_eq!((told.trace_id(), told.span_id()), (trace, SpanId::from(7)));
        assert!(told.is_sampled() && told.is_remote());
    }

    #[test]
    fn what_is_no_context_says_nothing() {
        assert!(!read(&format!("00-{TRACE}-0000000000000007-00")).is_sampled());
        for bad in [
            "",
            "00",
            "00-0-0-01",
            "00-00000000000000000000000000000000-0000000000000007-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000007-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000007",
        ] {
            assert!(!read(bad).is_valid(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,80}") {
            read(&text);
        }
    }
}
