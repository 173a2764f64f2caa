//! Labels, their words, and what observations show in the text form.

use std::collections::HashSet;
use std::fmt::Debug;

use roomcast_protocol::{CloseCode, Encoding, ErrorCode, FrameType};

use super::*;

/// The promises of [`Label`] that its users index and parse by.
fn check_label<L: Label + Debug + PartialEq>() {
    let mut words = HashSet::new();
    for (index, value) in L::ALL.iter().copied().enumerate() {
        assert_eq!(value.index(), index, "{value:?} stands elsewhere in ALL");
        assert_eq!(L::parse(value.as_str()), Some(value));
        assert!(words.insert(value.as_str()), "{value:?} shares its word");
        let plain = value
            .as_str()
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        assert!(plain, "{value:?} is no plain word");
    }
    assert_eq!(L::parse("no such word"), None);
}

#[test]
fn labels_are_indexed_and_parsed_as_promised() {
    check_label::<Transport>();
    check_label::<Encoding>();
    check_label::<ConnectionKind>();
    check_label::<CloseReason>();
    check_label::<RefusalReason>();
    check_label::<Option<FrameType>>();
    check_label::<ErrorCode>();
    check_label::<DeliveryStage>();
    check_label::<SlowAction>();
    check_label::<GapCause>();
    check_label::<ResumeOutcome>();
    check_label::<BusCommand>();
    check_label::<crate::StateForm>();
    check_label::<crate::StateReadOutcome>();
    check_label::<BusConnection>();
    check_label::<RepairCause>();
    check_label::<EpochResetCause>();
}

fn check_line(metrics: &Metrics, line: &str) {
    let text = metrics.render();
    assert!(text.lines().any(|l| l == line), "no line {line:?} in\n{text}");
}

#[test]
fn observations_stand_in_the_text_under_their_labels() {
    let metrics = Metrics::new();
    metrics.connections.open[Transport::Websocket][Encoding::MsgPack].inc();
    metrics.connections.closed[CloseReason::Gone].inc();
    metrics.connections.closed[CloseReason::Node(CloseCode::Slow)].inc_by(2);
    metrics.traffic.frames_in[None].inc();
    metrics.traffic.errors[ErrorCode::TooLarge].inc();
    metrics.traffic.messages_out.inc_by(1_000);
    metrics.bus.repairs[RepairCause::Tail].inc();
    check_line(&metrics, r#"roomcast_connections{encoding="msgpack",transport="websocket"} 1"#);
    check_line(&metrics, r#"roomcast_connections{encoding="json",transport="websocket"} 0"#);
    check_line(&metrics, r#"roomcast_connections_closed_total{reason="gone"} 1"#);
    check_line(&metrics, r#"roomcast_connections_closed_total{reason="client"} 0"#);
    check_line(&metrics, r#"roomcast_connections_closed_total{reason="slow"} 2"#);
    check_line(&metrics, r#"roomcast_frames_in_total{type="bad"} 1"#);
    check_line(&metrics, r#"roomcast_errors_total{code="too_large"} 1"#);
    check_line(&metrics, "roomcast_messages_out_total 1000");
    check_line(&metrics, r#"roomcast_bus_repairs_total{cause="tail"} 1"#);
    check_line(
        &metrics,
        concat!("roomcast_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
    );
}

#[test]
fn a_namespace_asked_for_twice_is_one() {
    let metrics = Metrics::new();
    metrics.namespace("chat").members.add(3);
    metrics.namespace("chat").members.dec();
    metrics.namespace("default").rooms.inc();
    check_line(&metrics, r#"roomcast_members{namespace="chat"} 2"#);
    check_line(&metrics, r#"roomcast_rooms{namespace="chat"} 0"#);
    check_line(&metrics, r#"roomcast_rooms{namespace="default"} 1"#);
}

#[test]
fn clones_share_values_and_registries_do_not() {
    let (one, other) = (Metrics::new(), Metrics::new());
    one.clone().node.panics.inc();
    check_line(&one, "roomcast_panics_total 1");
    check_line(&other, "roomcast_panics_total 0");
}

#[test]
fn a_message_from_the_future_counts_as_no_delay() {
    let metrics = Metrics::new();
    metrics.delivery.observe(1_000, 1_004);
    metrics.delivery.observe(2_000, 1_990);
    metrics.delivery.observe_bus(1_000, 1_001);
    check_line(&metrics, "roomcast_delivery_clock_ahead_total 1");
    check_line(&metrics, "roomcast_delivery_seconds_sum 0.004");
    check_line(&metrics, "roomcast_delivery_seconds_count 2");
    check_line(&metrics, r#"roomcast_delivery_stage_seconds_sum{stage="bus"} 0.001"#);
}

#[test]
fn buckets_ascend() {
    for scale in [buckets::WORK, buckets::WAIT, buckets::CLOCKS, buckets::LIFETIME, buckets::GROUP]
    {
        assert!(scale.windows(2).all(|pair| pair[0] < pair[1]), "{scale:?}");
    }
}
