//! What is typed for a door, and what comes of it.

use clap::Parser;

use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    door: DoorArgs,
}

fn parse(arguments: &[&str]) -> Result<DoorArgs, clap::Error> {
    Line::try_parse_from([&["loadtest"], arguments].concat()).map(|line| line.door)
}

#[test]
fn a_door_is_made_once_for_all_clones() {
    let args = parse(&["--tls", "--auth", "--token-life", "9"]).unwrap();
    assert_eq!(args.line(), " --tls --auth --token-life 9");
    let door = args.to_started(&[]).unwrap();
    assert_eq!(door.scheme(), "wss");
    let [first, second] = [&args.clone(), &args].map(|args| args.settings().unwrap());
    assert_eq!(first, second);
    for (setting, key) in first.iter().zip(["auth.hs_secret_file=", "tls.cert=", "tls.key="]) {
        let path = setting.strip_prefix(key).unwrap();
        assert!(std::path::Path::new(path).exists(), "{path}");
    }
    assert!(matches!(door.badge, Badge::Secret { life, .. } if life == Duration::from_secs(9)));
}

#[test]
fn each_kind_of_door_asks_for_its_own() {
    let args = parse(&[]).unwrap();
    for (kind, scheme, settings) in [
        (DoorKind::Ws, "ws", &[][..]),
        (DoorKind::Hs256, "ws", &["auth.hs_secret_file"]),
        (DoorKind::Es256, "ws", &["auth.keys"]),
        (DoorKind::Wss, "wss", &["tls.cert", "tls.key"]),
        (DoorKind::Nginx, "wss", &["tls.cert", "tls.key"]),
    ] {
        let args = args.of_kind(kind);
        assert_eq!(args.to_started(&[]).unwrap().scheme(), scheme, "{kind:?}");
        let found = args.settings().unwrap();
        let keys: Vec<_> = found.iter().filter_map(|it| it.split('=').next()).collect();
        assert_eq!(keys, settings, "{kind:?}");
    }
}

#[test]
fn servers_that_run_already_are_known_by_their_url() {
    let args = parse(&["--token", " a.b.c "]).unwrap();
    let urls = |urls: &[&str]| urls.iter().map(|&url| url.to_owned()).collect::<Vec<_>>();
    let door = args.to_urls(&urls(&["wss://localhost:8443/ws"])).unwrap();
    let trust = door.trust.unwrap();
    let at = address("localhost:8443").unwrap();
    assert_eq!(trust.names[&at], "localhost");
    assert_eq!(door.badge, Badge::Token("a.b.c".to_owned()));
    assert!(args.to_urls(&urls(&["ws://127.0.0.1:1"])).unwrap().trust.is_none());
    assert!(args.to_urls(&urls(&["ws://127.0.0.1:1", "wss://127.0.0.1:2"])).is_err());
    assert!(parse(&["--tls"]).unwrap().to_urls(&urls(&["ws://127.0.0.1:1"])).is_err());
}

#[test]
fn hosts_are_told_from_ports() {
    for (url, expected) in [
        ("wss://node.example.com:8443/ws", "node.example.com"),
        ("wss://node.example.com", "node.example.com"),
        ("wss://127.0.0.1:1", "127.0.0.1"),
        ("wss://[::1]:1/ws", "::1"),
    ] {
        assert_eq!(host(url), expected);
    }
}

#[test]
fn one_way_to_a_token_is_enough() {
    for both in
        [["--token=a", "--auth"], ["--token-file=a", "--secret-file=b"], ["--ca=a", "--tls"]]
    {
        assert!(parse(&both).is_err(), "{both:?}");
    }
}
