//! Cases of reading scenarios.

use super::*;

const LEAST: &str = "name = 'x'\nabout = 'y'\nclients = 100\nrooms = 10\npublishers = 4\n\
                     rate = 10.0\nseconds = 10.0\n";

#[test]
fn what_a_file_leaves_out_has_a_default() {
    let scenario = Scenario::parse(LEAST).unwrap();
    assert_eq!((scenario.nodes, scenario.payload, scenario.warmup), (3, 128, 2.0));
    assert_eq!((scenario.processes, scenario.kill), (None, None));
}

#[test]
fn mistakes_are_named() {
    let refused = |more: &str, words: &str| {
        let text = if more.contains("rate") {
            LEAST.replace("rate = 10.0", more)
        } else {
            format!("{LEAST}{more}")
        };
        let error = format!("{:#}", Scenario::parse(&text).unwrap_err());
        assert!(error.contains(words), "{more}: {error}");
    };
    refused("cleints = 3", "unknown field `cleints`");
    refused("[kill]\nat = 1.0\nnode = 2", "unknown field `node`");
    refused("rate = 0.0", "`rate` is 0: it is at least 0.1");
    refused("rate = 'fast'", "invalid type");
    refused("rate = nan", "`rate` is NaN");
    refused("warmup = 6.0", "`warmup` is 6: it is at least 0 and at most 5");
    refused("nodes = 0", "`nodes` is 0");
    refused("payload = 10", "`payload` is 10: it is at least 64");
    refused("nodes = 1\n[kill]\nat = 1.0", "`kill` needs at least 2");
    refused("[kill]\nat = 11.0", "`kill.at` is 11");
    refused("[storm]\nclients = 101\nat = 1.0", "`storm.clients` is 101");
    refused("[slow]\nshare = 1.5\nat = 1.0\npause = 1.0", "`slow.share` is 1.5");
    refused("[slow]\nshare = 0.5", "missing field `at`");
    let error = Scenario::parse("name = 'x'").unwrap_err().to_string();
    assert!(error.contains("missing field"), "{error}");
}

#[test]
fn the_scenarios_of_this_folder_are_valid() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let scenario = Scenario::read(&path).unwrap();
        assert_eq!(path.file_stem().unwrap().to_str().unwrap(), scenario.name);
        names.push(scenario.name);
    }
    names.sort();
    let all = [
        "chat",
        "connect-storm",
        "hot-room",
        "many-rooms",
        "reconnect-storm",
        "rolling",
        "saturation",
        "slow-readers",
        "soak",
    ];
    assert_eq!(names, all);
}

#[test]
fn every_room_has_members_on_every_node_and_a_stream() {
    let mut scenario = Scenario::parse(LEAST).unwrap();
    for room in 0..10 {
        let nodes: std::collections::BTreeSet<_> = (0..100)
            .filter(|client| client % 10 == room)
            .map(|client| scenario.node_of(client, 3))
            .collect();
        assert_eq!(nodes.len(), 3, "room {room}");
        assert_eq!(scenario.streams_of(room), 1);
    }
    scenario.rooms = 3;
    assert_eq!([0, 1, 2].map(|room| scenario.streams_of(room)), [2, 1, 1]);
}

#[test]
fn slow_and_late_clients_are_as_many_as_asked_for() {
    let text = format!(
        "{LEAST}[slow]\nshare = 0.15\nat = 1.0\npause = 2.0\n[storm]\nclients = 30\nat = 2.0"
    );
    let scenario = Scenario::parse(&text).unwrap();
    assert_eq!((0..100).filter(|&client| scenario.is_slow(client)).count(), 15);
    assert_eq!((0..100).filter(|&client| scenario.is_late(client)).count(), 30);
    assert_eq!((scenario.load_processes(100), scenario.load_processes(40_000)), (1, 3));
}
