//! P9: a node that is told to end says so, takes nobody any more, and has its clients move evenly;
//! nothing is lost, stored twice or told twice. Its process ends well, and in time.

use std::process::Command;
use std::time::Duration;

use crate::support::{Process, TestClient, eventually, get, publish_of, room, soon, text};
use futures_util::future::join_all;
use roomcast_client::{Client, Event, JoinOptions, Options};
use roomcast_protocol::{CloseCode, Data, Encoding, Position, Publish, PublishKey, ServerFrame};
use roomcast_testkit::RedisServer;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

/// A drain of 1 s pause, 3.5 s in which clients move, half a second of patience and one to end.
const DRAIN: [&str; 2] = ["--set=drain.total=6s", "--set=drain.pause=1s"];
const TOTAL: Duration = Duration::from_secs(6);
const WINDOW: Duration = Duration::from_millis(3_500);
const READERS: usize = 12;
/// Clients that do not know `reconnect`.
const PLAIN: usize = 60;
const ROOM: &str = "drain:a";

async fn serve(redis: &RedisServer) -> Process {
    let url = redis.url();
    let node = Process::serve(&[&["--redis-url", &url], &DRAIN[..]].concat());
    node.ready(200).await;
    node
}

/// A client of the Rust client's that checks what it is told.
struct Reader {
    client: Client,
    at: Position,
    payloads: Vec<String>,
    moves: usize,
}

impl Reader {
    async fn join(urls: &[String], encoding: Encoding) -> Self {
        let client = Client::connect(Options { encoding, ..Options::new(urls.to_vec()) }).unwrap();
        client.join(room(ROOM), JoinOptions::default()).await.unwrap();
        loop {
            match soon("an event", client.next()).await.unwrap() {
                Event::Connected { .. } => {}
                Event::Joined { position, recovered: None, .. } => {
                    return Self { client, at: position, payloads: Vec::new(), moves: 0 };
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// Reads to a seq: every message is the next one, and every resume finds its place.
    async fn until(&mut self, last: u64) {
        while self.at.seq < last {
            match soon("an event", self.client.next()).await.unwrap() {
                Event::Message { position, message, .. } => {
                    assert_eq!(position, Position { seq: self.at.seq + 1, ..self.at });
                    self.payloads.push(text(&message.data));
                    self.at = position;
                }
                Event::Joined { position, recovered, .. } => {
                    assert_eq!((position, recovered), (self.at, Some(true)));
                    self.moves += 1;
                }
                Event::Disconnected { reason, .. } => {
                    assert_eq!(&*reason, "the node asked to move");
                }
                Event::Connected { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

/// Publishes with keys until it is told to stop; the payloads that were acked, with their seqs.
fn write(
    client: Client,
    stop: tokio::sync::watch::Receiver<bool>,
) -> JoinHandle<Vec<(u64, String)>> {
    tokio::spawn(async move {
        let mut pending = Vec::new();
        for number in 0.. {
            let payload = format!("\"{number}\"");
            let key = Some(PublishKey::parse(&format!("k{number}")).unwrap());
            let publish = publish_of(ROOM, Data::json(payload.clone()).unwrap());
            let ack = client.start_publish(Publish { key, ..publish }).await.unwrap();
            pending.push((ack, payload));
            if *stop.borrow() {
                break;
            }
            sleep(Duration::from_millis(5)).await;
        }
        let mut acked = Vec::new();
        for (ack, payload) in pending {
            acked.push((soon("an ack", ack).await.unwrap().position.seq, payload));
        }
        client.close().await;
        acked
    })
}

/// What a client that does not know `reconnect` was told: its moment, and how long after the
/// signal it was closed.
async fn stay(mut client: TestClient, begun: Instant) -> (Duration, Duration) {
    let moment = loop {
        if let ServerFrame::Reconnect { after_ms, reason } = client.frame().await {
            assert_eq!(&*reason, "drain");
            break Duration::from_millis(after_ms);
        }
    };
    assert_eq!(client.closed().await, CloseCode::Restart.code());
    (moment, begun.elapsed())
}

#[tokio::test]
async fn a_drained_node_empties_evenly_and_nobody_loses_anything() {
    let redis = RedisServer::start();
    let (leaving, staying) = (serve(&redis).await, serve(&redis).await);
    let (address, other) = (leaving.address().await, staying.address().await);
    let urls = [address, other].map(|address| format!("ws://{address}/ws"));
    let encoding = |number: usize| Encoding::ALL[number % 2];
    let mut readers =
        join_all((0..READERS).map(|number| Reader::join(&urls, encoding(number)))).await;
    let mut plain = Vec::new();
    for number in 0..PLAIN {
        let mut client = TestClient::connect(address, encoding(number), "").await;
        client.join(ROOM).await;
        plain.push(client);
    }
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let writer = Client::connect(Options::new(urls.to_vec())).unwrap();
    let writer = write(writer, stopped);
    join_all(readers.iter_mut().map(|reader| reader.until(50))).await;

    leaving.signal("-TERM");
    let begun = Instant::now();
    let plain: Vec<_> = plain.into_iter().map(|client| tokio::spawn(stay(client, begun))).collect();
    // It says so at once, and still takes who comes.
    leaving.until("draining: not ready, still taking connections", 1).await;
    let ready = get(address, "/health/ready").await;
    assert_eq!(ready.status, 503);
    assert!(ready.body.contains("draining"), "{}", ready.body);
    TestClient::connect(address, Encoding::Json, "").await.join(ROOM).await;
    // Then it takes nobody, while its clients move.
    leaving.until("draining: telling every client when to move", 1).await;
    assert!(begun.elapsed() >= Duration::from_secs(1));
    eventually("no new connection", async || TcpStream::connect(address).await.is_err()).await;
    let told: Vec<_> = join_all(plain).await.into_iter().map(Result::unwrap).collect();
    let log = leaving.end().await;
    assert!(begun.elapsed() < TOTAL, "it took {:?}", begun.elapsed());
    assert!(log.iter().any(|line| line["message"] == "stopped"));

    // A fifth of the window has a fifth of the clients, and each was closed after its moment.
    let mut fifths = [0; 5];
    for (moment, closed) in &told {
        assert!(*moment < WINDOW, "{moment:?}");
        fifths[(moment.as_millis() * 5 / WINDOW.as_millis()) as usize] += 1;
        assert!(*closed >= Duration::from_secs(1) + *moment, "closed before its moment");
    }
    assert!(fifths.iter().all(|count| (5..=20).contains(count)), "{fifths:?}");

    stop.send_replace(true);
    let mut acked = writer.await.unwrap();
    acked.sort_unstable_by_key(|(seq, _)| *seq);
    let total = acked.len() as u64;
    let seqs: Vec<u64> = acked.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(seqs, (1..=total).collect::<Vec<_>>(), "each was stored once");
    join_all(readers.iter_mut().map(|reader| reader.until(total))).await;
    let payloads: Vec<String> = acked.into_iter().map(|(_, payload)| payload).collect();
    for reader in readers {
        assert_eq!((reader.payloads == payloads, reader.moves), (true, 1));
        reader.client.close().await;
    }
    staying.signal("-TERM");
    staying.signal("-TERM");
    staying.end().await;
}

/// Clients are told to come back, but not when, and nobody waits.
#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let redis = RedisServer::start();
    let node = serve(&redis).await;
    let mut client = TestClient::connect(node.address().await, Encoding::Json, "").await;
    client.join(ROOM).await;
    node.signal("-INT");
    node.until("draining: not ready, still taking connections", 1).await;
    let begun = Instant::now();
    node.signal("-INT");
    assert_eq!(client.closed().await, CloseCode::Restart.code());
    drop(client);
    node.end().await;
    assert!(begun.elapsed() < Duration::from_secs(3), "it took {:?}", begun.elapsed());
}

/// A publish that Redis answers late has its ack before the close.
#[tokio::test]
async fn what_is_in_flight_is_answered_first() {
    let redis = RedisServer::start();
    let node = serve(&redis).await;
    // Two clients on each of two workers: each worker's clients have equal shares of the window, so one
    // moves in its first half. A later moment may be so late that the node ends before the answer.
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = TestClient::connect(node.address().await, Encoding::Json, "").await;
        client.join(ROOM).await;
        clients.push(client);
    }
    node.signal("-TERM");
    let mut moves = Vec::new();
    for mut client in clients {
        let after = loop {
            if let ServerFrame::Reconnect { after_ms, .. } = client.frame().await {
                break Duration::from_millis(after_ms);
            }
        };
        moves.push((after, client));
    }
    moves.sort_by_key(|(after, _)| *after);
    let (after, mut client) = moves.remove(0);
    assert!(after <= WINDOW / 2, "{after:?}");
    let moment = Instant::now() + after;
    // Redis stands still over its moment, and over the patience after that.
    sleep(after.saturating_sub(Duration::from_secs(1))).await;
    redis.pause();
    let publish = client.publication(ROOM, "1");
    let id = publish.id;
    client.send(&roomcast_protocol::ClientFrame::Publish(publish)).await;
    sleep_until(moment + Duration::from_millis(900)).await;
    redis.resume();
    let ack = loop {
        match client.frame().await {
            ServerFrame::Ack { id, .. } => break id,
            ServerFrame::Message { .. } => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(Some(ack), id);
    assert_eq!(client.closed().await, CloseCode::Restart.code());
    drop((client, moves));
    node.end().await;
}

/// Runs the program with these arguments; whether it ended well, and what it said.
async fn roomcast(arguments: Vec<String>) -> (bool, String) {
    let run =
        move || Command::new(env!("CARGO_BIN_EXE_roomcast")).args(arguments).output().unwrap();
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

#[tokio::test]
async fn the_program_drains_and_asks_for_health() {
    let redis = RedisServer::start();
    let node = serve(&redis).await;
    let address = node.address().await;
    let health = |more: &[&str]| {
        let first = ["health".to_owned(), format!("--listen={address}")];
        roomcast(first.into_iter().chain(more.iter().map(|&word| word.to_owned())).collect())
    };
    let (is_ready, said) = health(&[]).await;
    assert!(is_ready && said.contains("ready"), "{said}");

    let drain = roomcast(vec!["drain".into(), format!("--pid={}", node.id())]);
    let drain = tokio::spawn(drain);
    node.until("draining: not ready, still taking connections", 1).await;
    let (is_ready, said) = health(&[]).await;
    assert!(!is_ready && said.contains("draining"), "{said}");
    assert!(health(&["--live"]).await.0);
    node.end().await;
    let (ended, said) = drain.await.unwrap();
    assert!(ended && said.contains("drains") && said.contains("it ended after"), "{said}");
    let (is_ready, said) = health(&[]).await;
    assert!(!is_ready && said.contains("asking"), "{said}");
}

#[tokio::test]
async fn a_crowd_is_let_in_at_the_rate() {
    const RATE: u32 = 20;
    const CROWD: u32 = 40;
    for workers in ["--set=node.workers=1", "--set=node.workers=2"] {
        let node = Process::serve(&[&format!("--set=limits.accept_rate={RATE}"), workers]);
        let address = node.address().await;
        let begun = Instant::now();
        join_all((0..CROWD).map(|_| TestClient::connect(address, Encoding::Json, ""))).await;
        // What came in before the first was waited for: a tenth of a second's worth, and one.
        let least = Duration::from_secs(1) * (CROWD - RATE / 10 - 1) / RATE;
        assert!(begun.elapsed() > least, "{:?}", begun.elapsed());
        node.stop().await;
    }
}
