//! A run that never was, for the tests of what shows runs.

use super::account::Tally;
use super::delays::Delays;
use super::outcome::{Cost, Outcome, Recovery};
use super::peer::Peer;
use super::sample::Use;
use super::scenario::Scenario;
use super::talk::Second;

/// Four seconds of Roomcast with a kill.
pub(crate) fn sample_outcome() -> Outcome {
    let mut delays = Delays::new().unwrap();
    (1..=5_000u64).for_each(|step| delays.record(step * 1_000));
    let scenario = Scenario::parse(
        "name = 'sample'\nabout = 'a <b> run'\nclients = 9\nrooms = 3\npublishers = 1\n\
         rate = 2.0\nseconds = 4.0\n[kill]\nat = 2.0",
    );
    let use_at = |second: u32| Use {
        at: f64::from(second),
        nodes_cpu: f64::from(second) / 3.0,
        nodes_waited: 0.0,
        nodes_kib: vec![10_000, 11_000, if second < 2 { 9_000 } else { 0 }],
        redis_cpu: f64::from(second) / 9.0,
        redis_kib: 4_000,
    };
    let second = |second| Second { second, connected: 9, sent: 2, received: 6 };
    let delay = delays.percentiles();
    Outcome {
        scenario: scenario.unwrap(),
        peer: Peer::Roomcast,
        command: "run sample.toml".to_owned(),
        nodes: 3,
        at: Vec::new(),
        found: ["load-1", "load-2", "load-3"].map(str::to_owned).into(),
        processes: 1,
        sent: 8,
        deliveries_per_second: 6.0,
        offered_per_second: 6.0,
        tally: Tally { received: 24, ..Tally::default() },
        delay,
        connect: delay,
        lateness: delay,
        recovery: Some(Recovery { clients: 3, joined: delay, received: delay, not_back: 0 }),
        cost: Some(Cost {
            nodes_micros: 5.5,
            redis_micros: Some(80.0),
            nodes_cores: 0.4,
            waited: 0.1,
            idle_kib: 30_000,
            full_kib: 30_900,
            kib_each: 100.0,
            peak_kib: 31_000,
        }),
        load_cores: 0.2,
        repeats: 0,
        unacknowledged: 0,
        ends: vec![("closed".to_owned(), 3)],
        delays: delays.pack(),
        seconds: (0..4).map(second).collect(),
        uses: (0..4).map(use_at).collect(),
    }
}
