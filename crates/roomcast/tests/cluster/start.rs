//! A node whose Redis is away at its start waits for it, serves its health meanwhile and takes
//! nobody; one that cannot use its Redis ends, and says what to do.

use std::net::{SocketAddr, TcpListener, TcpStream};

use crate::support::{Process, RawClient, TestClient, TestNode, UPGRADE, eventually, get, soon};
use roomcast_gateway::{Node, StartError};
use roomcast_protocol::Encoding;
use roomcast_testkit::{RedisCluster, RedisServer, Sentinels};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

/// An address that nobody listens on.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Why a node gives up on this Redis. Its own port must not serve afterwards.
async fn refused(redis_url: &str) -> String {
    let listen = free_address();
    let settings = [format!("bus.redis_url={redis_url}"), format!("http.listen={listen}")];
    let config = TestNode::config(&settings.each_ref().map(String::as_str));
    let mut node = soon("its start", Node::start(config)).await.unwrap();
    let Err(error @ StartError::Bus(_)) = soon("an answer", node.opened()).await else {
        panic!("the node goes on with {redis_url}")
    };
    soon("its end", node.stop()).await;
    assert!(TcpStream::connect(listen).is_err(), "{listen} serves after {error}");
    error.to_string()
}

/// What a node answers until its Redis was there for the first time.
async fn waits(address: SocketAddr) {
    let live = get(address, "/health/live").await;
    assert_eq!((live.status, &*live.body), (200, r#"{"live":true}"#));
    let ready = get(address, "/health/ready").await;
    let body = r#"{"ready":false,"reasons":["bus_starting"]}"#;
    assert_eq!((ready.status, &*ready.body), (503, body));
    for request in [format!("{UPGRADE}\r\n"), "GET /ws HTTP/1.1\r\nHost: node\r\n\r\n".to_owned()] {
        let mut client = RawClient::connect(address).await;
        client.write(request.as_bytes()).await;
        let answer = client.response().await;
        assert_eq!(answer.status, 503, "{}", answer.body);
        assert!(answer.body.contains("\"not_ready\""), "{}", answer.body);
    }
    let metrics = get(address, "/metrics").await.body;
    for line in [
        "roomcast_ready 0",
        "roomcast_bus_up 0",
        "roomcast_bus_writable 1",
        "roomcast_connections_refused_total{reason=\"not_ready\"} 2",
    ] {
        assert!(metrics.lines().any(|known| known == line), "{line} in {metrics}");
    }
}

/// Starts a node on a Redis that is away, then brings that back.
async fn waits_for(url: &str, workers: usize, back: impl FnOnce()) {
    let settings = [format!("bus.redis_url={url}"), format!("node.workers={workers}")];
    let config = TestNode::config(&settings.each_ref().map(String::as_str));
    let mut node = soon("its start", Node::start(config)).await.unwrap();
    waits(node.address()).await;
    back();
    soon("its Redis", node.opened()).await.unwrap();
    let address = node.address();
    let ready = async || get(address, "/health/ready").await.status == 200;
    eventually(&format!("ready on {url}"), ready).await;
    let mut client = TestClient::connect(address, Encoding::Json, "").await;
    client.join("lobby").await;
    client.publish("lobby", "1").await;
    assert_eq!(client.message("lobby").await.seq, 1);
    soon("its end", node.stop()).await;
}

#[tokio::test]
async fn a_server_that_is_away_is_waited_for() {
    for workers in [1, 2] {
        let mut server = RedisServer::start();
        server.kill();
        waits_for(&server.url(), workers, || server.restart()).await;
        server.command(&["FLUSHALL"]);
        server.pause();
        waits_for(&server.url(), workers, || server.resume()).await;
    }
}

#[tokio::test]
async fn one_server_of_a_list_is_waited_for() {
    let (there, mut away) = (RedisServer::start(), RedisServer::start());
    away.kill();
    waits_for(&format!("{} {}", there.url(), away.url()), 2, || away.restart()).await;
}

#[tokio::test]
async fn a_cluster_that_is_away_is_waited_for() {
    let mut cluster = RedisCluster::start(3, 0);
    let url = cluster.url();
    (0..3).for_each(|index| cluster.kill(index));
    waits_for(&url, 2, || (0..3).for_each(|index| cluster.restart(index))).await;
}

#[tokio::test]
async fn sentinels_that_are_away_are_waited_for() {
    let mut sentinels = Sentinels::start();
    let url = sentinels.url();
    sentinels.sentinels().iter_mut().for_each(RedisServer::kill);
    waits_for(&url, 2, || sentinels.sentinels().iter_mut().for_each(RedisServer::restart)).await;
}

/// The program serves before Redis answers, tells why it waits, and ends with 1 once a check
/// fails. Its signals work meanwhile.
#[tokio::test]
async fn the_program_waits_and_then_gives_up_on_a_redis_that_evicts() {
    let eviction = ["--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru"];
    let mut server = RedisServer::with(&eviction);
    server.kill();
    let at = format!("127.0.0.1:{}", server.port());
    let node = Process::serve(&["--redis-url", &format!("redis://:geheim@{at}/3")]);
    let listening = node.until("listening", 1).await;
    assert_eq!(listening["rooms"], format!("Redis at {at}, database 3"));
    let waiting = node.until("waiting for Redis, not ready", 1).await;
    let reason = waiting["reason"].as_str().unwrap();
    assert!(reason.starts_with(&format!("Redis at {at} cannot be reached: ")), "{reason}");
    waits(node.address().await).await;
    for signal in ["-USR1", "-USR2", "-HUP"] {
        node.signal(signal);
    }
    node.until("SIGUSR1 and SIGUSR2 do nothing", 1).await;
    node.until("configuration reloaded", 1).await;
    assert_eq!(get(node.address().await, "/health/live").await.status, 200);
    server.restart();
    assert_eq!(node.fails().await, Some(1));
}

#[tokio::test]
async fn a_redis_that_evicts() {
    let server = RedisServer::with(&["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"]);
    let error = refused(&server.url()).await;
    let fault = "may evict keys (maxmemory-policy allkeys-lru); set maxmemory-policy to noeviction";
    assert_eq!(error, format!("Redis at 127.0.0.1:{} {fault}", server.port()));
}

#[tokio::test]
async fn a_redis_that_asks_for_a_password() {
    let server = RedisServer::with(&["--requirepass", "secret"]);
    let error = refused(&server.url()).await;
    assert!(error.contains("correct the credentials"), "{error}");
    assert!(!error.contains("secret"), "{error}");
}

#[tokio::test]
async fn a_replica() {
    let primary = RedisServer::start();
    let port = primary.port().to_string();
    let replica = RedisServer::with(&["--replicaof", "127.0.0.1", &port]);
    let error = refused(&replica.url()).await;
    let fault = "is a replica; connect to its primary";
    assert_eq!(error, format!("Redis at 127.0.0.1:{} {fault}", replica.port()));
}

/// Redis 5 does not know the command that every connection begins with.
#[tokio::test]
async fn a_redis_before_version_6() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        let (reader, mut writer) = socket.into_split();
        let mut lines = BufReader::new(reader).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            // Each command begins with the count of its words.
            let is_command = line.starts_with('*');
            if is_command && writer.write_all(b"-ERR unknown command `HELLO`\r\n").await.is_err() {
                return;
            }
        }
    });
    let error = refused(&format!("redis://{at}")).await;
    assert_eq!(error, format!("Redis at {at} is too old: Redis before 6.0; use 6.2 or newer"));
}
