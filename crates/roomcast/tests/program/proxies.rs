//! Behind a load balancer: whose word about a client's address is taken, and whose is not.

use std::net::SocketAddr;

use crate::support::{Process, RawClient, UPGRADE, eventually, get};
use roomcast_testkit::free_port;

const TRUSTS: &str = "--set=http.trusted_proxies=127.0.0.0/8";
const GRANTED: &str = "http/1.1 101 switching protocols";

fn serve(arguments: &[&str]) -> Process {
    Process::serve(&[&["--set=log.level=info,roomcast_gateway=debug"], arguments].concat())
}

/// A client that has sent these bytes, in these pieces.
async fn sent(address: SocketAddr, pieces: &[&str]) -> RawClient {
    let mut client = RawClient::connect(address).await;
    for piece in pieces {
        client.write(piece.as_bytes()).await;
        tokio::task::yield_now().await;
    }
    client
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
        let mut link = sent(node.address().await, &[&forwarded]).await;
        assert_eq!(link.response().await.head.lines().next(), Some(GRANTED));
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
    let mut client = sent(address, &pieces).await;
    assert_eq!(client.response().await.head.lines().next(), Some(GRANTED));
    assert_eq!(node.until("opened", 1).await["client"], "198.51.100.7");
    assert!(sent(address, &[&request]).await.ends_unanswered().await);
    let refused = r#"roomcast_connections_refused_total{reason="bad_request"} 1"#;
    eventually("counted", async || get(monitor, "/metrics").await.body.contains(refused)).await;
    node.stop().await;
}

#[tokio::test]
async fn nobody_else_speaks_the_proxy_protocol() {
    let settings = ["--set=http.trusted_proxies=10.0.0.0/8", "--set=http.proxy_protocol=true"];
    let node = serve(&settings);
    let head = format!("PROXY UNKNOWN\r\n{UPGRADE}\r\n");
    assert!(sent(node.address().await, &[&head]).await.ends_unanswered().await);
    node.stop().await;
}
