//! Cases of opening and joining a crowd.

use super::*;
use crate::dialect::WireEncoding;
use crate::fake::{self, Fault};

#[test]
fn everyone_is_seated_in_order_and_in_both_encodings() {
    let addr = fake::nodes(1, Fault::None)[0];
    let seat = |number: usize| {
        let encoding = [WireEncoding::Json, WireEncoding::Msgpack][number % 2];
        let dialect = Dialect { kind: Kind::Node, encoding, addr, door: Default::default() };
        Seat { dialect, rooms: (0..number % 4).collect() }
    };
    let seats: Vec<Seat> = (0..100).map(seat).collect();
    let mut engine = Engine::new(&Default::default()).unwrap();
    let links = gather(&mut engine, &seats).unwrap();
    assert_eq!((links.len(), engine.len()), (100, 100));
    assert!(links.is_sorted());
}

#[test]
fn a_refused_connection_is_told() {
    let addr = ([127, 0, 0, 1], 1).into();
    let dialect =
        Dialect { kind: Kind::Node, encoding: WireEncoding::Json, addr, door: Default::default() };
    let seat = Seat { dialect, rooms: vec![] };
    let error = gather(&mut Engine::new(&Default::default()).unwrap(), &[seat]).unwrap_err();
    assert!(format!("{error:#}").contains("refused"), "{error:#}");
}
