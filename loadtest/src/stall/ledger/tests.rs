//! Cases of the ledger of what members have.

use std::sync::Arc;

use bytes::Bytes;
use roomcast_protocol::{Data, Encoding as Wire};

use super::*;
use crate::dialect::{WireEncoding, room_name};
use crate::server::Kind;

/// A frame of message `n` at a seq, as a node sends it.
fn frame(seq: u64, n: usize) -> Vec<u8> {
    let data = Data::Json(Bytes::from(format!("\"n{n}|xx\"")));
    let message = Message::new(seq, 0, data);
    let frame = ServerFrame::Message { room: room_name(0).unwrap(), message: Arc::new(message) };
    encoded(&frame)
}

fn encoded(frame: &ServerFrame) -> Vec<u8> {
    let mut payload = Vec::new();
    frame.encode(Wire::Json, &mut payload);
    payload
}

/// Two members and three messages, one every 10 ms; the first does not count.
fn ledger(began: Instant) -> Ledger {
    let addr = ([127, 0, 0, 1], 1).into();
    let dialect =
        Dialect { kind: Kind::Node, encoding: WireEncoding::Json, addr, door: Default::default() };
    let mut ledger = Ledger::new(dialect, 2);
    for n in 0..3 {
        assert_eq!(ledger.text(), format!("n{n}|"));
        ledger.publish(began + Duration::from_millis(10 * n));
        if n == 0 {
            ledger.count_from_here();
        }
    }
    ledger
}

/// What the second member's frames lead to; the first member receives everything.
fn check(frames: &[Vec<u8>], expected: &str) {
    let began = Instant::now();
    let mut ledger = ledger(began);
    for (seq, n) in [(5, 0), (6, 2), (7, 1)] {
        ledger.receive(0, &frame(seq, n), began);
    }
    for frame in frames {
        ledger.receive(1, frame, began);
    }
    assert_eq!(ledger.violations, 1, "{:?}", ledger.told);
    assert!(ledger.told[0].contains(expected), "{:?}", ledger.told);
    assert!(ledger.missing() > 0 && ledger.is_settled());
}

#[test]
fn delays_count_from_the_intended_moment_of_the_message_not_of_its_seq() {
    let began = Instant::now();
    let at = |ms| began + Duration::from_millis(ms);
    let mut ledger = ledger(began);
    // Two publishers raced: n2 was sequenced before n1.
    for (seq, n) in [(5, 0), (6, 2), (7, 1)] {
        ledger.receive(0, &frame(seq, n), at(25));
    }
    assert!(!ledger.is_settled());
    assert_eq!((ledger.missing(), ledger.seqs()), (3, (5, 8)));
    for (seq, n) in [(5, 0), (6, 2), (7, 1)] {
        ledger.receive(1, &frame(seq, n), at(30));
    }
    let delays: Vec<_> = ledger.delays.iter().map(Duration::as_millis).collect();
    assert_eq!(delays, [5, 15, 10, 20]);
    assert!(ledger.is_settled());
    assert_eq!((ledger.violations, ledger.missing()), (0, 0));
}

#[test]
fn every_kind_of_mistake_is_told() {
    check(&[frame(5, 0), frame(7, 1), frame(6, 2)], "seq 7 came, not 6");
    check(&[frame(5, 0), frame(5, 0), frame(6, 2)], "seq 5 came, not 6");
    check(&[frame(5, 0), frame(6, 1)], "differs");
    check(&[frame(5, 0), frame(6, 2), frame(7, 1), frame(8, 1), frame(9, 9)][3..], "seq 8");
    check(&[b"{".to_vec()], "cannot be read");
    let gap = ServerFrame::gap(room_name(0).unwrap(), (5, 6));
    check(&[encoded(&gap)], "Gap");
}

#[test]
fn a_message_that_nobody_sent_is_told() {
    let mut ledger = ledger(Instant::now());
    ledger.receive(0, &frame(5, 9), Instant::now());
    assert!(ledger.told[0].contains("n9 was never sent"), "{:?}", ledger.told);
}
