//! A node that cannot have its Redis does not start, and says what to do.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::net::{SocketAddr, TcpListener, TcpStream};

use roomcast_gateway::{Node, StartError};
use roomcast_testkit::RedisServer;
use support::{TestNode, soon};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

/// An address that nobody listens on.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Why a node does not start on this Redis. Its own port must not serve afterwards.
async fn refused(redis_url: &str) -> String {
    let listen = free_address();
    let settings = [format!("bus.redis_url={redis_url}"), format!("http.listen={listen}")];
    let config = TestNode::config(&settings.each_ref().map(String::as_str));
    match soon("an answer", Node::start(config)).await {
        Err(error @ StartError::Bus(_)) => {
            assert!(TcpStream::connect(listen).is_err(), "{listen} serves after {error}");
            error.to_string()
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("the node started on {redis_url}"),
    }
}

#[tokio::test]
async fn no_redis() {
    let error = refused(&format!("redis://{}", free_address())).await;
    assert!(error.starts_with("Redis cannot be reached: "), "{error}");
    assert!(error.ends_with("start it, or correct the address or bus.redis_ca"), "{error}");
}

#[tokio::test]
async fn a_redis_that_evicts() {
    let server = RedisServer::with(&["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"]);
    let error = refused(&server.url()).await;
    assert!(error.contains("allkeys-lru"), "{error}");
    assert!(error.ends_with("set maxmemory-policy to noeviction"), "{error}");
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
    assert_eq!(error, "this Redis is a replica; connect to its primary");
}

/// Redis 5 does not know the command that every connection begins with.
#[tokio::test]
async fn a_redis_before_version_6() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
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
    assert_eq!(refused(&url).await, "Redis before 6.0 is too old; use 6.2 or newer");
}
