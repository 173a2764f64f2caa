//! Records in pieces, and parts of records that never become whole: bounded in memory and in time.

use std::io::Write;

use rustls::ClientConnection;
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::certificates::{Scene, SecureClient, connect};
use crate::support::{OFFER, Opcode, UPGRADE, deflate, frame, inflate, soon};
use roomcast_testkit::CertificateKind;

/// The TCP socket and the session below an open WebSocket.
fn apart(client: SecureClient) -> (TcpStream, ClientConnection) {
    client.socket.into_inner().into_inner()
}

/// These bytes as records.
fn sealed(session: &mut ClientConnection, bytes: &[u8]) -> Vec<u8> {
    session.writer().write_all(bytes).unwrap();
    let mut records = Vec::new();
    while session.wants_write() {
        session.write_tls(&mut records).unwrap();
    }
    records
}

fn publish(room: &str, data: &str) -> Vec<u8> {
    let text = format!("{{\"type\":\"publish\",\"id\":1,\"room\":\"{room}\",\"data\":{data}}}");
    frame(0x80 | Opcode::Text as u8, text.as_bytes())
}

#[tokio::test]
async fn records_may_come_byte_by_byte_or_many_at_once() {
    let scene = Scene::new(CertificateKind::Ecdsa);
    let node = scene.node(&[]).await;
    for version in [&TLS12, &TLS13] {
        let mut member = SecureClient::open(node.address(), scene.client(&[&TLS13])).await;
        member.join("room").await;
        let client = SecureClient::open(node.address(), scene.client(&[version])).await;
        let (mut tcp, mut session) = apart(client);
        let small = sealed(&mut session, &publish("room", "1"));
        for byte in small {
            tcp.write_all(&[byte]).await.unwrap();
        }
        assert_eq!(member.next_of("message").await["data"], 1);
        // A message in several records, cut where no record ends.
        let long = format!("\"{}\"", "x".repeat(60_000));
        let records = sealed(&mut session, &publish("room", &long));
        for piece in records.chunks(7_001) {
            tcp.write_all(piece).await.unwrap();
        }
        assert_eq!(member.next_of("message").await["data"].as_str().unwrap().len(), 60_000);
        // Each frame in a record of its own, all in one write.
        let mut many = Vec::new();
        for n in 0..300 {
            many.extend(sealed(&mut session, &publish("room", &n.to_string())));
        }
        tcp.write_all(&many).await.unwrap();
        for n in 0..300 {
            assert_eq!(member.next_of("message").await["data"], n);
        }
    }
    node.stop().await;
}

/// A part of a record is a message that arrives: it has the same time, and pings do not help.
#[tokio::test]
async fn a_part_of_a_record_has_a_deadline() {
    let scene = Scene::new(CertificateKind::Ecdsa);
    let node = scene.node(&["limits.message_deadline=1s"]).await;
    let (mut tcp, mut session) =
        apart(SecureClient::open(node.address(), scene.client(&[&TLS13])).await);
    let records = sealed(&mut session, &publish("room", "1"));
    tcp.write_all(&records[..records.len() - 1]).await.unwrap();
    node.until("roomcast_connections", |count| count == 0.0).await;
    let scrape = node.scrape().await;
    assert_eq!(scrape.with("roomcast_connections_closed_total", "reason=\"policy\""), 1.0);
    node.stop().await;
}

/// Parts of records count against `limits.inbound_bytes`.
#[tokio::test]
async fn parts_of_records_are_bounded_together() {
    let scene = Scene::new(CertificateKind::Ecdsa);
    let settings = ["limits.inbound_bytes=1MiB", "limits.message_deadline=5m", "node.workers=1"];
    let node = scene.node(&settings).await;
    let mut held = Vec::new();
    for _ in 0..100 {
        let (mut tcp, mut session) =
            apart(SecureClient::open(node.address(), scene.client(&[&TLS13])).await);
        let long = format!("\"{}\"", "x".repeat(16_000));
        let records = sealed(&mut session, &publish("room", &long));
        tcp.write_all(&records[..records.len() - 1]).await.unwrap();
        held.push((tcp, session));
    }
    let closed = "roomcast_connections_closed_total";
    node.until(closed, |count| count >= 30.0).await;
    let scrape = node.scrape().await;
    assert!(scrape.with(closed, "reason=\"try_again\"") >= 30.0);
    assert!(scrape.sum("roomcast_connections") >= 50.0, "only those above the bound end");
    drop(held);
    node.stop().await;
}

/// Records without content are a turn's work: others are served meanwhile.
#[tokio::test]
async fn empty_records_do_not_hold_up_the_others() {
    let scene = Scene::new(CertificateKind::Ecdsa);
    let node = scene.node(&["node.workers=1"]).await;
    let (mut tcp, mut session) =
        apart(SecureClient::open(node.address(), scene.client(&[&TLS12])).await);
    let mut other = SecureClient::open(node.address(), scene.client(&[&TLS13])).await;
    // An empty frame's header in three records, again and again.
    let mut flood = Vec::new();
    for _ in 0..2_000 {
        for byte in frame(0x80 | Opcode::Pong as u8, b"") {
            flood.extend(sealed(&mut session, &[byte]));
        }
    }
    let flooding = tokio::spawn(async move {
        let _ended_by_the_node = tcp.write_all(&flood).await;
        tcp
    });
    other.join("room").await;
    for n in 0..50 {
        other.publish("room", &n.into()).await;
    }
    drop(flooding.await.unwrap());
    node.stop().await;
}

/// Compression is below the records in both directions: a member behind TLS shares the compressed
/// message, and its own is inflated.
#[tokio::test]
async fn compressed_messages_travel_in_records() {
    let scene = Scene::new(CertificateKind::Ecdsa);
    let node = scene.node(&["http.deflate=true"]).await;
    let mut stream = connect(node.address(), scene.client(&[&TLS13])).await.unwrap();
    stream.write_all(format!("{UPGRADE}{OFFER}\r\n").as_bytes()).await.unwrap();
    let text = "the same words again ".repeat(3_000);
    let publish =
        format!("{{\"type\":\"publish\",\"id\":1,\"room\":\"room\",\"data\":\"{text}\"}}");
    let join = "{\"type\":\"join\",\"id\":2,\"room\":\"room\"}";
    for message in [join, &publish] {
        let compressed = frame(0xc1, &deflate(message.as_bytes()));
        for piece in compressed.chunks(100) {
            stream.write_all(piece).await.unwrap();
        }
    }
    // The answer to the handshake, `connected`, `joined`, then the ack and the message.
    let mut bytes = Vec::new();
    let message = loop {
        let mut more = [0; 4096];
        let count = soon("bytes", stream.read(&mut more)).await.unwrap();
        assert!(count > 0, "{}", String::from_utf8_lossy(&bytes));
        bytes.extend_from_slice(&more[..count]);
        let begin = bytes.windows(2).position(|two| two[0] == 0xc1 && two[1] == 126);
        let whole = begin.and_then(|at| {
            let length = u16::from_be_bytes([*bytes.get(at + 2)?, *bytes.get(at + 3)?]);
            bytes.get(at + 4..at + 4 + usize::from(length))
        });
        if let Some(payload) = whole {
            break inflate(payload);
        }
    };
    assert!(message.len() > text.len() && bytes.len() < text.len() / 10);
    assert!(message.windows(text.len()).any(|part| part == text.as_bytes()));
    drop(stream);
    node.stop().await;
}
