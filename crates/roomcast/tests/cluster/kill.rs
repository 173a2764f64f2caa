//! P3, P4 and P5 for applications of the Rust client: the process of their node is killed under
//! load, and they go on at other nodes. Nothing is lost, stored twice or told twice.

use std::time::{Duration, Instant};

use crate::support::{Process, publish_of, room, soon, text};
use futures_util::future::join_all;
use roomcast_client::{Client, Event, JoinOptions, Options};
use roomcast_protocol::{Data, Encoding, NodeId, Position, Publish, PublishKey};
use roomcast_testkit::RedisServer;
use tokio::task::JoinHandle;
use tokio::time::sleep;

const NODES: usize = 3;
const READERS: usize = 8;
const WRITERS: usize = 4;
/// By each writer.
const MESSAGES: usize = 300;
/// Readers have got so many when the node is killed.
const BEFORE: u64 = 300;
/// Between two messages of one writer.
const PACE: Duration = Duration::from_millis(5);
const ROOM: &str = "kill:a";

/// A client whose first node is this one.
fn connect(urls: &[String], first: usize, encoding: Encoding) -> Client {
    let mut urls = urls.to_vec();
    urls.rotate_left(first);
    let mut options = Options { encoding, ..Options::new(urls) };
    options.backoff.max = Duration::from_secs(1);
    Client::connect(options).unwrap()
}

/// A reader and what it was told.
struct Reader {
    client: Client,
    at: Position,
    payloads: Vec<String>,
    nodes: Vec<NodeId>,
    /// When it was in the room again.
    resumes: Vec<Instant>,
}

impl Reader {
    /// Joins, and reads until it is in the room.
    async fn join(client: Client) -> Self {
        client.join(room(ROOM), JoinOptions::default()).await.unwrap();
        let mut nodes = Vec::new();
        loop {
            match soon("an event", client.next()).await.unwrap() {
                Event::Connected { node, .. } => nodes.push(node),
                Event::Joined { position, recovered: None, .. } => {
                    let (payloads, resumes) = (Vec::new(), Vec::new());
                    return Self { client, at: position, payloads, nodes, resumes };
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
                    let next = Position { seq: self.at.seq + 1, ..self.at };
                    assert_eq!((position, message.seq), (next, next.seq));
                    self.payloads.push(text(&message.data));
                    self.at = position;
                }
                Event::Joined { position, recovered, .. } => {
                    assert_eq!((position, recovered), (self.at, Some(true)));
                    self.resumes.push(Instant::now());
                }
                Event::Connected { node, .. } => self.nodes.push(node),
                Event::Disconnected { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

/// Publishes, each message with a key; the payloads with their positions, in order.
fn write(client: Client, writer: usize) -> JoinHandle<Vec<(Position, String)>> {
    tokio::spawn(async move {
        let mut pending = Vec::new();
        for number in 0..MESSAGES {
            let payload = format!("\"{writer}/{number}\"");
            let key = Some(PublishKey::parse(&format!("{writer}-{number}")).unwrap());
            let publish = publish_of(ROOM, Data::json(payload.clone()).unwrap());
            let ack = client.start_publish(Publish { key, ..publish }).await.unwrap();
            pending.push((ack, payload));
            sleep(PACE).await;
        }
        let mut acked = Vec::new();
        for (ack, payload) in pending {
            acked.push((soon("an ack", ack).await.unwrap().position, payload));
        }
        client.close().await;
        acked
    })
}

#[tokio::test]
async fn clients_of_a_killed_node_go_on_at_others() {
    let redis = RedisServer::start();
    let mut nodes: Vec<Process> =
        (0..NODES).map(|_| Process::serve(&["--redis-url", &redis.url()])).collect();
    let mut urls = Vec::new();
    for node in &nodes {
        node.ready(200).await;
        urls.push(format!("ws://{}/ws", node.address().await));
    }
    // Of each kind half begin at the node that will be killed, in both encodings.
    let begins = |number: usize| if number.is_multiple_of(2) { 0 } else { 1 + number / 2 % 2 };
    let client = |number: usize| connect(&urls, begins(number), Encoding::ALL[number / 2 % 2]);
    let mut readers = join_all((0..READERS).map(|number| Reader::join(client(number)))).await;
    let writers: Vec<_> = (0..WRITERS).map(|number| write(client(number), number)).collect();
    join_all(readers.iter_mut().map(|reader| reader.until(BEFORE))).await;

    let killed = nodes.remove(0);
    let id = killed.until("listening", 1).await["node"].as_str().unwrap().to_owned();
    killed.signal("-KILL");
    let begun = Instant::now();
    let total = (WRITERS * MESSAGES) as u64;
    join_all(readers.iter_mut().map(|reader| reader.until(total))).await;
    let last = readers.iter().flat_map(|reader| &reader.resumes).max().unwrap();
    println!(">> the last was in the room again after {:?}", last.duration_since(begun));

    let mut acked = Vec::new();
    for writer in writers {
        let own = writer.await.unwrap();
        assert!(own.is_sorted_by_key(|(position, _)| position.seq), "in the order they were made");
        acked.extend(own);
    }
    acked.sort_by_key(|(position, _)| position.seq);
    let seqs: Vec<u64> = acked.iter().map(|(position, _)| position.seq).collect();
    assert_eq!(seqs, (1..=total).collect::<Vec<_>>(), "each was stored once");
    let payloads: Vec<String> = acked.into_iter().map(|(_, payload)| payload).collect();
    for (number, reader) in readers.iter().enumerate() {
        assert!(reader.payloads == payloads, "reader {number} was told something else");
        assert_eq!(reader.resumes.len(), usize::from(begins(number) == 0), "reader {number}");
        assert_eq!(reader.nodes[0].as_str() == id, begins(number) == 0);
        assert!(reader.nodes[1..].iter().all(|node| node.as_str() != id));
    }
    for reader in readers {
        reader.client.close().await;
    }
    for node in nodes {
        node.stop().await;
    }
}
