//! State rooms on one node: who joins gets the newest value of each key and then every change; slow
//! readers get the newest values; what has expired is removed.

use std::collections::BTreeMap;
use std::time::Duration;

use roomcast_protocol::{
    ClientFrame, Encoding, Epoch, ErrorCode, Position, Publish, Seq, ServerFrame, StateEntry,
    StateKey,
};
use serde_json::json;
use tokio::time::Instant;

use crate::support::{
    Backend, Incoming, SHORT_LOG, StateMap, StateValues, TestClient, TestNode, eventually, room,
    text,
};

const STATE: &str = "namespaces.default.state=true";

/// A publish of a key's value; the empty key is the room's own.
fn set(client: &mut TestClient, name: &str, key: &str, json: &str) -> Publish {
    Publish { state_key: StateKey::parse(key).ok(), ..client.publication(name, json) }
}

fn remove(client: &mut TestClient, name: &str, key: &str) -> Publish {
    Publish { remove: true, ..set(client, name, key, "null") }
}

/// Publishes, and notes it in the truth.
async fn tell(client: &mut TestClient, truth: &mut StateValues, publish: Publish) -> Position {
    let key = publish.state_key.as_ref().map_or("", |key| key.as_str()).to_owned();
    let (value, removes) = (text(&publish.data), publish.remove);
    let at = client.try_publish(publish).await.unwrap();
    match removes {
        true => drop(truth.remove(&key)),
        false => drop(truth.insert(key, (at.seq, value))),
    }
    at
}

#[tokio::test]
async fn a_joiner_gets_the_state_and_then_every_change() {
    let node = TestNode::start(&[STATE]).await;
    for encoding in [Encoding::Json, Encoding::MsgPack] {
        let name = &format!("board:{encoding:?}");
        let mut writer = node.user(encoding, "ann").await;
        let mut truth = StateValues::new();
        let mut early = StateMap::new(name);
        let mut first = node.user(encoding, "eve").await;
        early.join(&mut first).await;
        early.until(&mut first, 0).await;
        assert_eq!((early.snapshots, early.shown().as_str()), (1, ""));
        for (key, value) in [("a", "1"), ("b", "[2]"), ("", "3"), ("a", r#"{"x":4}"#)] {
            let publish = set(&mut writer, name, key, value);
            tell(&mut writer, &mut truth, publish).await;
        }
        let publish = remove(&mut writer, name, "b");
        tell(&mut writer, &mut truth, publish).await;
        let mut late = StateMap::new(name);
        let mut second = node.user(encoding, "joe").await;
        late.join(&mut second).await;
        late.until(&mut second, 5).await;
        assert_eq!((late.snapshots, late.parts), (1, 1));
        assert_eq!(late.shown(), r#"=3@3 a={"x":4}@4"#);
        let publish = set(&mut writer, name, "c", "5");
        let at = tell(&mut writer, &mut truth, publish).await;
        late.until(&mut second, at.seq).await;
        early.until(&mut first, at.seq).await;
        assert_eq!((&early.values, &late.values), (&truth, &truth));
        assert_eq!((early.snapshots, early.removals.as_slice()), (1, &[5][..]));
        // Who comes back with its position gets what it missed, not the whole.
        drop(second);
        let publish = remove(&mut writer, name, "a");
        let at = tell(&mut writer, &mut truth, publish).await;
        let mut back = node.user(encoding, "joe").await;
        assert_eq!(late.join(&mut back).await, Some(true));
        late.until(&mut back, at.seq).await;
        assert_eq!((&late.values, late.snapshots), (&truth, 1));
    }
    node.stop().await;
}

#[tokio::test]
async fn what_is_published_is_told_as_it_was() {
    let node = TestNode::start(&[STATE]).await;
    let mut client = node.user(Encoding::Json, "ann").await;
    let publish = Publish { ttl_ms: Some(60_000), ..set(&mut client, "room", "k", "1") };
    client.try_publish(publish).await.unwrap();
    let publish = remove(&mut client, "room", "k");
    client.try_publish(publish).await.unwrap();
    let id = Some(client.next_id());
    let query = roomcast_protocol::HistoryQuery {
        id,
        room: room("room"),
        after: None,
        before: None,
        limit: 10,
    };
    let answer = client.ask(&ClientFrame::History(query)).await;
    let ServerFrame::History { messages, .. } = answer else { panic!("{answer:?}") };
    let told = |index: usize| {
        let message = &messages[index];
        (message.state_key.as_ref().unwrap().as_str().to_owned(), message.ttl_ms, message.remove)
    };
    assert_eq!(told(0), ("k".to_owned(), Some(60_000), false));
    assert_eq!(told(1), ("k".to_owned(), None, true));
    node.stop().await;
}

#[tokio::test]
async fn other_rooms_have_no_state() {
    let node = TestNode::start(&[]).await;
    let mut client = node.json().await;
    let unsupported = Err(ErrorCode::Unsupported);
    let publish = set(&mut client, "plain", "k", "1");
    assert_eq!(client.try_publish(publish).await, unsupported);
    let publish = Publish { remove: true, ..client.publication("plain", "1") };
    assert_eq!(client.try_publish(publish).await, unsupported);
    let publish = Publish { ttl_ms: Some(100), ..client.publication("plain", "1") };
    assert_eq!(client.try_publish(publish).await, unsupported);
    let publish = Publish { if_key_seq: Some(Position::START), ..client.publication("plain", "1") };
    assert_eq!(client.try_publish(publish).await, unsupported);
    let answer = read(&mut client, "plain", None).await;
    assert!(matches!(answer, ServerFrame::Error { code: ErrorCode::Unsupported, .. }));
    let joined = client.join("plain").await;
    client.publish("plain", "1").await;
    assert_eq!(client.message("plain").await.seq, joined.at.seq + 1);
    node.stop().await;
}

#[tokio::test]
async fn conditions_and_bounds_are_told() {
    let node = TestNode::start(&[STATE, "namespaces.default.state_keys=2"]).await;
    let mut client = node.json().await;
    let start = Some(Position::START);
    let publish = Publish { if_key_seq: start, ..set(&mut client, "room", "a", "1") };
    let at = client.try_publish(publish).await.unwrap();
    let publish = Publish { if_key_seq: start, ..set(&mut client, "room", "a", "1") };
    assert_eq!(client.try_publish(publish).await, Err(ErrorCode::SeqConflict));
    let publish = Publish { if_key_seq: Some(at), ..set(&mut client, "room", "a", "2") };
    client.try_publish(publish).await.unwrap();
    let none = Some(Position { seq: 0, ..at });
    let publish = Publish { if_key_seq: none, ..set(&mut client, "room", "b", "3") };
    client.try_publish(publish).await.unwrap();
    let publish = set(&mut client, "room", "c", "4");
    assert_eq!(client.try_publish(publish).await, Err(ErrorCode::TooManyKeys));
    // A room that is joined but was never published to.
    let mut map = StateMap::new("new");
    map.join(&mut client).await;
    map.until(&mut client, 0).await;
    let own = map.at;
    assert_ne!(own.unwrap().epoch, Epoch::NONE);
    let publish = Publish { if_key_seq: start, if_seq: start, ..set(&mut client, "new", "a", "1") };
    client.try_publish(publish).await.unwrap();
    node.stop().await;
}

/// A text of so many bytes as JSON.
fn filled(number: usize, bytes: usize) -> String {
    format!("\"{number:>width$}\"", width = bytes - 2)
}

/// Publishes many changes, as fast as they are acknowledged in bursts.
async fn churn(
    client: &mut TestClient,
    truth: &mut StateValues,
    name: &str,
    (count, keys, bytes): (usize, usize, usize),
) -> Seq {
    let mut last = 0;
    for number in 0..count {
        let key = format!("k{}", (number * 7) % keys);
        let publish = match number % 19 {
            18 => remove(client, name, &key),
            _ => set(client, name, &key, &filled(number, bytes)),
        };
        last = tell(client, truth, publish).await.seq;
    }
    last
}

#[tokio::test]
async fn a_large_state_comes_in_parts_of_64_kib() {
    let node = TestNode::start(&[STATE]).await;
    let mut writer = node.json().await;
    let mut truth = StateValues::new();
    for number in 0..700 {
        let publish = set(&mut writer, "large", &format!("key-{number}"), &filled(number, 1000));
        tell(&mut writer, &mut truth, publish).await;
    }
    for encoding in [Encoding::Json, Encoding::MsgPack] {
        let mut client = TestClient::connect(node.address(), encoding, "").await;
        let mut map = StateMap::new("large");
        map.join(&mut client).await;
        map.until(&mut client, 700).await;
        assert_eq!((&map.values, map.snapshots), (&truth, 1));
        assert!((11..=14).contains(&map.parts), "{} parts", map.parts);
        // The same by asking, without being in the room.
        let mut other = TestClient::connect(node.address(), encoding, "").await;
        let (at, entries, parts, _) = read_all(&mut other, "large").await;
        assert_eq!((at.seq, parts), (700, map.parts));
        assert_eq!(by_key(&entries), truth);
    }
    node.stop().await;
}

fn by_key(entries: &[StateEntry]) -> StateValues {
    let value = |entry: &StateEntry| {
        let key = entry.key.as_ref().map_or("", |key| key.as_str()).to_owned();
        (key, (entry.seq, text(&entry.data)))
    };
    let values: StateValues = entries.iter().map(value).collect();
    assert_eq!(values.len(), entries.len(), "each key once");
    values
}

/// Reads a part of a room's state.
async fn read(client: &mut TestClient, name: &str, page: Option<Box<str>>) -> ServerFrame {
    let id = Some(client.next_id());
    client.ask(&ClientFrame::State { id, room: room(name), page }).await
}

/// Reads all parts: their position, the values, how many parts, and the last page that was asked for.
async fn read_all(
    client: &mut TestClient,
    name: &str,
) -> (Position, Vec<StateEntry>, usize, Option<Box<str>>) {
    let (mut all, mut next, mut parts, mut asked) = (Vec::new(), None, 0, None);
    let mut position = None;
    loop {
        let answer = read(client, name, next.clone()).await;
        let ServerFrame::State { epoch, seq, entries, more, page, .. } = answer else {
            panic!("{answer:?}")
        };
        let at = Position { epoch, seq };
        assert_eq!(*position.get_or_insert(at), at, "all parts at one position");
        assert_eq!(more, page.is_some());
        all.extend(entries);
        parts += 1;
        match page {
            Some(page) => (asked, next) = (Some(page.clone()), Some(page)),
            None => return (at, all, parts, asked),
        }
    }
}

#[tokio::test]
async fn pages_are_of_one_position_and_of_one_connection() {
    let node = TestNode::start(&[STATE]).await;
    let mut writer = node.json().await;
    let mut truth = StateValues::new();
    for number in 0..200 {
        let publish = set(&mut writer, "paged", &format!("key-{number}"), &filled(number, 1000));
        tell(&mut writer, &mut truth, publish).await;
    }
    let mut client = node.json().await;
    let first = read(&mut client, "paged", None).await;
    let ServerFrame::State { seq: 200, more: true, page: Some(page), .. } = first else {
        panic!("{first:?}")
    };
    // The room goes on; the next part is still of the same position.
    let publish = set(&mut writer, "paged", "key-199", "0");
    writer.try_publish(publish).await.unwrap();
    let second = read(&mut client, "paged", Some(page.clone())).await;
    assert!(matches!(second, ServerFrame::State { seq: 200, .. }), "{second:?}");
    let again = read(&mut client, "paged", Some(page.clone())).await;
    assert_eq!(format!("{again:?}").len(), format!("{second:?}").len(), "a part can be read again");
    let bad = |answer: &ServerFrame| {
        matches!(answer, ServerFrame::Error { code: ErrorCode::BadFrame, .. })
    };
    let other = read(&mut writer, "paged", Some(page.clone())).await;
    assert!(bad(&other), "another connection: {other:?}");
    let other = read(&mut client, "other", Some(page)).await;
    assert!(bad(&other), "another room: {other:?}");
    for page in ["", "x", "1.99", "ffffffffffffffffff.1", "9.1"] {
        assert!(bad(&read(&mut client, "paged", Some(page.into())).await), "{page}");
    }
    let (at, entries, ..) = read_all(&mut client, "paged").await;
    assert_eq!((at.seq, entries.len()), (201, 200));
    // A room that was never published to.
    let none = read(&mut client, "none", None).await;
    let ServerFrame::State { epoch: Epoch::NONE, seq: 0, entries, more: false, .. } = none else {
        panic!("{none:?}")
    };
    assert!(entries.is_empty());
    node.stop().await;
}

#[tokio::test]
async fn slow_readers_get_the_newest_values() {
    let settings = [&SHORT_LOG[..], &[STATE, "namespaces.default.slow=close"]].concat();
    let node = TestNode::start(&settings).await;
    for encoding in [Encoding::Json, Encoding::MsgPack] {
        let name = &format!("busy:{encoding:?}");
        let mut slow = TestClient::narrow(node.address(), encoding).await;
        let mut map = StateMap::new(name);
        map.join(&mut slow).await;
        map.until(&mut slow, 0).await;
        let mut writer = node.json().await;
        let mut truth = StateValues::new();
        let last = churn(&mut writer, &mut truth, name, (3000, 40, 2000)).await;
        map.until(&mut slow, last).await;
        assert_eq!(map.values, truth);
        assert!(!map.conflated.is_empty(), "it did read slowly");
        assert_eq!(map.snapshots, 1, "removals are remembered");
    }
    node.stop().await;
}

#[tokio::test]
async fn a_slow_reader_that_missed_a_forgotten_removal_gets_a_snapshot() {
    let settings = [&SHORT_LOG[..], &[STATE]].concat();
    let node = TestNode::start(&settings).await;
    let mut writer = node.json().await;
    let mut truth = StateValues::new();
    for number in 0..1200 {
        let publish = set(&mut writer, "swept", &format!("k{number}"), "1");
        // One more than the default bound of keys is refused.
        if number < 1000 {
            tell(&mut writer, &mut truth, publish).await;
        }
    }
    let mut slow = TestClient::narrow(node.address(), Encoding::Json).await;
    let mut map = StateMap::new("swept");
    map.join(&mut slow).await;
    map.until(&mut slow, 1000).await;
    // The socket takes no more; then come more removals than the node remembers, and enough bytes to
    // leave the log behind.
    let mut last = 0;
    for number in 0..1000 {
        let publish = set(&mut writer, "swept", "k0", &filled(number, 2000));
        tell(&mut writer, &mut truth, publish).await;
    }
    for number in 0..1100 {
        let publish = remove(&mut writer, "swept", &format!("k{number}"));
        last = tell(&mut writer, &mut truth, publish).await.seq;
    }
    for number in 0..1000 {
        let publish = set(&mut writer, "swept", "own", &filled(number, 2000));
        last = tell(&mut writer, &mut truth, publish).await.seq;
    }
    map.until(&mut slow, last).await;
    assert_eq!(map.values, truth);
    assert_eq!(map.snapshots, 2);
    node.stop().await;
}

#[tokio::test]
async fn a_resume_behind_the_log_gets_what_changed() {
    let settings = [&SHORT_LOG[..], &[STATE]].concat();
    let node = TestNode::start(&settings).await;
    let mut writer = node.json().await;
    let mut truth = StateValues::new();
    let mut map = StateMap::new("room");
    let mut reader = node.json().await;
    map.join(&mut reader).await;
    let last = churn(&mut writer, &mut truth, "room", (20, 30, 100)).await;
    map.until(&mut reader, last).await;
    drop(reader);
    let last = churn(&mut writer, &mut truth, "room", (500, 30, 2000)).await;
    let mut back = node.json().await;
    assert_eq!(map.join(&mut back).await, Some(false));
    map.until(&mut back, last).await;
    assert_eq!(map.values, truth);
    // A position of another life.
    map.at = Some(crate::support::foreign(7));
    drop(back);
    let mut stranger = node.json().await;
    assert_eq!(map.join(&mut stranger).await, Some(false));
    map.until(&mut stranger, last).await;
    assert_eq!(map.values, truth);
    node.stop().await;
}

#[tokio::test]
async fn expired_values_are_removed_in_time() {
    let node = TestNode::start(&[STATE]).await;
    let mut client = node.user(Encoding::Json, "ann").await;
    let mut map = StateMap::new("room");
    map.join(&mut client).await;
    let publish = Publish { ttl_ms: Some(300), ..set(&mut client, "room", "a", "1") };
    let begun = Instant::now();
    client.try_publish(publish).await.unwrap();
    let publish = Publish { ttl_ms: Some(300), ..set(&mut client, "room", "b", "1") };
    client.try_publish(publish).await.unwrap();
    let publish = set(&mut client, "room", "b", "2");
    client.try_publish(publish).await.unwrap();
    let removal = loop {
        let frame = client.frame().await;
        if let ServerFrame::Message { message, .. } = &frame
            && message.remove
        {
            break message.clone();
        }
        map.take(frame);
    };
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert!(begun.elapsed() < Duration::from_millis(5300), "{:?}", begun.elapsed());
    assert_eq!(removal.state_key.as_ref().unwrap().as_str(), "a");
    assert_eq!((removal.seq, text(&removal.data).as_str(), &removal.user), (4, "null", &None));
    // The value that replaced the other one stays.
    let (at, entries, ..) = read_all(&mut client, "room").await;
    assert_eq!((at.seq, by_key(&entries)), (4, BTreeMap::from([("b".into(), (3, "2".into()))])));
    // An expired value is in no snapshot, even before it is removed.
    let publish = Publish { ttl_ms: Some(100), ..set(&mut client, "room", "c", "1") };
    client.try_publish(publish).await.unwrap();
    let late = async || {
        let mut late = node.json().await;
        let mut map = StateMap::new("room");
        map.join(&mut late).await;
        map.until(&mut late, 4).await;
        map
    };
    eventually("it is in no snapshot", async || !late().await.values.contains_key("c")).await;
    node.stop().await;
}

#[tokio::test]
async fn a_backend_sets_and_reads_state() {
    let shop = Backend::new("shop");
    let key = shop.settings("publish read");
    let key: Vec<&str> = key.iter().map(String::as_str).collect();
    let settings =
        [&key[..], &[STATE, "namespaces.default.state_points=2", "namespaces.plain.state=false"]];
    let node = TestNode::start(&settings.concat()).await;
    let post = async |body| shop.post(node.address(), "/v1/rooms/board/messages", body).await;
    let (status, ack) = post(json!({"data": 1, "state_key": "a", "ttl_ms": 60000})).await;
    assert_eq!(status, 200, "{ack}");
    let epoch = ack["epoch"].clone();
    let (status, problem) =
        post(json!({"data": 1, "state_key": "a", "if_key_seq": 0, "epoch": epoch})).await;
    assert_eq!((status, &problem["code"]), (409, &json!("seq_conflict")));
    let (status, _) =
        post(json!({"data": 2, "state_key": "a", "if_key_seq": 1, "epoch": epoch})).await;
    assert_eq!(status, 200);
    post(json!({"data": 3, "user": "ann"})).await;
    let path = "/v1/rooms/board/state";
    let (status, page) = shop.get(node.address(), path).await;
    assert_eq!(status, 200);
    assert_eq!((&page["epoch"], &page["seq"], &page["more"]), (&epoch, &json!(3), &json!(false)));
    let entries = page["entries"].as_array().unwrap();
    assert_eq!(
        (entries.len(), &entries[0]["data"], &entries[0]["user"]),
        (2, &json!(3), &json!("ann"))
    );
    assert_eq!((&entries[1]["key"], &entries[1]["seq"]), (&json!("a"), &json!(2)));
    let points: Vec<_> =
        entries[1]["points"].as_array().unwrap().iter().map(|point| &point["data"]).collect();
    assert_eq!(points, [&json!(1), &json!(2)]);
    let (_, page) = shop.get(node.address(), "/v1/rooms/board/messages").await;
    let first = &page["messages"][0];
    assert_eq!((&first["state_key"], &first["ttl_ms"]), (&json!("a"), &json!(60000)));
    let (status, _) = post(json!({"data": null, "state_key": "a", "remove": true})).await;
    assert_eq!(status, 200);
    let (_, page) = shop.get(node.address(), path).await;
    assert_eq!(page["entries"].as_array().unwrap().len(), 1);
    let items = json!({"items": [
        {"room": "board", "data": 1, "state_key": "x"},
        {"room": "plain:1", "data": 1, "state_key": "x"},
    ]});
    let (_, results) = shop.post(node.address(), "/v1/batch", items).await;
    assert_eq!(results["results"][0]["seq"], json!(5), "{results}");
    assert_eq!(results["results"][1]["code"], json!("unsupported"), "{results}");
    assert_eq!(shop.get(node.address(), "/v1/rooms/plain:1/state").await.0, 400);
    let (status, problem) = shop.get(node.address(), &format!("{path}?page=zz")).await;
    assert_eq!((status, &problem["code"]), (400, &json!("bad_query")));
    let (status, problem) = post(json!({"data": 1, "state_key": "a", "ttl_ms": 1})).await;
    assert_eq!((status, &problem["code"]), (400, &json!("bad_body")));
    // Many pages, while the room changes.
    let mut writer = node.json().await;
    for number in 0..300 {
        let publish = set(&mut writer, "many", &format!("key-{number}"), &filled(number, 1000));
        writer.try_publish(publish).await.unwrap();
    }
    let (mut found, mut pages, mut query) = (Vec::new(), 0, String::new());
    loop {
        let path = format!("/v1/rooms/many/state{query}");
        let response = shop.send(node.address(), ("GET", &path), "", "").await;
        assert!(response.body.len() <= 64 << 10, "{} bytes", response.body.len());
        let page: serde_json::Value = serde_json::from_str(&response.body).unwrap();
        let keys = page["entries"].as_array().unwrap().iter().map(|entry| entry["key"].clone());
        found.extend(keys);
        pages += 1;
        let publish = set(&mut writer, "many", "key-150", "1");
        let at = writer.try_publish(publish).await.unwrap();
        assert_eq!(page["seq"], json!(at.seq - 1), "each page has its own position");
        match page["page"].as_str() {
            Some(page) => query = format!("?page={page}"),
            None => break,
        }
    }
    assert!(pages >= 5);
    let count = found.len();
    found.sort_by_key(|key| key.to_string());
    found.dedup();
    assert_eq!((found.len(), count), (300, 300), "each key once");
    node.stop().await;
}

#[tokio::test]
async fn a_stalled_reader_of_a_snapshot_completes_it() {
    let node = TestNode::start(&[STATE]).await;
    let mut writer = node.json().await;
    let mut truth = StateValues::new();
    for number in 0..900 {
        let publish = set(&mut writer, "large", &format!("k{number}"), &filled(number, 1000));
        tell(&mut writer, &mut truth, publish).await;
    }
    let mut slow = TestClient::narrow(node.address(), Encoding::Json).await;
    let mut map = StateMap::new("large");
    map.join(&mut slow).await;
    // The state changes while the snapshot is under way, and the socket is full again and again.
    let mut last = 0;
    for number in 0..900 {
        let publish = set(&mut writer, "large", &format!("k{}", number % 50), &filled(number, 900));
        last = tell(&mut writer, &mut truth, publish).await.seq;
        if number % 9 == 0
            && let Incoming::Frame(frame) = slow.incoming().await
        {
            map.take(frame);
        }
    }
    map.until(&mut slow, last).await;
    assert_eq!((&map.values, map.snapshots), (&truth, 1));
    node.stop().await;
}

#[tokio::test]
async fn stalled_readers_hold_few_snapshots() {
    let node = TestNode::start(&[STATE]).await;
    let mut writer = node.json().await;
    for number in 0..900 {
        let publish = set(&mut writer, "large", &format!("k{number}"), &filled(number, 1000));
        writer.try_publish(publish).await.unwrap();
    }
    let mut stalled = Vec::new();
    for round in 0..14 {
        // Each reads the first frames of a snapshot of its own.
        let mut client = TestClient::narrow(node.address(), Encoding::Json).await;
        StateMap::new("large").join(&mut client).await;
        stalled.push(client);
        for number in 0..900 {
            let publish = set(&mut writer, "large", &format!("k{number}"), &filled(round, 1000));
            writer.try_publish(publish).await.unwrap();
        }
    }
    // Two workers hold three old ones each, beside the newest.
    node.until("roomcast_slow_total", |closed| closed >= 6.0).await;
    assert_eq!(stalled[0].closed().await, 4000);
    node.stop().await;
}
