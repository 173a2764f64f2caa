//! P6: what peers may make a node hold before they have sent it, or while they do not take what
//! was begun, is bounded; and a connection that floods does not keep others of its worker waiting.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use crate::support::{
    self, Process, RawClient, TestClient, TestNode, eventually, frame, get, soon,
};
use futures_util::future::join_all;
use roomcast_protocol::Encoding;

/// KiB that a process holds.
fn resident(process: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// 300 headers that claim 1 MiB cost what came of their frames. What is then really sent is held,
/// within the bound, and given back when the connections end.
#[tokio::test]
async fn a_claim_costs_nothing_and_what_was_held_is_given_back() {
    let process = Process::serve(&["--set=node.workers=1", "--set=limits.inbound_bytes=64MiB"]);
    let address = process.address().await;
    let mut clients: Vec<RawClient> = Vec::new();
    for _ in 0..300 {
        clients.push(RawClient::upgraded(address, "").await);
    }
    let before = resident(&process);
    let claim = [&[0x81, 0xff][..], &(1u64 << 20).to_be_bytes(), &[0; 4], b"{"].concat();
    for client in &mut clients {
        client.write(&claim).await;
    }
    let read = async |least: f64| {
        let all = async || {
            let metrics = get(address, "/metrics").await.body;
            support::Scrape::parse(&metrics).sum("roomcast_bytes_in_total") >= least
        };
        eventually("everything is read", all).await;
    };
    read(300.0 * 15.0).await;
    let grown = resident(&process).saturating_sub(before);
    assert!(grown < 8 * 1024, "{grown} KiB for 15 bytes each");

    let most = vec![b' '; 1_000_000];
    for client in &mut clients[..40] {
        client.write(&most).await;
    }
    read(40e6).await;
    let held = resident(&process).saturating_sub(before);
    // Half as much again is reserved while a frame comes, and the allocator keeps what was outgrown.
    assert!((38_000..120_000).contains(&held), "{held} KiB for 40 MB");
    drop(clients);
    eventually("it is given back", async || {
        // The allocator gives back when it is used.
        let _metrics = get(address, "/metrics").await;
        resident(&process).saturating_sub(before) < 16 * 1024
    })
    .await;
    process.stop().await;
}

/// Heads that are begun and do not end: above the bound the first of them go, and whoever speaks at
/// once gets in.
#[tokio::test]
async fn half_sent_heads_are_bounded_together() {
    // 1 MiB for 28 KiB each.
    const MOST: usize = 37;
    const ALL: usize = MOST + 30;
    let settings = ["node.workers=1", "limits.handshake_bytes=1MiB", "http.header_timeout=300s"];
    let node = TestNode::start(&settings).await;
    let mut slow = Vec::new();
    for _ in 0..ALL {
        let mut client = RawClient::connect(node.address()).await;
        client.write(b"GET /ws HTTP/1.1\r\nHost: node\r\nX-Slow: ").await;
        slow.push(client);
    }
    for client in &mut slow[..ALL - MOST] {
        assert!(client.ends_unanswered().await);
    }
    let refused = "roomcast_connections_refused_total";
    let scrape = node.scrape().await;
    assert!(scrape.with(refused, "reason=\"limit\"") >= (ALL - MOST) as f64);
    // Each that comes takes the place of the oldest; the rest may go on.
    let mut client = node.json().await;
    client.publish("room", "1").await;
    let last = slow.last_mut().unwrap();
    last.write(b"x\r\nConnection: close\r\n\r\n").await;
    assert_eq!(last.response().await.status, 426);
    drop((slow, client));
    node.stop().await;
}

/// Members that stall in the middle of a large frame hold it together up to the bound; above it
/// they are cut off. Who has room again is served as ever.
#[tokio::test]
async fn large_frames_begun_are_bounded_together() {
    let settings = [
        "node.workers=1",
        "limits.send_buffer=4KiB",
        "limits.stalled_bytes=1MiB",
        "limits.lag_bytes=16MiB",
        "namespaces.default.message_bytes=512KiB",
    ];
    let node = TestNode::start(&settings).await;
    let mut author = node.json().await;
    let stalled = join_all((0..12).map(async |n| {
        let mut client = TestClient::narrow(node.address(), Encoding::ALL[n % 2]).await;
        client.join("large").await;
        client
    }))
    .await;
    let large = format!("\"{}\"", "x".repeat(400_000));
    author.publish("large", &large).await;
    let cut = async |count: f64| {
        let closed = "roomcast_connections_closed_total";
        eventually("some are cut off", async || {
            node.scrape().await.with(closed, "reason=\"try_again\"") >= count
        })
        .await;
    };
    // Two or three of 400 kB fit.
    cut(9.0).await;
    let scrape = node.scrape().await;
    assert!(scrape.sum("roomcast_connections") >= 3.0, "those within the bound stay");
    // With room again, others may stall.
    drop(stalled);
    node.until("roomcast_connections", |count| count == 1.0).await;
    let mut late = TestClient::narrow(node.address(), Encoding::Json).await;
    late.join("large").await;
    author.publish("large", &large).await;
    assert_eq!(author.ping().await, []);
    assert_eq!(late.message("large").await.seq, 2);
    drop((author, late));
    node.stop().await;
}

/// Sends pings as fast as they are taken until the node ends it, and reads what comes back.
fn flood(address: std::net::SocketAddr) -> std::net::TcpStream {
    let mut socket = std::net::TcpStream::connect(address).unwrap();
    socket.write_all(format!("{}\r\n", support::UPGRADE).as_bytes()).unwrap();
    let (mut reading, mut writing) = (socket.try_clone().unwrap(), socket.try_clone().unwrap());
    std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 20];
        while reading.read(&mut buffer).is_ok_and(|count| count > 0) {}
    });
    std::thread::spawn(move || {
        let pings = frame(0x81, br#"{"type":"ping"}"#).repeat(3000);
        while writing.write_all(&pings).is_ok() {}
    });
    socket
}

/// The delay that matters is held by measurement (docs/security.md); here, in a build without
/// optimization beside other tests, a wide margin of it.
#[tokio::test]
async fn a_flood_delays_others_of_its_worker_little() {
    let node = TestNode::start(&["node.workers=1"]).await;
    let mut others = [node.json().await, node.msgpack().await];
    let flood = flood(node.address());
    let handled = async || node.scrape().await.with("roomcast_frames_in_total", "type=\"ping\"");
    eventually("the flood", async || handled().await > 3000.0).await;
    let mut delays = Vec::new();
    for _ in 0..60 {
        for other in &mut others {
            let begun = Instant::now();
            soon("a pong", other.ping()).await;
            delays.push(begun.elapsed());
        }
    }
    delays.sort_unstable();
    let median = delays[delays.len() / 2];
    assert!(median < Duration::from_millis(100), "half of all pings took {median:?} or longer");
    assert!(handled().await > 6000.0, "it still floods");
    flood.shutdown(std::net::Shutdown::Both).unwrap();
    drop(others);
    node.stop().await;
}
