//! What the tables promise: every default, bound and kind, and what a reload takes over.

use roomcast_protocol::RoomName;

use super::key::ValueKind;
use super::*;

fn keys() -> impl Iterator<Item = (String, &'static Key)> {
    SECTIONS
        .into_iter()
        .flat_map(|section| section.keys.iter().map(|key| (key.full_name(section), key)))
}

/// What another key needs, and so stands everywhere.
const PROXIES: &str = "http.trusted_proxies=fd00::/8";
/// Neither file is taken without the other.
const CERTIFICATE: [&str; 2] = ["tls.cert=/etc/ssl/one.pem", "tls.key=/etc/ssl/one.key"];

/// A key that the demo may show: the digest is that of `abc` (FIPS 180-2, appendix B.1).
const DEMO_KEY: &str = "api_keys.demo.sha256=\
                        ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

/// A valid value that is not the default and offends no other key.
fn another_value(name: &str) -> &'static str {
    match name {
        "node.id" => "node-of-the-test",
        "node.workers" => "3",
        "http.demo" => "off",
        "http.demo_key" => "demo.abc",
        "http.listen" => "127.0.0.1:9999",
        "http.metrics_listen" => "127.0.0.1:9100",
        "http.admin_listen" => "127.0.0.1:9101",
        "bus.redis_url" => "redis://:secret@127.0.0.1/1",
        "tls.cert" | "tls.key" => "/etc/ssl/other.pem",
        "bus.redis_tls_name" => "redis.example.com",
        "bus.redis_ca" => "/etc/ssl/redis.pem",
        "bus.prefix" => "other",
        "drain.total" => "20s",
        "traces.endpoint" => "http://127.0.0.1:4318",
        "traces.sample" => "0.25",
        "limits.exempt_networks" => "none",
        "http.origins" => "https://app.example.com https://*.example.com",
        "namespaces.default.events" => "chat edited",
        "namespaces.default.schemas" => "/etc/roomcast/schemas",
        "http.trusted_proxies" => "10.0.0.0/8 ::1",
        "limits.message_bytes" => "512KiB",
        "limits.lag_bytes" => "2MiB",
        "limits.info_bytes" => "2KiB",
        "namespaces.default.presence" => "events",
        "log.level" => "warn,roomcast_bus=debug",
        "log.format" => "json",
        "namespaces.default.slow" => "conflate",
        "auth.hs_secret" => "a-secret-of-thirty-two-bytes-or-more",
        "auth.hs_secret_file" => "/run/secrets/roomcast",
        "auth.keys" => "/etc/roomcast/one.pem /etc/roomcast/two.json",
        "auth.jwks_url" => "https://id.example.com/jwks.json",
        "auth.jwks_ca" => "/etc/ssl/id.pem",
        "auth.issuer" | "auth.audience" => "https://id.example.com",
        "auth.cookie" => "sid",
        name if name.starts_with("namespaces.default.allow_") => "user",
        _ => match key::find(name).map(|key| &key.kind) {
            Some(ValueKind::Time(_)) => "7s",
            Some(ValueKind::Flag) => "true",
            Some(ValueKind::Bytes(_)) => "32MiB",
            Some(ValueKind::Count(_)) => "17",
            other => panic!("no other value for {name}: {other:?}"),
        },
    }
}

/// The same for keys whose bounds lie elsewhere.
fn another_setting(name: &str) -> String {
    let value = match name {
        "http.max_header_bytes" | "limits.control_bytes" => "128KiB",
        "limits.room_name_bytes" | "limits.user_name_bytes" => "100",
        "namespaces.default.message_bytes" | "namespaces.default.max_text" => "100",
        _ => another_value(name),
    };
    format!("{name}={value}")
}

#[test]
fn every_default_is_valid_and_every_key_can_change() {
    let [cert, key_file] = CERTIFICATE;
    let base = [PROXIES, cert, key_file, DEMO_KEY];
    let defaults = Config::from_settings(&base).unwrap();
    assert!(keys().count() > 25);
    for (name, key) in keys() {
        let setting = another_setting(&name);
        let changed = Config::from_settings(&[&base[..], &[&*setting]].concat()).unwrap();
        let differences = defaults.differences(&changed);
        let mut names = differences.reloadable;
        let mut others = differences.need_restart;
        if key.change == Change::Restart {
            std::mem::swap(&mut names, &mut others);
        }
        // The default of node.id is another one each time.
        others.retain(|other| other != "node.id");
        names.retain(|other| other != "node.id" || name == "node.id");
        assert_eq!((names, others), (vec![name], vec![]));
    }
}

#[test]
fn a_reload_takes_over_exactly_the_reloadable_keys() {
    let [cert, key_file] = CERTIFICATE;
    let base = ["node.id=a", PROXIES, cert, key_file, DEMO_KEY];
    let defaults = Config::from_settings(&base).unwrap();
    for (name, key) in keys().filter(|(name, _)| name != "node.id") {
        let setting = another_setting(&name);
        let new = Config::from_settings(&[&base[..], &[&*setting]].concat()).unwrap();
        assert_ne!(defaults, new, "{name} reaches no field");
        let merged = defaults.with_reloadable_of(&new);
        let expected = if key.change == Change::Reload { &new } else { &defaults };
        assert_eq!(&merged, expected, "{name}");
    }
}

/// Sets a key and expects the message to name the key and where the value came from.
fn check_refused(name: &str, value: &str) {
    let setting = format!("{name}={value}");
    let error = Config::from_settings(&[&setting]).expect_err(&setting);
    let ConfigError::Invalid(problems) = error else { panic!("{setting}: {error}") };
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!((problems[0].key.as_str(), problems[0].origin.as_str()), (name, "flag --set"));
}

#[test]
fn every_bound_holds_on_both_sides() {
    let mut bounded = 0;
    for (name, key) in keys() {
        let (ValueKind::Count(bounds) | ValueKind::Bytes(bounds) | ValueKind::Time(bounds)) =
            &key.kind
        else {
            continue;
        };
        bounded += 1;
        let unit = if matches!(key.kind, ValueKind::Time(_)) { "ms" } else { "" };
        let (min, max) = (bounds.min, bounds.max);
        for good in [min, max, if bounds.zero.is_some() { 0 } else { min }] {
            let text = format!("{good}{unit}");
            assert_eq!(key.kind.read(&text), Ok(good.to_string()), "{name}={text}");
        }
        check_refused(&name, &format!("{}{unit}", max + 1));
        if min > 1 || (min == 1 && bounds.zero.is_none()) {
            check_refused(&name, &format!("{}{unit}", min - 1));
        }
        for bad in ["-1", "1.5", "many", "1 KB", "99999999999999999999", ""] {
            check_refused(&name, bad);
        }
    }
    assert!(bounded > 25, "{bounded}");
}

#[test]
fn the_largest_values_fit_their_fields() {
    for (name, key) in keys() {
        let (ValueKind::Count(bounds) | ValueKind::Bytes(bounds) | ValueKind::Time(bounds)) =
            &key.kind
        else {
            continue;
        };
        let unit = if matches!(key.kind, ValueKind::Time(_)) { "ms" } else { "" };
        let setting = format!("{name}={}{unit}", bounds.max);
        let room =
            ["limits.inbound_bytes=16GiB", "limits.lag_bytes=1GiB", "limits.log_bytes=1024GiB"];
        let ceilings = ["limits.message_bytes=16MiB", "drain.total=300s"];
        let settings = [&room[..], &ceilings, &[&setting]].concat();
        Config::from_settings(&settings).unwrap_or_else(|error| panic!("{setting}: {error}"));
    }
}

#[test]
fn values_that_are_no_numbers_are_checked() {
    for bad in ["yes", "1", ""] {
        check_refused("insecure", bad);
    }
    for bad in ["8080", "localhost:8080", "127.0.0.1", ":80", "127.0.0.1:99999", ""] {
        check_refused("http.listen", bad);
    }
    check_refused("http.metrics_listen", "9100");
    check_refused("node.id", "a b");
    check_refused("node.id", &"n".repeat(65));
    for bad in ["", "a:b", "{a}", "ä", &"p".repeat(33)] {
        check_refused("bus.prefix", bad);
    }
    check_refused("bus.redis_url", "localhost:6379");
    for bad in ["", "inof", "info,roomcast_bus=loud", "info,,", "=,"] {
        check_refused("log.level", bad);
    }
    check_refused("log.format", "xml");
    for bad in ["-0.1", "1.1", "NaN", "half", ""] {
        check_refused("traces.sample", bad);
    }
    for bad in ["127.0.0.1:4318", "https://127.0.0.1", "http://", "/v1"] {
        check_refused("traces.endpoint", bad);
    }
    for bad in ["10.0.0.0/33", "10.0.0.0/8,::1", "localhost"] {
        check_refused("http.trusted_proxies", bad);
    }
    check_refused("namespaces.default.slow", "drop");
}

#[test]
fn checks_across_keys_name_the_key_to_change() {
    let check = |settings: &[&str], key: &str, word: &str| {
        let ConfigError::Invalid(problems) = Config::from_settings(settings).unwrap_err() else {
            panic!("{settings:?}")
        };
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0].key, key);
        assert!(problems[0].message.contains(word), "{}", problems[0].message);
    };
    check(&["limits.lag_bytes=512KiB"], "limits.message_bytes", "limits.lag_bytes");
    check(&["limits.inbound_bytes=512KiB"], "limits.message_bytes", "limits.inbound_bytes");
    check(&["limits.log_bytes=1MiB", "limits.lag_bytes=2MiB"], "limits.lag_bytes", "log_bytes");
    let small = "limits.message_bytes=32KiB";
    check(&[small], "namespaces.default.message_bytes", "limits.message_bytes");
    // Namespaces that inherit the mistake do not repeat it.
    check(&[small, "namespaces.a.slow=close"], "namespaces.default.message_bytes", "32768");
    let fits = "namespaces.default.message_bytes=1KiB";
    let own = "namespaces.a.message_bytes=64KiB";
    check(&[small, fits, own], "namespaces.a.message_bytes", "limits.message_bytes");
    check(&["drain.total=8s"], "drain.pause", "drain.total");
    check(&["http.proxy_protocol=true"], "http.proxy_protocol", "http.trusted_proxies");
    check(&["http.metrics_listen=127.0.0.1:8080"], "http.metrics_listen", "http.listen");
}

#[test]
fn sizes_and_times_are_read_in_their_units() {
    let check = |read: fn(&str) -> Result<u64, String>, text: &str, expected: Option<u64>| {
        assert_eq!(read(text).ok(), expected, "{text:?}");
    };
    check(value::millis, "500ms", Some(500));
    check(value::millis, "25s", Some(25_000));
    check(value::millis, "10 m", Some(600_000));
    check(value::millis, "2h", Some(7_200_000));
    check(value::millis, "1d", Some(86_400_000));
    check(value::millis, "0", Some(0));
    check(value::millis, "25", None);
    check(value::millis, "s", None);
    check(value::millis, "1m30s", None);
    check(value::millis, "213503982335d", None);
    check(value::bytes, "65536", Some(65_536));
    check(value::bytes, "64KiB", Some(65_536));
    check(value::bytes, "1 MiB", Some(1 << 20));
    check(value::bytes, "2GiB", Some(2 << 30));
    check(value::bytes, "64KB", None);
    check(value::bytes, "+1", None);
    check(value::bytes, "18446744073709551615GiB", None);
}

#[test]
fn rooms_find_their_namespace() {
    let config = Config::from_settings(&["namespaces.chat.history_size=7"]).unwrap();
    let check = |room: &str, name: &str, size: u32| {
        let (found, policy) = config.namespaces.of(&RoomName::parse(room).unwrap());
        assert_eq!((found, policy.history_size), (name, size), "{room}");
        assert_eq!(policy.retention().history_size, size);
    };
    check("chat:1", "chat", 7);
    check("chat:1:2", "chat", 7);
    check("chat", "default", 100);
    check("Chat:1", "default", 100);
    check("other:1", "default", 100);
    check(":1", "default", 100);
}

#[test]
fn a_secret_of_tokens_is_shown_nowhere() {
    let secret = "CORRECT://HORSE@BATTERY-STAPLE-32-BYTES";
    let settings = format!("auth.hs_secret={secret}");
    let config = Config::from_settings(&[&settings]).unwrap();
    assert_eq!(config.auth.hs_secret.as_ref().unwrap().expose(), secret);
    let args = ServeArgs { set: vec![settings.parse().unwrap()], ..ServeArgs::default() };
    let explained = Sources::flags_only(&args).explain().unwrap();
    let entry = explained.iter().find(|entry| entry.key == "auth.hs_secret").unwrap();
    assert_eq!(entry.value, "***");
    let short = Config::from_settings(&["auth.hs_secret=CORRECT-HORSE"]).unwrap_err();
    for shown in [format!("{config:?}"), format!("{explained:?}"), format!("{short} {short:?}")] {
        assert!(!shown.contains("CORRECT") && !shown.contains("HORSE"), "{shown}");
    }
}

#[test]
fn a_node_with_keys_may_listen_anywhere() {
    let listen = "http.listen=0.0.0.0:8080";
    assert!(Config::from_settings(&[listen]).is_err());
    for key in [
        "auth.hs_secret=a-secret-of-thirty-two-bytes-or-more",
        "auth.hs_secret_file=/run/secrets/roomcast",
        "auth.keys=/etc/roomcast/backend.pem",
        "auth.jwks_url=https://id.example.com/jwks.json",
    ] {
        assert!(Config::from_settings(&[listen, key]).is_ok(), "{key}");
    }
    for other in ["auth.anonymous=true", "auth.cookie=sid", "auth.issuer=x"] {
        assert!(Config::from_settings(&[listen, other]).is_err(), "{other}");
    }
}
