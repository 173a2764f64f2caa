//! Streams of odd bytes into TLS sessions, before, in and after the handshake: each ends, and none
//! harms the node. `PROPTEST_CASES` says how many.

use std::io::Write;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::certificates::{Scene, SecureClient, connect};
use crate::support::{Opcode, frame, soon};
use roomcast_testkit::CertificateKind;

/// What the second half of the cases may add to the process's memory: what an allocator keeps.
const MOST_GROWTH_BYTES: f64 = 32.0 * 1024.0 * 1024.0;

/// One change of a stream.
#[derive(Debug, Clone)]
enum Damage {
    Byte(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Insert(prop::sample::Index, Vec<u8>),
    Twice,
}

fn damage() -> impl Strategy<Value = Vec<Damage>> {
    let at = any::<prop::sample::Index>;
    let one = prop_oneof![
        4 => (at(), any::<u8>()).prop_map(|(at, byte)| Damage::Byte(at, byte)),
        1 => at().prop_map(Damage::Cut),
        1 => (at(), prop::collection::vec(any::<u8>(), 1..40))
            .prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        1 => Just(Damage::Twice),
    ];
    prop::collection::vec(one, 0..4)
}

fn damaged(mut bytes: Vec<u8>, changes: &[Damage]) -> Vec<u8> {
    for change in changes {
        match change {
            _ if bytes.is_empty() => {}
            Damage::Byte(at, byte) => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            Damage::Cut(at) => bytes.truncate(at.index(bytes.len())),
            Damage::Insert(at, more) => {
                let at = at.index(bytes.len());
                bytes.splice(at..at, more.iter().copied());
            }
            Damage::Twice => bytes.extend_from_within(..),
        }
    }
    bytes
}

/// A record of any kind and any content.
fn record() -> impl Strategy<Value = Vec<u8>> {
    let content = prop::collection::vec(any::<u8>(), 0..80);
    (20_u8..26, content, prop::option::weighted(0.2, any::<u16>())).prop_map(
        |(kind, content, length)| {
            let length = length.unwrap_or(content.len() as u16).to_be_bytes();
            [&[kind, 3, 3, length[0], length[1]], &content[..]].concat()
        },
    )
}

/// Sends bytes, says that nothing more comes, and reads to the end.
async fn outcome(mut socket: TcpStream, bytes: &[u8]) {
    // The node may have closed already.
    let _ = soon("write", socket.write_all(bytes)).await;
    let _ = socket.shutdown().await;
    let _ = soon("the end", socket.read_to_end(&mut Vec::new())).await;
}

fn written(session: &mut ClientConnection) -> Vec<u8> {
    let mut records = Vec::new();
    while session.wants_write() {
        session.write_tls(&mut records).unwrap();
    }
    records
}

#[tokio::test]
async fn no_record_is_too_odd() {
    let scene = Scene::new(CertificateKind::Ecdsa);
    let node = scene.node(&["http.header_timeout=2s"]).await;
    let cases = Config::default().cases;
    let mut runner = TestRunner::deterministic();
    let (changes, odd) = (damage(), prop::collection::vec(record(), 0..4));
    let mut resident_half = 0.0;
    for case in 0..cases {
        if case == cases / 2 {
            resident_half = node.scrape().await.sum("process_resident_memory_bytes");
        }
        let version = if case % 2 == 0 { &TLS13 } else { &TLS12 };
        let changes = changes.new_tree(&mut runner).unwrap().current();
        let odd = odd.new_tree(&mut runner).unwrap().current().concat();
        let socket = TcpStream::connect(node.address()).await.unwrap();
        match case % 4 {
            // Records that no TLS library made.
            0 => outcome(socket, &odd).await,
            // The first flight of a client, damaged, and records behind it.
            1 | 2 => {
                let name = ServerName::try_from("127.0.0.1").unwrap();
                let mut session = ClientConnection::new(scene.client(&[version]), name).unwrap();
                let hello = written(&mut session);
                outcome(socket, &[damaged(hello, &changes), odd].concat()).await;
            }
            // A session that is open, and what it would send, damaged.
            _ => {
                drop(socket);
                let stream = connect(node.address(), scene.client(&[version])).await.unwrap();
                let client = SecureClient::over(stream, node.address()).await;
                let (tcp, mut session) = client.socket.into_inner().into_inner();
                let ping = frame(0x80 | Opcode::Ping as u8, b"odd");
                session.writer().write_all(&ping).unwrap();
                let records = written(&mut session);
                outcome(tcp, &[damaged(records, &changes), odd].concat()).await;
            }
        }
    }
    node.until("roomcast_connections", |count| count == 0.0).await;
    let scrape = node.scrape().await;
    assert_eq!(scrape.sum("roomcast_panics_total"), 0.0);
    let grown = scrape.sum("process_resident_memory_bytes") - resident_half;
    eprintln!("{cases} streams; grown by {grown} bytes in the second half");
    assert!(grown < MOST_GROWTH_BYTES, "{grown}");
    node.stop().await;
}
