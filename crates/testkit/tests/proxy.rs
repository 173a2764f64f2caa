//! What a client and a server behind the proxy see of each fault.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use roomcast_testkit::{Direction, Proxy, ProxyFault, RedisServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// Long enough for bytes to come if they come at all.
const SHORT: Duration = Duration::from_millis(150);
/// What takes longer never ends.
const LONG: Duration = Duration::from_secs(20);

/// A proxy, and where its connections arrive.
struct Scene {
    proxy: Proxy,
    server: TcpListener,
}

impl Scene {
    async fn start() -> Self {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy::start_to(server.local_addr().unwrap()).await.unwrap();
        Self { proxy, server }
    }

    /// The client's and the server's end of a connection that works.
    async fn connect(&self) -> (TcpStream, TcpStream) {
        let client = TcpStream::connect(self.proxy.address()).await.unwrap();
        let (server, _) = timeout(LONG, self.server.accept()).await.unwrap().unwrap();
        client.set_nodelay(true).unwrap();
        server.set_nodelay(true).unwrap();
        (client, server)
    }
}

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|n| (n * 31 % 251) as u8).collect()
}

/// The next bytes of a stream, so many, together with how many reads they took.
async fn read(stream: &mut TcpStream, count: usize) -> (Vec<u8>, usize) {
    let (mut all, mut reads) = (vec![0; count], 0);
    let mut filled = 0;
    while filled < count {
        let read = timeout(LONG, stream.read(&mut all[filled..])).await.unwrap().unwrap();
        assert!(read > 0, "the stream ended after {filled} bytes");
        filled += read;
        reads += 1;
    }
    (all, reads)
}

/// Sends the bytes and checks what arrives; returns how many reads and how long that took.
async fn carry(from: &mut TcpStream, to: &mut TcpStream, sent: &[u8]) -> (usize, Duration) {
    let begun = Instant::now();
    let (written, (arrived, reads)) = tokio::join!(from.write_all(sent), read(to, sent.len()));
    written.unwrap();
    assert!(arrived == sent, "the bytes are others");
    (reads, begun.elapsed())
}

async fn assert_silent(stream: &mut TcpStream) {
    let mut byte = [0];
    assert!(timeout(SHORT, stream.read(&mut byte)).await.is_err(), "nothing is to come");
}

/// Whether the stream ended in order; an error otherwise.
async fn end(stream: &mut TcpStream) -> Result<(), ErrorKind> {
    let mut byte = [0];
    let read = timeout(LONG, stream.read(&mut byte)).await.unwrap();
    read.map(|count| assert_eq!(count, 0, "the stream goes on")).map_err(|error| error.kind())
}

#[tokio::test]
async fn it_passes_everything_both_ways_and_each_end_of_a_stream() {
    let scene = Scene::start().await;
    let (mut client, mut server) = scene.connect().await;
    carry(&mut client, &mut server, &bytes(5_000_000)).await;
    client.shutdown().await.unwrap();
    assert_eq!(end(&mut server).await, Ok(()));
    carry(&mut server, &mut client, &bytes(5_000_000)).await;
    drop(server);
    assert_eq!(end(&mut client).await, Ok(()));
}

#[tokio::test]
async fn latency_delays_and_nothing_else() {
    let scene = Scene::start().await;
    let (mut client, mut server) = scene.connect().await;
    let (least, jitter) = (Duration::from_millis(300), Duration::from_millis(100));
    scene.proxy.set_toward(Direction::ToServer, ProxyFault::Latency { least, jitter });
    // The whole is delayed once, not each of its pieces.
    let (_, took) = carry(&mut client, &mut server, &bytes(3_000_000)).await;
    assert!(took >= least && took < Duration::from_secs(8), "{took:?}");
    let (_, took) = carry(&mut server, &mut client, b"answer").await;
    assert!(took < least, "{took:?}: the other direction has none");
}

#[tokio::test]
async fn a_throttle_limits_and_nothing_else() {
    let scene = Scene::start().await;
    let (mut client, mut server) = scene.connect().await;
    scene.proxy.set(ProxyFault::Throttle { bytes_per_second: 200_000 });
    let (_, took) = carry(&mut client, &mut server, &bytes(100_000)).await;
    assert!(took >= Duration::from_millis(480) && took < Duration::from_secs(10), "{took:?}");
}

#[tokio::test]
async fn slices_are_single_bytes() {
    let scene = Scene::start().await;
    let (mut client, mut server) = scene.connect().await;
    scene.proxy.set(ProxyFault::Slices);
    let (reads, _) = carry(&mut client, &mut server, &bytes(500)).await;
    assert!(reads > 20, "{reads} reads");
    carry(&mut server, &mut client, &bytes(20_000)).await;
}

#[tokio::test]
async fn faults_that_change_in_a_stream_leave_it_whole() {
    let scene = Scene::start().await;
    let (mut client, mut server) = scene.connect().await;
    let ms = Duration::from_millis(1);
    let faults = [
        ProxyFault::Latency { least: 20 * ms, jitter: 20 * ms },
        ProxyFault::Slices,
        ProxyFault::Hold,
        ProxyFault::Throttle { bytes_per_second: 50_000 },
        ProxyFault::Pass,
    ];
    let turns = async {
        for fault in faults.iter().cycle().take(50) {
            scene.proxy.set(*fault);
            tokio::time::sleep(7 * ms).await;
        }
        scene.proxy.pass();
    };
    let sent = bytes(20_000_000);
    tokio::join!(turns, carry(&mut client, &mut server, &sent));
}

#[tokio::test]
async fn a_black_hole_swallows_and_cuts_when_it_ends() {
    let scene = Scene::start().await;
    let (mut client, mut server) = scene.connect().await;
    let (mut idle_client, mut idle_server) = scene.connect().await;
    scene.proxy.set(ProxyFault::BlackHole);
    let (mut late_client, mut late_server) = scene.connect().await;
    // More than all buffers together hold.
    timeout(LONG, client.write_all(&bytes(30_000_000))).await.unwrap().unwrap();
    late_client.shutdown().await.unwrap();
    assert_silent(&mut server).await;
    assert_silent(&mut late_server).await;
    assert_silent(&mut client).await;
    scene.proxy.pass();
    for stream in [&mut client, &mut server, &mut late_client, &mut late_server] {
        let _cut = end(stream).await;
    }
    carry(&mut idle_client, &mut idle_server, b"it lost nothing").await;
}

#[tokio::test]
async fn answers_alone_can_be_swallowed() {
    let scene = Scene::start().await;
    let (mut client, mut server) = scene.connect().await;
    scene.proxy.swallow_answers();
    carry(&mut client, &mut server, b"request").await;
    server.write_all(b"answer").await.unwrap();
    assert_silent(&mut client).await;
    scene.proxy.pass();
    let _cut = end(&mut client).await;
}

#[tokio::test]
async fn a_held_stream_fills_its_senders_buffers_and_arrives_later() {
    let scene = Scene::start().await;
    let (mut client, mut server) = scene.connect().await;
    scene.proxy.set(ProxyFault::Hold);
    let sent = bytes(30_000_000);
    let mut written = 0;
    while let Ok(count) = timeout(SHORT, client.write(&sent[written..])).await {
        written += count.unwrap();
    }
    assert!(written < sent.len(), "the buffers take everything");
    assert_silent(&mut server).await;
    scene.proxy.pass();
    let rest = client.write_all(&sent[written..]);
    let (rest, (arrived, _)) = tokio::join!(rest, read(&mut server, sent.len()));
    rest.unwrap();
    assert!(arrived == sent, "the bytes are others");
}

#[tokio::test]
async fn a_reset_is_one_on_both_sides() {
    let scene = Scene::start().await;
    let (mut client, mut server) = scene.connect().await;
    carry(&mut client, &mut server, b"hello").await;
    scene.proxy.reset();
    assert_eq!(end(&mut client).await, Err(ErrorKind::ConnectionReset));
    assert_eq!(end(&mut server).await, Err(ErrorKind::ConnectionReset));
    let (mut client, mut server) = scene.connect().await;
    carry(&mut client, &mut server, b"only those of the moment").await;
}

#[tokio::test]
async fn a_reset_by_one_side_reaches_the_other() {
    let scene = Scene::start().await;
    let (mut client, mut server) = scene.connect().await;
    carry(&mut client, &mut server, b"hello").await;
    client.set_zero_linger().unwrap();
    drop(client);
    assert_eq!(end(&mut server).await, Err(ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn a_half_closed_connection_goes_on_the_other_way() {
    let scene = Scene::start().await;
    let (mut client, mut server) = scene.connect().await;
    carry(&mut client, &mut server, b"hello").await;
    scene.proxy.half_close(Direction::ToServer);
    assert_eq!(end(&mut server).await, Ok(()));
    client.write_all(b"nobody hears this").await.unwrap();
    carry(&mut server, &mut client, &bytes(100_000)).await;
    drop(server);
    assert_eq!(end(&mut client).await, Ok(()));
}

#[tokio::test]
async fn refused_are_new_connections_only() {
    let scene = Scene::start().await;
    let (mut client, mut server) = scene.connect().await;
    carry(&mut client, &mut server, b"hello").await;
    scene.proxy.refuse();
    let mut refused = TcpStream::connect(scene.proxy.address()).await.unwrap();
    assert_eq!(end(&mut refused).await, Err(ErrorKind::ConnectionReset));
    carry(&mut client, &mut server, b"the old one goes on").await;
    scene.proxy.pass();
    let (mut client, mut server) = scene.connect().await;
    carry(&mut client, &mut server, b"hello").await;
}

#[tokio::test]
async fn cut_and_dropped_it_closes_what_is_open() {
    let scene = Scene::start().await;
    let (mut client, mut server) = scene.connect().await;
    carry(&mut client, &mut server, b"hello").await;
    scene.proxy.cut();
    assert_eq!((end(&mut client).await, end(&mut server).await), (Ok(()), Ok(())));
    let (mut client, mut server) = scene.connect().await;
    carry(&mut client, &mut server, b"hello").await;
    drop(scene.proxy);
    assert_eq!((end(&mut client).await, end(&mut server).await), (Ok(()), Ok(())));
}

#[tokio::test]
async fn redis_works_through_slices() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port()).await;
    proxy.set(ProxyFault::Slices);
    let client = redis::Client::open(proxy.redis_url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let echo: String = redis::cmd("ECHO").arg("hello").query_async(&mut connection).await.unwrap();
    assert_eq!(echo, "hello");
}

#[tokio::test]
async fn a_fault_begins_even_while_the_receiver_does_not_read() {
    let scene = Scene::start().await;
    let (mut client, mut server) = scene.connect().await;
    let sent = bytes(30_000_000);
    assert!(timeout(SHORT, client.write_all(&sent)).await.is_err(), "the buffers take everything");
    scene.proxy.set(ProxyFault::BlackHole);
    timeout(LONG, client.write_all(&sent)).await.unwrap().unwrap();
    scene.proxy.pass();
    let mut rest = Vec::new();
    let _cut = timeout(LONG, server.read_to_end(&mut rest)).await.unwrap();
    assert!(sent.starts_with(&rest), "nothing comes after the hole");
}
