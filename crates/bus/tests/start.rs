//! The first way to Redis: what each mistake is told as, and what is waited for.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use roomcast_bus::{Bus, PublishError, RedisOptions, RedisStartError};
use roomcast_metrics::Metrics;
use roomcast_testkit::{Login, RedisCluster, RedisServer, Sentinels};
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;

/// How the bus does not start here; the text names `at`, and never a password.
async fn error_of(options: RedisOptions) -> RedisStartError {
    let started = timeout(SOON, Bus::redis(options, Metrics::new().bus)).await.unwrap();
    let error = started.err().expect("it does not start");
    assert!(!error.to_string().contains("geheim"), "{error}");
    error
}

/// The same, with the address as `AT` and whether the node waits.
async fn told(url: &str, at: &str) -> (String, bool) {
    let error = error_of(RedisOptions::new(url)).await;
    let text = error.to_string();
    assert!(text.contains(at), "{at} in {text}");
    (text.replace(at, "AT"), error.passes())
}

/// A server that says this to everybody, and closes; before it has read a word, as Redis does in
/// protected mode, or after some.
async fn scripted(says: &'static str, reads_first: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut word = [0; 1024];
                if reads_first && socket.read(&mut word).await.is_err() {
                    return;
                }
                let _gone_already = socket.write_all(says.as_bytes()).await;
                if !reads_first {
                    // What comes now is never read, so that the end is a reset.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            });
        }
    });
    at
}

const DENIED: &str = "-DENIED Redis is running in protected mode because protected mode is enabled \
    and no password is set for the default user. In this mode connections are only accepted from \
    the loopback interface.\r\n";

#[tokio::test]
async fn what_a_server_says_is_told() {
    let refuses = "Redis at AT refuses this node: ";
    for (says, reads_first, text, passes) in [
        (
            DENIED,
            false,
            "DENIED Redis is running in protected mode because protected mode is enabled and no \
             password is set for the default user; give it a password, and write it into \
             bus.redis_url",
            false,
        ),
        (
            "-NOAUTH Authentication required.\r\n",
            true,
            "NOAUTH Authentication required; correct the credentials in bus.redis_url",
            false,
        ),
        (
            "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
            true,
            "Redis at AT is something else: it answers \"HTTP/1.1 400 Bad Request\"; correct the \
             address",
            false,
        ),
        (
            "SSH-2.0-OpenSSH_9.2p1\r\n",
            false,
            "Redis at AT is something else: it answers \"SSH-2.0-OpenSSH_9.2p1\"; correct the \
             address",
            false,
        ),
        (
            "-LOADING Redis is loading the dataset in memory\r\n",
            true,
            "Redis at AT does not serve yet: LOADING Redis is loading the dataset in memory",
            true,
        ),
        (
            "-ERR max number of clients reached\r\n",
            false,
            "Redis at AT does not serve yet: ERR max number of clients reached",
            true,
        ),
    ] {
        let at = scripted(says, reads_first).await;
        let whole =
            if text.starts_with("Redis at") { text.into() } else { format!("{refuses}{text}") };
        let expected = (whole, passes);
        assert_eq!(told(&format!("redis://u:geheim@{at}"), &at).await, expected, "{says}");
    }
}

#[tokio::test]
async fn who_is_away_or_silent_is_waited_for() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = silent.local_addr().map(|at| (at.to_string(), silent)).unwrap();
    let closes = scripted("", true).await;
    let nameless = "no-such-host.invalid:6379";
    for at in [&free, &silent.0, &closes, nameless] {
        let (text, passes) = told(&format!("redis://:geheim@{at}"), at).await;
        assert!(text.starts_with("Redis at AT cannot be reached: "), "{text}");
        assert!(text.ends_with("; start it, or correct the address"), "{text}");
        assert!(passes, "{text}");
    }
    // A cluster and sentinels likewise.
    for url in [format!("redis+cluster://{free}"), format!("redis+sentinel://{free}/main")] {
        let (text, passes) = told(&url, &free).await;
        assert!(text.starts_with("Redis at AT cannot be reached: Connection refused"), "{text}");
        assert!(passes, "{text}");
    }
}

#[tokio::test]
async fn who_may_not_do_what_a_node_does_is_refused() {
    let server =
        RedisServer::launch(&roomcast_testkit::Launch::default().login(Login::password("geheim")));
    let at = format!("127.0.0.1:{}", server.port());
    let all = ["on", ">geheim", "~*", "&*", "+@all"];
    for command in ["info", "script|load", "subscribe", "publish", "evalsha"] {
        let without = format!("-{command}");
        let rule = [&["ACL", "SETUSER", command][..], &all, &[&without]].concat();
        server.command(&rule);
        let (text, passes) = told(&format!("redis://{command}:geheim@{at}"), &at).await;
        assert!(text.starts_with("Redis at AT refuses this node: NOPERM "), "{command}: {text}");
        assert!(text.contains(command), "{command}: {text}");
        assert!(text.ends_with("; give its user the permissions of docs/guarantees.md"), "{text}");
        assert!(!passes);
    }
    for (access, code) in [("", "NOAUTH"), ("u:geheim@", "WRONGPASS"), (":geheim2@", "WRONGPASS")] {
        let (text, passes) = told(&format!("redis://{access}{at}"), &at).await;
        assert!(text.starts_with(&format!("Redis at AT refuses this node: {code} ")), "{text}");
        assert!(text.ends_with("; correct the credentials in bus.redis_url"), "{text}");
        assert!(!passes);
    }
    let (text, passes) = told(&format!("redis://:geheim@{at}/99"), &at).await;
    assert!(text.starts_with("Redis at AT refuses this node: ERR "), "{text}");
    assert!(text.contains("DB index is out of range") && !passes, "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_url_of_the_wrong_kind_says_which_is_right() {
    let mut cluster = RedisCluster::start(3, 0);
    let (single, tls) = (RedisServer::start(), RedisServer::tls());
    let mut sentinels = Sentinels::start();
    let at = |server: &RedisServer| format!("127.0.0.1:{}", server.port());
    let sentinel = at(&sentinels.sentinels()[0]);
    let (node, single, secure) = (at(&cluster.servers()[0]), at(&single), at(&tls));
    for (scheme, at, path, text) in [
        ("redis", &node, "", "is part of a cluster; write redis+cluster://"),
        ("redis+cluster", &single, "", "is no part of a cluster; write redis://"),
        ("redis", &sentinel, "", "is a sentinel; write redis+sentinel://host/NAME"),
        ("redis+sentinel", &single, "/main", "is no sentinel; write redis://"),
        (
            "redis+sentinel",
            &sentinel,
            "/nosuch",
            "is a sentinel that knows no primary of the name \"nosuch\"; correct the name in the \
             URL",
        ),
        ("redis", &secure, "", "speaks TLS; write rediss:// for redis://"),
        (
            "rediss",
            &single,
            "",
            "does not speak TLS as expected: it answers without; if it speaks none, write \
             redis:// for rediss://",
        ),
        (
            "rediss",
            &secure,
            "",
            "has a certificate that is not trusted: UnknownIssuer; correct bus.redis_ca or the \
             certificate",
        ),
    ] {
        let told = told(&format!("{scheme}://{at}{path}"), at).await;
        assert_eq!(told, (format!("Redis at AT {text}"), false), "{scheme} {at}");
    }
}

/// Until Redis is there nothing is stored and nothing is promised; then it works, and a list that
/// came meanwhile is the one in force.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bus_waits_for_its_servers() {
    let (mut a, b) = (RedisServer::start(), RedisServer::start());
    a.kill();
    let away = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let list =
        |version, urls: &[String]| RedisOptions { version, ..RedisOptions::new(urls.join(" ")) };
    let metrics = Metrics::new();
    let first = list(1, &[a.url(), b.url(), format!("redis://{away}")]);
    let (bus, feeds, opening) = Bus::redis_later(first, metrics.bus.clone()).unwrap();
    let mut listener = Listener::new(feeds);
    let opened = tokio::spawn(opening.wait());
    let refused = bus.publish(room("a"), json("1")).await;
    assert_eq!(refused, Err(PublishError::Unavailable));
    assert!(!bus.is_reached() && !bus.health().ready());
    assert_eq!(metrics.bus.writable.get(), 1, "nothing refuses writes");
    // One server of the list is away for good: the corrected list does without it.
    let second = list(2, &[a.url(), b.url()]);
    timeout(SOON, bus.change_servers(&second)).await.unwrap().unwrap();
    assert!(!opened.is_finished(), "one is away still");
    a.restart();
    timeout(SOON, opened).await.unwrap().unwrap().unwrap();
    assert!(bus.is_reached());
    eventually("ready", async || bus.health().ready()).await;
    for number in 0..8 {
        let room = room(&number.to_string());
        listener.open(&room).await;
        assert_eq!(bus.publish(room, json("1")).await.unwrap().position.seq, 1);
    }
    let stamped: Vec<String> =
        [&a, &b].map(|server| server.ask(&["GET", "roomcast:version"]).unwrap()).into();
    assert_eq!(stamped, ["2", "2"]);
}

/// A fault that does not pass ends the wait, also after one that does.
#[tokio::test]
async fn a_bus_gives_up_where_a_check_fails() {
    let eviction = ["--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru"];
    let mut server = RedisServer::with(&eviction);
    server.kill();
    let options = RedisOptions::new(server.url());
    let (bus, _feeds, opening) = Bus::redis_later(options, Metrics::new().bus).unwrap();
    let opened = tokio::spawn(opening.wait());
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!opened.is_finished());
    server.restart();
    let error = timeout(SOON, opened).await.unwrap().unwrap().unwrap_err();
    assert!(error.to_string().contains("allkeys-lru"), "{error}");
    assert!(!bus.is_reached());
}

/// The gauge follows each refusal and its end, without any publish; the bus stays ready.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_writes_show() {
    let mut cluster = RedisCluster::start(3, 0);
    let server = RedisServer::start();
    let versioned = RedisOptions { version: 2, ..RedisOptions::new(server.url()) };
    for (options, server) in
        [(versioned, &server), (RedisOptions::new(cluster.url()), &cluster.servers()[1])]
    {
        let metrics = Metrics::new();
        let (bus, _feeds) = Bus::redis(options, metrics.bus.clone()).await.unwrap();
        eventually("ready", async || bus.health().ready()).await;
        let within = Duration::from_secs(3);
        for (name, bad, good) in [("maxmemory", "100kb", "0"), ("min-replicas-to-write", "1", "0")]
        {
            for (value, shown) in [(bad, 0), (good, 1)] {
                server.command(&["CONFIG", "SET", name, value]);
                let seen = async || metrics.bus.writable.get() == shown;
                let waited = timeout(within, eventually("the gauge", seen)).await;
                assert!(waited.is_ok(), "{name} {value} does not show within {within:?}");
                assert!(bus.health().ready(), "{name} {value}");
            }
        }
    }
}
