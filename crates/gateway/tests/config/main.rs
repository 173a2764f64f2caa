//! The configuration from outside: precedence, names, origins, masks, and the page.

mod passwords;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use proptest::prelude::*;
use proptest::sample::select;
use roomcast_gateway::config::{
    self, Config, ConfigEntry, ConfigError, LogFormat, SECTIONS, ServeArgs, SlowPolicy, Sources,
};
use tempfile::TempDir;

#[test]
fn the_defaults_are_those_of_the_design() {
    let config = Config::from_settings(&[]).expect("defaults");
    assert!(config.node.id.as_str().starts_with("node-"));
    assert!(config.node.workers >= 1);
    assert_eq!(config.http.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.http.metrics_listen, None);
    assert_eq!(config.bus.redis_url, None);
    assert_eq!(config.bus.prefix, "roomcast");
    assert_eq!(config.heartbeat.interval, Duration::from_secs(25));
    assert_eq!(config.heartbeat.timeout(), Duration::from_secs(75));
    assert_eq!(config.limits.rooms_per_connection, 128);
    assert_eq!(config.limits.message_bytes, 1 << 20);
    assert_eq!(config.limits.control_bytes, 64 << 10);
    assert_eq!(config.limits.log_bytes, 256 << 20);
    assert_eq!(config.limits.idle_timeout, Duration::ZERO);
    assert_eq!(config.log.format, LogFormat::Text);
    let names: Vec<_> = config.namespaces.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["default"]);
    let (_, policy) = config.namespaces.iter().next().expect("default");
    assert_eq!((policy.history_size, policy.history_age), (100, Duration::from_secs(600)));
    assert_eq!((policy.message_bytes, policy.publish_rate, policy.publish_burst), (65_536, 10, 50));
    assert_eq!((policy.keys_per_user, policy.keys_per_room), (10_000, 250_000));
    assert_eq!(policy.slow, SlowPolicy::Close);
}

#[test]
fn a_publish_rate_of_zero_is_accepted() {
    let config = Config::from_settings(&["namespaces.default.publish_rate=0"]).expect("no limit");
    assert_eq!(config.namespaces.iter().next().map(|(_, n)| n.publish_rate), Some(0));
}

/// A file in a folder of its own; the folder goes with the value.
fn file(text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let path = folder.path().join("roomcast.toml");
    fs::write(&path, text).expect("a file in it");
    (folder, path)
}

fn args(settings: &[&str]) -> ServeArgs {
    let set = settings.iter().map(|text| text.parse().expect("key=value")).collect();
    ServeArgs { set, ..ServeArgs::default() }
}

fn entry(entries: &[ConfigEntry], key: &str) -> (String, String) {
    let entry = entries.iter().find(|entry| entry.key == key).expect(key);
    (entry.value.clone(), entry.origin.clone())
}

/// Keys of every form: a string, a number, a time, a size, a nested section.
const FREE_KEYS: [(&str, [&str; 3]); 5] = [
    ("bus.prefix", ["a", "b", "c"]),
    ("heartbeat.missed", ["3", "4", "5"]),
    ("limits.idle_timeout", ["1s", "2m", "3h"]),
    ("limits.log_bytes", ["2MiB", "1GiB", "3000000"]),
    ("namespaces.default.history_size", ["0", "1", "1000"]),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever is set where, the highest source wins, and says so.
    #[test]
    fn the_highest_source_wins(
        (key, values) in select(&FREE_KEYS[..]),
        in_file in any::<bool>(), in_environment in any::<bool>(), in_flag in any::<bool>(),
    ) {
        let (section, name) = key.rsplit_once('.').expect("a section");
        let text = format!("[{section}]\n{name} = \"{}\"\n", values[0]);
        let (_folder, path) = file(if in_file { &text } else { "" });
        let variable = format!("ROOMCAST__{}", key.replace('.', "__").to_uppercase());
        let setting = format!("{key}={}", values[2]);
        let mut args = args(if in_flag { std::slice::from_ref(&setting) } else { &[] }
            .iter().map(String::as_str).collect::<Vec<_>>().as_slice());
        args.config = Some(path.clone());
        let variables = in_environment.then_some((variable.clone(), values[1]));
        let entries = Sources::of(&args).with_variables(variables).explain().expect("known keys");
        let (value, origin) = entry(&entries, key);
        let expected = match (in_flag, in_environment, in_file) {
            (true, _, _) => (values[2].into(), "flag --set".into()),
            (_, true, _) => (values[1].into(), format!("environment {variable}")),
            (_, _, true) => (values[0].into(), format!("file {}", path.display())),
            _ => (default_of(key), "default".into()),
        };
        prop_assert_eq!((value, origin), expected);
    }
}

fn default_of(key: &str) -> String {
    let (section, name) = key.rsplit_once('.').expect("a section");
    let section = SECTIONS.into_iter().find(|s| s.name == section).expect("known");
    section.keys.iter().find(|key| key.name == name).expect("known").default.into()
}

#[test]
fn explain_tells_every_key_once() {
    let entries = Sources::flags_only(&args(&[])).explain().expect("defaults");
    let mut explained: Vec<_> = entries.iter().map(|entry| entry.key.clone()).collect();
    let mut known: Vec<_> = SECTIONS
        .into_iter()
        .flat_map(|s| s.keys.iter().map(|k| format!("{}.{}", s.name, k.name)))
        .map(|key| key.trim_start_matches('.').to_owned())
        .collect();
    known.sort();
    explained.sort();
    assert_eq!(explained, known);
    assert!(entries.iter().all(|entry| entry.origin == "default"));
}

#[test]
fn every_key_has_a_variable() {
    for section in SECTIONS {
        for key in section.keys.iter().filter(|key| !key.default.is_empty()) {
            let name = format!("{}.{}", section.name, key.name);
            let name = name.trim_start_matches('.');
            let variable = format!("ROOMCAST__{}", name.replace('.', "__").to_uppercase());
            let sources = Sources::flags_only(&args(&[]));
            let sources = sources.with_variables([(variable.as_str(), key.default)]);
            let entries = sources.explain().expect(&variable);
            let expected = (key.default.to_owned(), format!("environment {variable}"));
            assert_eq!(entry(&entries, name), expected);
            sources.load().expect(&variable);
        }
    }
}

#[test]
fn other_and_empty_variables_are_ignored() {
    let sources = Sources::flags_only(&args(&[])).with_variables([
        ("ROOMCAST_PORT", "tcp://10.0.0.1:80"),
        ("ROOMCAST__HTTP__LISTEN", ""),
        ("PATH", "/bin"),
    ]);
    let config = sources.load().expect("nothing of ours is set");
    assert_eq!(config.http.listen.port(), 8080);
}

#[test]
fn named_flags_override_settings() {
    let mut args = args(&["http.listen=127.0.0.1:1", "node.id=a"]);
    args.listen = Some("127.0.0.1:2".into());
    args.redis_url = Some("redis://h".into());
    args.node_id = Some("b".into());
    args.insecure = true;
    let entries = Sources::flags_only(&args).explain().expect("known keys");
    let check = |key: &str, value: &str, origin: &str| {
        assert_eq!(entry(&entries, key), (value.into(), origin.into()));
    };
    check("http.listen", "127.0.0.1:2", "flag --listen");
    check("bus.redis_url", "redis://h", "flag --redis-url");
    check("node.id", "b", "flag --node-id");
    check("insecure", "true", "flag --insecure");
}

#[test]
fn flags_are_read_as_typed() {
    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        serve: ServeArgs,
    }
    let parse = |flags: &[&str]| Cli::try_parse_from([&["roomcast"], flags].concat());
    let none = parse(&[]).expect("no flag is needed").serve;
    assert!(none.config.is_none() && none.listen.is_none() && none.redis_url.is_none());
    assert!(none.node_id.is_none() && !none.insecure && none.set.is_empty());
    let all = "--config f --listen 0.0.0.0:1 --redis-url redis://h --node-id n --insecure \
               --set log.level=info,a=debug --set namespaces.default.publish_rate=0 \
               --set namespaces.default.publish_rate=7";
    let all = parse(&all.split_whitespace().collect::<Vec<_>>()).expect("every flag").serve;
    let config = Sources::flags_only(&ServeArgs { config: None, ..all }).load().expect("valid");
    assert_eq!((config.node.id.as_str(), config.log.level.as_str()), ("n", "info,a=debug"));
    assert_eq!(config.namespaces.iter().next().map(|(_, n)| n.publish_rate), Some(7));
    let error = parse(&["--set", "insecure"]).err().expect("no value").to_string();
    assert!(error.contains("--set takes key=value"), "{error}");
}

#[test]
fn empty_sections_are_allowed() {
    let (_folder, path) = file("[http]\n[namespaces]\n");
    config::check(&path).expect("nothing is set");
}

/// The problems of a load, each as text.
fn problems(result: Result<Config, ConfigError>) -> Vec<String> {
    match result {
        Err(ConfigError::Invalid(problems)) => problems.iter().map(ToString::to_string).collect(),
        other => panic!("expected problems, got {other:?}"),
    }
}

#[test]
fn a_typo_is_named_with_its_source() {
    let text = "insecur = true\n[http]\nlisten = \"127.0.0.1:1\"\nlisen = 1\n[limit]\nrooms = 2\n\
                [namespaces.chat]\nslwo = \"close\"\n[namespaces.Chat]\nslow = \"close\"\n";
    let (_folder, path) = file(text);
    let args = ServeArgs { config: Some(path.clone()), ..args(&["bus.prefx=x", "node=1"]) };
    let sources = Sources::of(&args).with_variables([("ROOMCAST__LOG__LEVL", "info")]);
    let told = problems(sources.load());
    let source = format!("(from file {})", path.display());
    let expected = [
        ("http.lisen", source.as_str(), "listen, metrics_listen"),
        ("insecur", &source, "the sections are node, http"),
        ("limit.rooms", &source, "the sections are node, http"),
        ("namespaces.Chat.slow", &source, "a-z, 0-9"),
        ("namespaces.chat.slwo", &source, "history_size"),
        ("log.levl", "(from environment ROOMCAST__LOG__LEVL)", "level, format"),
        ("bus.prefx", "(from flag --set)", "redis_url, servers_version"),
        ("node", "(from flag --set)", "this is a section; its keys are id, workers"),
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (line, (key, source, hint)) in told.iter().zip(expected) {
        assert!(line.starts_with(&format!("{key} {source}: ")) && line.contains(hint), "{line}");
    }
}

#[test]
fn all_bad_values_are_told_together() {
    let (_folder, path) = file("[http]\nlisten = 8080\n[limits]\nlog_bytes = [1, 2]\n");
    let args = ServeArgs { config: Some(path), ..args(&["heartbeat.interval=25"]) };
    let told = problems(Sources::flags_only(&args).load());
    let keys: Vec<_> = told.iter().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(keys, ["heartbeat.interval", "http.listen", "limits.log_bytes"], "{told:#?}");
    assert!(told[0].contains("ms, s, m, h or d"), "{}", told[0]);
    assert!(told[2].contains("single value"), "{}", told[2]);
}

#[test]
fn namespaces_inherit_key_by_key() {
    let text = "[namespaces.default]\nhistory_size = 5\nslow = \"conflate\"\n\
                [namespaces.a]\nhistory_size = 6\n[namespaces.b]\n";
    let (_folder, path) = file(text);
    let args = ServeArgs { config: Some(path.clone()), ..args(&["namespaces.d.publish_rate=0"]) };
    let variables = [
        ("ROOMCAST__NAMESPACES__DEFAULT__MESSAGE_BYTES", "1KiB"),
        ("ROOMCAST__NAMESPACES__C__SLOW", "close"),
    ];
    let sources = Sources::of(&args).with_variables(variables);
    let config = sources.load().expect("valid");
    let policies: BTreeMap<_, _> = config.namespaces.iter().collect();
    let told = |name: &str| {
        let policy = policies[name];
        (policy.history_size, policy.slow, policy.message_bytes, policy.publish_rate)
    };
    assert_eq!(policies.len(), 5);
    assert_eq!(told("default"), (5, SlowPolicy::Conflate, 1024, 10));
    assert_eq!(told("a"), (6, SlowPolicy::Conflate, 1024, 10));
    assert_eq!(told("b"), (5, SlowPolicy::Conflate, 1024, 10));
    assert_eq!(told("c"), (5, SlowPolicy::Close, 1024, 10));
    assert_eq!(told("d"), (5, SlowPolicy::Conflate, 1024, 0));
    let entries = sources.explain().expect("known keys");
    let origin = |key: &str| entry(&entries, key).1;
    let in_file = format!("file {}", path.display());
    assert_eq!(origin("namespaces.a.history_size"), in_file);
    assert_eq!(origin("namespaces.a.slow"), format!("namespaces.default ({in_file})"));
    assert_eq!(origin("namespaces.b.publish_burst"), "namespaces.default (default)");
    assert_eq!(origin("namespaces.c.slow"), "environment ROOMCAST__NAMESPACES__C__SLOW");
}

#[test]
fn passwords_stay_hidden() {
    let url = "redis://app:hunter2@127.0.0.1:6379/0";
    let setting = format!("bus.redis_url={url}");
    let sources = Sources::flags_only(&args(&[&setting]));
    let (shown, _) = entry(&sources.explain().expect("known"), "bus.redis_url");
    assert_eq!(shown, "redis://app:***@127.0.0.1:6379/0");
    let config = sources.load().expect("valid");
    assert!(!format!("{config:?}").contains("hunter2"));
    assert_eq!(config.bus.redis_url.map(|url| url.expose().to_owned()), Some(url.into()));
    for bad in ["bus.redis_url=rediss://app:hunter2@h?x=1", "bus.redis_url=redis://app:hunter2@"] {
        let told = problems(Config::from_settings(&[bad]));
        assert!(!told.join("\n").contains("hunter2"), "{told:?}");
    }
    let (_folder, path) = file("[bus]\nredis_url = redis://app:hunter2@h\n");
    let error = config::check(&path).expect_err("no quotes").to_string();
    assert!(error.contains("line 2") && !error.contains("hunter2"), "{error}");
}

#[test]
fn listening_beyond_this_machine_needs_a_word() {
    for address in ["0.0.0.0:8080", "[::]:8080", "192.168.0.1:80", "[::ffff:10.0.0.1]:80"] {
        let listen = format!("http.listen={address}");
        let told = problems(Config::from_settings(&[&listen]));
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("http.listen (from flag --set): "), "{}", told[0]);
        assert!(told[0].contains("insecure = true (--insecure)"), "{}", told[0]);
        Config::from_settings(&[&listen, "insecure=true"]).expect(address);
    }
    for address in ["127.0.0.1:0", "127.9.9.9:80", "[::1]:8080", "[::ffff:127.0.0.1]:80"] {
        Config::from_settings(&[&format!("http.listen={address}")]).expect(address);
    }
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let (folder, path) = file("[http\nlisten = 1\n");
    let error = config::check(&path).expect_err("broken").to_string();
    assert!(error.contains("roomcast.toml") && error.contains("line 1"), "{error}");
    let missing = folder.path().join("missing.toml");
    let error = config::check(&missing).expect_err("missing").to_string();
    assert!(error.contains("missing.toml"), "{error}");
    assert!("no equals sign".parse::<config::Setting>().is_err());
}

#[test]
fn a_node_without_a_name_keeps_the_one_it_chose() {
    let sources = Sources::flags_only(&args(&[]));
    let running = sources.load().expect("defaults");
    assert_ne!(running.node.id, sources.load().expect("defaults").node.id);
    let again = sources.load_as(&running.node.id).expect("defaults");
    assert_eq!(running.differences(&again), config::Differences::default());
    assert_eq!(running, again);
}

#[test]
fn differences_are_told_by_what_they_need() {
    let old = Config::from_settings(&["node.id=a", "limits.idle_timeout=60s"]).expect("old");
    let new = Config::from_settings(&[
        "node.id=a",
        "limits.idle_timeout=1m",
        "limits.lag_bytes=2MiB",
        "log.level=debug",
        "log.format=json",
        "heartbeat.missed=3",
        "namespaces.chat.slow=conflate",
    ]);
    let differences = old.differences(&new.expect("new"));
    assert_eq!(differences.need_restart, ["heartbeat.missed", "log.format"]);
    assert_eq!(differences.reloadable[..2], ["limits.lag_bytes", "log.level"]);
    assert!(differences.reloadable[2..].iter().all(|key| key.starts_with("namespaces.chat.")));
}

#[test]
fn the_page_is_made_from_the_tables() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    let page = config::page();
    if std::env::var_os("REGENERATE").is_some() {
        fs::write(path, &page).expect("the page can be written");
    }
    let written = fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == page,
        "docs/configuration.md differs from the tables; make it anew with\n\
         REGENERATE=1 cargo test -p roomcast-gateway --test config page"
    );
}

#[test]
fn the_example_to_start_from_is_valid() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/roomcast.toml");
    let config = config::check(Path::new(file)).expect("the example");
    let room = roomcast_protocol::RoomName::parse("ticker:gold").expect("a name");
    let (name, policy) = config.namespaces.of(&room);
    assert_eq!((name, policy.slow, policy.history_size), ("ticker", SlowPolicy::Conflate, 10));
    assert_eq!(policy.history_age, Duration::from_secs(600), "taken from the default namespace");
}

#[test]
fn api_keys_are_tables_with_names() {
    let digest = "AB".repeat(32);
    let text = format!(
        "[api_keys.shop-1]\nsha256 = \"{digest}\"\nscopes = \"read publish\"\n\
         [api_keys.desk]\nsha256 = \"{digest}\"\n"
    );
    let (_folder, path) = file(&text);
    let config = config::check(&path).expect("valid");
    let same = config::check(&path).expect("valid");
    assert_eq!(config.api_keys, same.api_keys);
    let other = Config::from_settings(&[
        &format!("api_keys.desk.sha256={digest}"),
        "api_keys.desk.scopes=admin",
    ])
    .expect("valid");
    let differences = config.differences(&other);
    assert!(differences.reloadable.contains(&"api_keys.shop-1.sha256".to_owned()));
    assert!(differences.reloadable.contains(&"api_keys.desk.scopes".to_owned()));
    assert_eq!(config.with_reloadable_of(&other).api_keys, other.api_keys);
    for (text, part) in [
        ("[api_keys.shop]\n", "api_keys.shop.sha256"),
        ("[api_keys.shop]\nsha256 = \"my-secret\"\n", "64 hex digits"),
        ("[api_keys.Shop]\nsha256 = \"x\"\n", "names of API keys"),
        ("[api_keys.shop]\nsecret = \"my-secret\"\n", "there is no such key"),
        ("[api_keys.shop]\nscopes = \"write\"\n", "none of publish, read, admin"),
    ] {
        let (_folder, path) = file(text);
        let error = config::check(&path).expect_err(text).to_string();
        assert!(error.contains(part) && !error.contains("my-secret"), "{text}: {error}");
    }
}
