//! Clients of both versions and every kind of key, our own programs, and members that read slowly.

use rustls::version::{TLS12, TLS13};
use rustls::{ProtocolVersion, SupportedProtocolVersion};
use serde_json::json;

use crate::certificates::{Scene, SecureClient, connect};
use crate::support::{Program, soon};
use futures_util::StreamExt;
use roomcast_client::{Client, Event, JoinOptions, Options};
use roomcast_protocol::{Data, Publish, RoomName};
use roomcast_testkit::CertificateKind;
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn both_versions_carry_rooms_with_every_kind_of_key() {
    let versions: [(&'static SupportedProtocolVersion, ProtocolVersion); 2] =
        [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)];
    for kind in [CertificateKind::Ecdsa, CertificateKind::Rsa, CertificateKind::Ed25519] {
        let scene = Scene::new(kind);
        let node = scene.node(&[]).await;
        let mut author = SecureClient::open(node.address(), scene.client(&[&TLS13])).await;
        for (version, expected) in versions {
            let stream = connect(node.address(), scene.client(&[version])).await.unwrap();
            let (_, session) = stream.get_ref();
            assert_eq!(session.protocol_version(), Some(expected), "{kind:?}");
            assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
            let mut member = SecureClient::over(stream, node.address()).await;
            let name = format!("{expected:?}");
            member.join(&name).await;
            // Less than a record, and several of them.
            for length in [1, 20_000, 50_000] {
                let data = json!("x".repeat(length));
                author.publish(&name, &data).await;
                assert_eq!(member.next_of("message").await["data"], data);
                member.publish(&name, &data).await;
            }
        }
        node.stop().await;
    }
}

/// Records that the kernel does not take wait, and nothing is lost, doubled or out of order.
#[tokio::test]
async fn a_member_that_reads_late_gets_everything_in_order() {
    let scene = Scene::new(CertificateKind::Ecdsa);
    let settings = ["limits.send_buffer=16KiB", "limits.lag_bytes=16MiB", "limits.log_bytes=64MiB"];
    let node = scene.node(&settings).await;
    for version in [&TLS12, &TLS13] {
        let mut author = SecureClient::open(node.address(), scene.client(&[&TLS13])).await;
        let mut late = SecureClient::open(node.address(), scene.client(&[version])).await;
        late.join("room").await;
        for n in 0..200 {
            author.publish("room", &json!([n, "x".repeat(n * 200)])).await;
        }
        for n in 0..200 {
            assert_eq!(late.next_of("message").await["data"][0], n);
        }
        // It was blocked in between, and takes single messages again.
        author.publish("room", &json!([200])).await;
        assert_eq!(late.next_of("message").await["data"][0], 200);
    }
    node.until("roomcast_writes_total", |count| count > 0.0).await;
    node.stop().await;
}

/// The end is a Close, then a notice of TLS: no client takes it for an attack.
#[tokio::test]
async fn a_node_that_ends_says_so_in_both_protocols() {
    let scene = Scene::new(CertificateKind::Ecdsa);
    let node = scene.node(&[]).await;
    let mut client = SecureClient::open(node.address(), scene.client(&[&TLS13])).await;
    let closed = async {
        loop {
            match client.socket.next().await {
                Some(Ok(Message::Close(Some(frame)))) => return u16::from(frame.code),
                Some(Ok(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    let (code, ()) = tokio::join!(soon("a Close", closed), node.stop());
    assert_eq!(code, 1012);
    // An end without the notice would be an error here.
    let end = soon("the end", client.socket.next()).await;
    assert!(end.is_none(), "{end:?}");
}

#[tokio::test]
async fn our_client_trusts_the_authority_it_is_given() {
    let scene = Scene::new(CertificateKind::Ecdsa);
    let node = scene.node(&[]).await;
    let ca = std::fs::read(scene.file("ca.pem")).unwrap();
    let url = format!("wss://localhost:{}/ws", node.address().port());
    let options = || Options { ca: Some(ca.clone()), ..Options::new([url.clone()]) };
    let (one, two) = (Client::connect(options()).unwrap(), Client::connect(options()).unwrap());
    let room = RoomName::parse("room").unwrap();
    one.join(room.clone(), JoinOptions::default()).await.unwrap();
    let joined = async { while !matches!(one.next().await, Some(Event::Joined { .. })) {} };
    soon("a join", joined).await;
    let publish = Publish {
        id: None,
        room,
        data: Data::json(bytes::Bytes::from_static(b"1")).unwrap(),
        event: None,
        key: None,
        if_seq: None,
        echo: true,
        traceparent: None,
        if_key_seq: None,
        state_key: None,
        ttl_ms: None,
        remove: false,
        receipts: false,
    };
    soon("an ack", two.publish(publish)).await.unwrap();
    let message = async { while !matches!(one.next().await, Some(Event::Message { .. })) {} };
    soon("a message", message).await;

    // Another authority: the certificate is not believed.
    let other = Scene::new(CertificateKind::Ecdsa);
    let ca = Some(std::fs::read(other.file("ca.pem")).unwrap());
    let stranger = Client::connect(Options { ca, ..Options::new([url.clone()]) }).unwrap();
    match soon("a refusal", stranger.next()).await {
        Some(Event::Disconnected { reason, .. }) => {
            assert!(reason.contains("certificate"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    for client in [one, two, stranger] {
        client.close().await;
    }
    node.stop().await;
}

/// The programs as people run them.
#[test]
fn the_programs_speak_tls() {
    let scene = Scene::new(CertificateKind::Ecdsa);
    let [cert, key, _] = scene.settings();
    let own = ["--listen", "127.0.0.1:0", "--set", &cert, "--set", &key];
    let (node, address) = Program::serve(&own);
    let listen = address.to_string();
    let asked = ["health", "--listen", &listen, "--set", &cert, "--set", &key];
    let (status, out, error) = Program::start(&asked).finish();
    assert!(status.success(), "{out} {error}");

    let (url, ca) = (format!("wss://{address}/ws"), scene.file("ca.pem").display().to_string());
    let tail = Program::start(&["tail", "--url", &url, "--ca", &ca, "room"]);
    tail.note("joined room");
    let publish = ["publish", "--url", &url, "--ca", &ca, "room", "{\"n\":1}"];
    let (status, _, error) = Program::start(&publish).finish();
    assert!(status.success(), "{error}");
    assert_eq!(tail.line()["data"]["n"], 1);
    drop(tail);
    node.signal("-TERM");
    assert!({ node }.end().success());
}
