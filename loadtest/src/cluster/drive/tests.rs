//! Cases of the cluster's load.

use super::*;
use crate::dialect::WireEncoding;
use crate::fake::{self, Fault};
use crate::server::Kind;

fn findings(fault: Fault) -> Findings {
    let plan = Plan {
        first_room: 7,
        rooms: 2,
        publishers: 3,
        members: 4,
        messages: 60,
        payload: 64,
        window: 2,
        lag: 10,
        stall: Duration::from_millis(300),
    };
    let nodes = fake::nodes(3, fault);
    let dialects = [WireEncoding::Json, WireEncoding::Msgpack].into_iter().flat_map(|encoding| {
        nodes.iter().map(move |&addr| Dialect {
            kind: Kind::Node,
            encoding,
            addr,
            door: Default::default(),
        })
    });
    run(&plan, &dialects.collect::<Vec<_>>()).unwrap()
}

/// One violation in each of the two rooms, all of a kind.
fn check(fault: Fault, expected: impl Fn(&Violation) -> bool) {
    let findings = findings(fault);
    assert!(findings.violation_count >= 2, "{findings:?}");
    for room in [0, 1] {
        let of_room = |violation: &&Violation| {
            expected(violation) && violation.to_string().contains(&format!("room {room}:"))
        };
        assert!(findings.violations.iter().any(|violation| of_room(&violation)), "{findings:?}");
    }
}

#[test]
fn a_good_cluster_passes() {
    let findings = findings(Fault::None);
    assert_eq!((findings.acknowledged, findings.deliveries), (60, 240));
    assert_eq!((findings.violation_count, findings.retries), (0, 0), "{findings:?}");
    assert!(findings.delivery_ms[1] > 0.0 && findings.ack_ms[1] > 0.0);
}

#[test]
fn refused_publishes_are_sent_again_and_count_once() {
    let findings = findings(Fault::Overload);
    assert_eq!(findings.retries, 10);
    assert_eq!((findings.acknowledged, findings.violation_count), (60, 0), "{findings:?}");
}

#[test]
fn a_lost_message_is_found() {
    check(Fault::Drop, |violation| matches!(violation, Violation::Hole { from: 3, to: 3, .. }));
}

#[test]
fn a_message_delivered_twice_is_found() {
    check(Fault::Twice, |violation| matches!(violation, Violation::Duplicate { seq: 3, .. }));
}

#[test]
fn a_late_message_is_found() {
    check(Fault::Late, |violation| matches!(violation, Violation::Disorder { seq: 3, .. }));
}

#[test]
fn a_forged_message_is_found() {
    check(Fault::Forge, |violation| matches!(violation, Violation::Content { seq: 3, .. }));
}
