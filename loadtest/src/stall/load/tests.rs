//! Cases of the load with stalled members.

use super::*;
use crate::dialect::WireEncoding;
use crate::fake::{self, Fault};
use crate::server::Kind;

/// Five members and three stalled ones of a fake node, 3 messages at once and 20 paced.
fn run(fault: Fault, encoding: WireEncoding) -> (Load, Ends) {
    let addr = fake::nodes(1, fault)[0];
    let plan = Plan {
        members: 5,
        stalled: 3,
        publishers: 1,
        payload: 64,
        rate: 200.0,
        patience: Duration::from_millis(500),
    };
    let mut load =
        Load::gather(plan, Dialect { kind: Kind::Node, encoding, addr, door: Default::default() })
            .unwrap();
    load.burst(3).unwrap();
    load.pace(Duration::from_millis(100)).unwrap();
    load.settle().unwrap();
    let ends = load.wake().unwrap();
    (load, ends)
}

#[test]
fn a_good_node_passes_in_both_encodings() {
    for encoding in [WireEncoding::Json, WireEncoding::Msgpack] {
        let (load, ends) = run(Fault::None, encoding);
        assert_eq!((load.ledger.violations, load.ledger.missing()), (0, 0));
        assert_eq!(load.ledger.published(), 23);
        assert_eq!((load.ledger.delays.len(), load.lateness.len()), (100, 20));
        assert_eq!(load.ledger.slowest.len(), 20);
        assert!(load.ledger.slowest.iter().all(|slowest| load.ledger.delays.contains(slowest)));
        assert_eq!(ends, Ends { whole: 3, ..Ends::default() });
    }
}

#[test]
fn faults_towards_one_member_are_found() {
    for fault in [Fault::Drop, Fault::Twice, Fault::Late, Fault::Forge] {
        let (load, ends) = run(fault, WireEncoding::Json);
        // Whoever of two members reads a forged message first, the other one is told of.
        assert!(load.ledger.violations > 0, "{fault:?}");
        assert!(load.ledger.missing() > 0, "{fault:?}");
        assert_eq!(ends.whole, 3, "{fault:?}: {ends:?}");
    }
}

#[test]
fn parts_cover_everyone_once() {
    for all in [0, 3, 20, 1001] {
        let covered: Vec<usize> = (0..PARTS).flat_map(|part| share(all, part)).collect();
        assert_eq!(covered, (0..all).collect::<Vec<_>>());
    }
}
