//! How rooms find their policy, and what clients are told.

use roomcast_bus::Retention;
use roomcast_protocol::UserName;

use super::*;
use crate::tests::settings;

#[test]
fn a_room_takes_the_policy_of_its_namespace_or_the_default() {
    let settings = settings(&[
        "namespaces.default.message_bytes=1000",
        "namespaces.chat.message_bytes=2000",
        "namespaces.chat.slow=conflate",
    ]);
    let of = |room: &str| settings.namespace_of(&RoomName::parse(room).unwrap());
    for (room, bytes) in [("chat:1", 2000), ("chat", 1000), ("other:1", 1000), ("default:1", 1000)]
    {
        assert_eq!(of(room).message_bytes, bytes, "{room}");
    }
    assert_eq!((of("chat:1").slow, of("lobby").slow), (SlowPolicy::Conflate, SlowPolicy::Close));
    assert!(Arc::ptr_eq(of("chat:1"), of("chat:2")), "rooms share their policy");
}

#[test]
fn no_limit_on_connections_is_what_the_descriptors_allow() {
    assert_eq!(settings(&[]).limits.connections, 1000);
    assert_eq!(settings(&["limits.connections=7"]).limits.connections, 7);
}

#[test]
fn an_idle_timeout_of_zero_is_none() {
    assert_eq!(settings(&[]).limits.idle_timeout, None);
    let minute = Some(Duration::from_secs(60));
    assert_eq!(settings(&["limits.idle_timeout=60s"]).limits.idle_timeout, minute);
}

#[test]
fn clients_are_told_when_the_node_is_dead_and_what_it_takes() {
    let heartbeat =
        HeartbeatSettings { interval: Duration::from_secs(25), timeout: Duration::from_secs(75) };
    let told = heartbeat.told();
    assert_eq!((told.interval_ms, told.timeout_ms), (25_000, 75_000));
    let settings = settings(&["limits.message_bytes=64KiB", "limits.rooms_per_connection=3"]);
    let told = settings.limits.told();
    assert_eq!((told.message_bytes, told.rooms), (64 << 10, 3));
}

#[test]
fn of_the_default_namespace_only_the_history_counts_in_rooms_of_users() {
    let changed = settings(&[
        "namespaces.default.history_size=7",
        "namespaces.default.wait_replicas=2",
        "namespaces.default.repair_window=99",
        "namespaces.default.keys_per_user=3",
        "namespaces.default.keys_per_room=4",
        "namespaces.default.signal_rate=5",
        "namespaces.default.publish_burst=6",
    ]);
    let plain = settings(&[]);
    for room in [
        RoomName::user(&UserName::parse("ann").unwrap()),
        RoomName::parse("@all").unwrap().of_user(None),
    ] {
        let [changed, plain] = [&changed, &plain].map(|of| of.namespace_of(&room));
        let history_size = changed.retention.history_size;
        let expected = if room.kind() == RoomKind::All { 7 } else { 1000 };
        assert_eq!(history_size, expected, "{room}");
        assert_eq!(changed.retention, Retention { history_size, ..plain.retention }, "{room}");
        let rates = [changed, plain].map(|of| format!("{:?}", of.publish_rates));
        assert_eq!(rates[0], rates[1], "{room}");
    }
}
