//! Cases of one load process.

use super::*;
use crate::fake::{self, Fault};
use crate::run::peer::Peer;
use crate::run::scenario::Scenario;

/// Runs a small load against fake nodes, in this process.
fn found(fault: Fault) -> Found {
    let scenario = Scenario::parse(
        "name = 'x'\nabout = 'y'\nclients = 8\nrooms = 2\npublishers = 1\nrate = 100.0\n\
         seconds = 0.5\nwarmup = 0.0",
    );
    let share = Share {
        scenario: scenario.unwrap(),
        peer: Peer::Roomcast,
        addrs: fake::nodes(2, fault),
        door: Default::default(),
        first_room: 5,
        number: 0,
        of: 1,
    };
    let mut load = Load::new(share).unwrap();
    let expected = load.invite();
    let nap = Duration::from_millis(5);
    let deadline = Instant::now() + Duration::from_secs(10);
    let turn_until = |load: &mut Load, over: &dyn Fn(&Load) -> bool| {
        while !over(load) && Instant::now() < deadline {
            load.turn(nap).unwrap();
        }
    };
    turn_until(&mut load, &|load| load.here == expected);
    load.begin(load.clock.nanos(Instant::now()));
    turn_until(&mut load, &Load::is_published);
    let sent = load.sent.clone();
    assert_eq!(sent.iter().sum::<u32>(), 50);
    // A fault leaves something missing for good.
    let patience = Instant::now() + Duration::from_millis(300);
    turn_until(&mut load, &|load| load.is_settled(&sent) || Instant::now() > patience);
    turn_until(&mut load, &|load| load.counts.received >= 200 || Instant::now() > patience);
    load.close(&sent)
}

#[test]
fn all_is_well_with_a_node_that_does_well() {
    let found = found(Fault::None);
    assert_eq!(found.tally, Tally { received: 200, ..Tally::default() });
    assert_eq!((found.repeats, found.unacknowledged), (0, 0));
    let delays = Delays::unpack([&found.delays]).unwrap().percentiles();
    assert_eq!(delays.count, 200);
    assert!(delays.p50 > 0.0 && delays.p50 < 1_000.0, "{delays:?}");
}

#[test]
fn planted_faults_are_found() {
    let tally = found(Fault::Drop).tally;
    assert_eq!((tally.received, tally.missing, tally.untold), (198, 2, 2));
    let tally = found(Fault::Twice).tally;
    assert_eq!((tally.received, tally.repeated, tally.missing), (200, 2, 0));
    let tally = found(Fault::Late).tally;
    assert_eq!((tally.received, tally.disordered, tally.untold), (200, 2, 0));
    let tally = found(Fault::Forge).tally;
    assert!(tally.breaks_promises(), "{tally:?}");
}

#[test]
fn a_refused_publish_goes_again_and_nothing_is_lost() {
    let found = found(Fault::Overload);
    assert!(found.repeats >= 10, "{}", found.repeats);
    assert_eq!((found.tally.received, found.tally.missing, found.tally.untold), (200, 0, 0));
    assert!(!found.tally.breaks_promises());
}
