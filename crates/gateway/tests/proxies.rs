//! Behind a load balancer: whose word about a client's address is taken, and whose is not.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::net::SocketAddr;

use roomcast_testkit::free_port;
use support::{Process, eventually, get, soon};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
const TRUSTS: &str = "--set=http.trusted_proxies=127.0.0.0/8";

fn serve(arguments: &[&str]) -> Process {
    Process::serve(&[&["--set=log.level=info,roomcast_gateway=debug"], arguments].concat())
}

/// What a socket is answered on these bytes, sent in these pieces; empty if it is just closed.
async fn answer(address: SocketAddr, pieces: &[&str]) -> (TcpStream, String) {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.set_nodelay(true).unwrap();
    for piece in pieces {
        socket.write_all(piece.as_bytes()).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        match soon("an answer", socket.read_u8()).await {
            Ok(byte) => line.push(byte),
            Err(_ended) => break,
        }
    }
    (socket, String::from_utf8(line).unwrap())
}

#[tokio::test]
async fn a_forwarded_address_is_believed_from_trusted_proxies_only() {
    let forwarded = format!("{UPGRADE}X-Forwarded-For: 203.0.113.9, 198.51.100.7\r\n\r\n");
    for (setting, client) in [
        (TRUSTS, "198.51.100.7"),
        ("--set=http.trusted_proxies=10.0.0.0/8", "127.0.0.1"),
        ("--set=http.trusted_proxies=", "127.0.0.1"),
    ] {
        let node = serve(&[setting]);
        let (_open, status) = answer(node.address().await, &[&forwarded]).await;
        assert_eq!(status, "HTTP/1.1 101 Switching Protocols\r\n");
        assert_eq!(node.until("opened", 1).await["client"], client, "{setting}");
        node.stop().await;
    }
}

#[tokio::test]
async fn every_connection_begins_with_the_proxys_head() {
    let monitor = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let apart = format!("--set=http.metrics_listen={monitor}");
    let node = serve(&[TRUSTS, "--set=http.proxy_protocol=true", &apart]);
    let address = node.address().await;
    let request = format!("{UPGRADE}\r\n");
    // In pieces, as a head may come.
    let pieces = ["PRO", "XY TCP4 198.51.100.7 127.0.0.1 40000 80\r", "\n", &request];
    let (_open, status) = answer(address, &pieces).await;
    assert_eq!(status, "HTTP/1.1 101 Switching Protocols\r\n");
    assert_eq!(node.until("opened", 1).await["client"], "198.51.100.7");
    let (_closed, status) = answer(address, &[&request]).await;
    assert_eq!(status, "", "closed without an answer");
    let refused = r#"roomcast_connections_refused_total{reason="bad_request"} 1"#;
    eventually("counted", async || get(monitor, "/metrics").await.body.contains(refused)).await;
    node.stop().await;
}

#[tokio::test]
async fn nobody_else_speaks_the_proxy_protocol() {
    let settings = ["--set=http.trusted_proxies=10.0.0.0/8", "--set=http.proxy_protocol=true"];
    let node = serve(&settings);
    let head = format!("PROXY UNKNOWN\r\n{UPGRADE}\r\n");
    let (_closed, status) = answer(node.address().await, &[&head]).await;
    assert_eq!(status, "", "closed without an answer");
    node.stop().await;
}
