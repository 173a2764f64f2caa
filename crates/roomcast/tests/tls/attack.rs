//! Bytes that are no TLS, handshakes that do not go on, and what the others notice of them.

use rustls::version::TLS13;
use tokio::io::AsyncWriteExt;

use crate::certificates::{Scene, SecureClient, connect};
use crate::support::{RawClient, TestNode, eventually, soon};
use roomcast_testkit::CertificateKind;

async fn refused(node: &TestNode, reason: &str, count: f64) {
    let label = format!("reason=\"{reason}\"");
    eventually(&label, async || {
        node.scrape().await.with("roomcast_connections_refused_total", &label) == count
    })
    .await;
}

/// The first bytes of a ClientHello, whose rest does not come.
const HELLO: [u8; 11] = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];

/// The handshake is in the time of the head, and delays no other client.
#[tokio::test]
async fn a_handshake_that_does_not_go_on_is_ended() {
    let scene = Scene::new(CertificateKind::Ecdsa);
    for workers in ["node.workers=1", "node.workers=2"] {
        let node = scene.node(&["http.header_timeout=1500ms", workers]).await;
        let mut silent = RawClient::connect(node.address()).await;
        let mut begun = RawClient::connect(node.address()).await;
        begun.write(&HELLO).await;
        // TLS is spoken, and no request comes: the same time bounds both together.
        let spoken = connect(node.address(), scene.client(&[&TLS13])).await.unwrap();
        // Others come in at once meanwhile.
        let mut client = SecureClient::open(node.address(), scene.client(&[&TLS13])).await;
        client.join("room").await;
        assert!(silent.ends_unanswered().await && begun.ends_unanswered().await);
        refused(&node, "timeout", 3.0).await;
        client.publish("room", &1.into()).await;
        drop((spoken, client));
        node.stop().await;
    }
}

#[tokio::test]
async fn what_is_no_tls_is_refused() {
    let scene = Scene::new(CertificateKind::Ecdsa);
    let node = scene.node(&[]).await;
    let too_long = [&[0x16, 3, 1, 0xff, 0xff][..], &[0; 70_000]].concat();
    let rows: [&[u8]; 5] = [
        b"\x00\x01\x02\x03\x04\x05\x06\x07",
        b"\x16\x03\x01\x00\x05hello",
        // An alert, and data before a handshake.
        b"\x15\x03\x03\x00\x02\x02\x28",
        b"\x17\x03\x03\x00\x04data",
        &too_long,
    ];
    for bytes in rows {
        let mut client = RawClient::connect(node.address()).await;
        client.write(bytes).await;
        client.ended().await;
    }
    refused(&node, "tls", rows.len() as f64).await;

    // A client that speaks HTTP gets an answer in HTTP.
    let mut client = RawClient::connect(node.address()).await;
    client.write(b"GET /ws HTTP/1.1\r\nHost: node\r\n\r\n").await;
    let response = client.response().await;
    assert_eq!(response.status, 400);
    assert!(response.body.contains("https or wss") && response.body.ends_with('}'), "{response:?}");
    client.ended().await;
    refused(&node, "tls", rows.len() as f64 + 1.0).await;

    // A client that speaks only another protocol over TLS.
    let mut config = (*scene.client(&[&TLS13])).clone();
    config.alpn_protocols = vec![b"h2".to_vec()];
    assert!(connect(node.address(), config.into()).await.is_err());
    refused(&node, "tls", rows.len() as f64 + 2.0).await;
    node.stop().await;
}

/// Bytes that are no record after the handshake end the connection, and only that.
#[tokio::test]
async fn a_record_that_is_not_authentic_ends_its_connection() {
    let scene = Scene::new(CertificateKind::Ecdsa);
    let node = scene.node(&[]).await;
    let mut other = SecureClient::open(node.address(), scene.client(&[&TLS13])).await;
    let client = SecureClient::open(node.address(), scene.client(&[&TLS13])).await;
    let (mut tcp, _session) = client.socket.into_inner().into_inner();
    tcp.write_all(b"\x17\x03\x03\x00\x20................................").await.unwrap();
    node.until("roomcast_connections", |count| count == 1.0).await;
    other.join("room").await;
    other.publish("room", &1.into()).await;
    node.stop().await;
}

/// The balancer's head comes before TLS.
#[tokio::test]
async fn the_proxys_head_comes_before_tls() {
    let scene = Scene::new(CertificateKind::Ecdsa);
    let settings = ["http.trusted_proxies=127.0.0.0/8", "http.proxy_protocol=true"];
    let node = scene.node(&settings).await;
    let mut tcp = tokio::net::TcpStream::connect(node.address()).await.unwrap();
    tcp.write_all(b"PROXY TCP4 198.51.100.7 127.0.0.1 40000 443\r\n").await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(scene.client(&[&TLS13]));
    let stream = connector.connect(node.address().ip().into(), tcp);
    let stream = soon("a handshake", stream).await.unwrap();
    let mut client = SecureClient::over(stream, node.address()).await;
    client.join("room").await;
    assert!(connect(node.address(), scene.client(&[&TLS13])).await.is_err(), "without the head");
    node.stop().await;
}
