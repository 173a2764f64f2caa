//! P2 and P10 while the list of Redis servers grows under two running nodes, by a changed file and
//! SIGHUP to one after the other: rooms that move begin anew and say so, no others notice, and the
//! node that still has the old list refuses to publish until it has the new one.

use std::path::PathBuf;

use crate::support::{Outcomes, Persistent, Process, TestClient, Watcher};
use roomcast_bus::room_names;
use roomcast_protocol::{Encoding, ErrorCode, RoomName};
use roomcast_testkit::RedisServer;
use tempfile::TempDir;

const ROOMS: usize = 12;
const STAY: &str = "the Redis servers stay as they are: \
                    give bus.servers_version at least 2 with the new list";
const CHANGED: &str = "the list of servers changed";

/// Two nodes that read one file, with members in every room on each, and a publisher in every
/// room, now on the one node and now on the other.
struct Scene {
    file: PathBuf,
    nodes: [Process; 2],
    watchers: Vec<Watcher>,
    publishers: Vec<Persistent>,
    _folder: TempDir,
}

fn name(room: usize) -> String {
    format!("list:{room}")
}

/// The file of a node: these servers, placed by these names, and the list's version.
fn text(servers: &[(&str, &RedisServer)], version: &str) -> String {
    let url = |(name, server): &(&str, &RedisServer)| format!("{}?name={name}", server.url());
    let urls: Vec<String> = servers.iter().map(url).collect();
    format!("[bus]\nredis_url = \"{}\"\n{version}\n", urls.join(" "))
}

impl Scene {
    async fn start(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("roomcast.toml");
        std::fs::write(&file, text).unwrap();
        let nodes = [(); 2].map(|()| Process::serve(&["--config", file.to_str().unwrap()]));
        let names: Vec<String> = (0..ROOMS).map(name).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let (mut watchers, mut publishers) = (Vec::new(), Vec::new());
        for (node, encoding) in nodes.iter().zip(Encoding::ALL) {
            node.ready(200).await;
            let client = TestClient::connect(node.address().await, encoding, "").await;
            watchers.push(Watcher::join(client, &names).await);
        }
        for (room, name) in names.iter().enumerate() {
            let address = nodes[room % 2].address().await;
            let client = TestClient::connect(address, Encoding::ALL[room / 2 % 2], "").await;
            publishers.push(Persistent::start(client, name, name));
        }
        Self { file, nodes, watchers, publishers, _folder: folder }
    }

    fn change(&self, node: usize, text: &str) {
        std::fs::write(&self.file, text).unwrap();
        self.nodes[node].signal("-HUP");
    }

    /// Waits for so many more acks of every publisher at one of the nodes.
    async fn more(&mut self, node: usize, count: usize) {
        for publisher in self.publishers.iter_mut().skip(node).step_by(2) {
            publisher.more(count).await;
        }
    }

    fn refused(&self, node: usize) -> Vec<ErrorCode> {
        let publishers = self.publishers.iter().skip(node).step_by(2);
        publishers.flat_map(|publisher| publisher.outcomes().refused).collect()
    }
}

#[tokio::test]
async fn a_list_that_grows_moves_some_rooms_and_disturbs_no_others() {
    let [a, b, c] = [(); 3].map(|()| RedisServer::start());
    let (two, three) = ([("a", &a), ("b", &b)], [("a", &a), ("b", &b), ("c", &c)]);
    let mut scene = Scene::start(&text(&two, "")).await;
    for node in [0, 1] {
        scene.more(node, 20).await;
    }

    // The list without a higher version: told, and nothing happens.
    scene.change(0, &text(&three, ""));
    let told = scene.nodes[0].until(STAY, 1).await;
    assert_eq!(told["level"], "ERROR");
    for node in [0, 1] {
        scene.more(node, 20).await;
        assert_eq!(scene.refused(node), []);
    }
    assert_eq!(c.ask::<u64>(&["DBSIZE"]).unwrap(), 0, "the third server is not in use");

    // With its version, at one of the nodes: the other must not publish any more.
    let new = text(&three, "servers_version = 2");
    scene.change(0, &new);
    let changed = scene.nodes[0].until(CHANGED, 1).await;
    assert_eq!((&changed["version"], &changed["servers"]), (&2.into(), &3.into()));
    let mut late = TestClient::connect(scene.nodes[1].address().await, Encoding::Json, "").await;
    for room in 0..ROOMS {
        let publish = late.publication(&name(room), "\"too late\"");
        assert_eq!(late.try_publish(publish).await, Err(ErrorCode::BusUnavailable), "{room}");
    }
    scene.nodes[1].ready(503).await;
    scene.nodes[0].ready(200).await;
    scene.more(0, 20).await;

    scene.change(1, &new);
    assert_eq!(scene.nodes[1].until(CHANGED, 1).await["moved"], changed["moved"]);
    for node in [1, 0] {
        scene.nodes[node].ready(200).await;
        scene.more(node, 20).await;
    }
    assert!(scene.refused(1).contains(&ErrorCode::BusUnavailable));

    let mut moved = 0;
    for (room, publisher) in scene.publishers.into_iter().enumerate() {
        let outcomes = publisher.finish().await;
        let meta = room_names("roomcast", 0, &RoomName::parse(&name(room)).unwrap()).keys.meta;
        let has_moved = c.ask::<bool>(&["EXISTS", &meta]).unwrap();
        moved += usize::from(has_moved);
        for watcher in &mut scene.watchers {
            check(watcher, &name(room), &outcomes, has_moved).await;
        }
    }
    assert!((1..ROOMS).contains(&moved));
    assert_eq!(changed["moved"], moved);
    drop((scene.watchers, late));
    for node in scene.nodes {
        node.stop().await;
    }
}

/// Holds what a member was told to what was acked: all of it, and of a room that moved all since
/// it began anew, after one reset that says so.
async fn check(watcher: &mut Watcher, room: &str, outcomes: &Outcomes, has_moved: bool) {
    let (last, _) = *outcomes.acked.last().unwrap();
    let heard = watcher.up_to(room, last).await;
    assert_eq!(heard.gaps, []);
    if !has_moved {
        heard.is_whole();
        return assert!(heard.messages == outcomes.acked, "{room} differs from what was acked");
    }
    let of = |messages: &[(roomcast_protocol::Position, String)], is_new: bool| -> Vec<_> {
        messages.iter().filter(|(at, _)| (at.epoch == last.epoch) == is_new).cloned().collect()
    };
    let before = of(&heard.messages, false);
    let [(begun, lost)] = heard.resets[..] else { panic!("{room}: {:?}", heard.resets) };
    assert_eq!((begun.epoch, begun.seq, lost), (last.epoch, 0, before.len() as u64), "{room}");
    assert_eq!(of(&heard.messages, true), of(&outcomes.acked, true), "{room} since it moved");
    // Whatever a member saw of the time before is what was acked then.
    let acked = of(&outcomes.acked, false);
    let shared = before.len().min(acked.len());
    assert_eq!(before[..shared], acked[..shared], "{room} before it moved");
}
