//! The unloaded delay from a publish on one node to a delivery on another, beside the same on one
//! node alone and a bare PUBLISH to SUBSCRIBE over TCP on the same Redis, in blocks that take
//! turns. What the cluster adds to a node alone is what compares with the bare way: the hops
//! between clients and nodes are in both.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::{Cluster, Place, fresh_room};
use crate::crowd::{Seat, gather};
use crate::dialect::{Dialect, WireEncoding};
use crate::engine::{Engine, EngineBatch, LinkId, Wait, What};
use crate::print;
use crate::report::Report;
use crate::resp::{Redis, Reply, RespConnection};
use crate::server::Server;
use crate::stats::{digits, micros, percentile};
use crate::table::Table;

/// Messages on one way before the other has its turn.
const BLOCK: usize = 50;
/// How long one message may take.
const WITHIN: Duration = Duration::from_secs(10);
/// Bytes of a message's data, on both ways.
const PAYLOAD: usize = 128;

/// Runs the measurement: the first block of each way is warm-up.
pub(super) fn main(
    messages: usize,
    cluster: &Cluster,
    alone: Option<&Server>,
    place: &Place,
) -> Result<Report> {
    let redis = cluster.redis.as_ref().context("name the nodes' Redis with --redis-url")?;
    let [first, .., last] = &cluster.nodes[..] else { bail!("two nodes are needed") };
    let mut relay = Relay::open([first, last])?;
    let mut alone = alone.map(|node| Relay::open([node, node])).transpose()?;
    let mut bare = Bare::open(redis)?;
    let (mut through_nodes, mut through_redis) = (Vec::new(), Vec::new());
    let mut through_one = Vec::new();
    for block in 0..=messages.div_ceil(BLOCK) {
        let relayed = (0..BLOCK).map(|_| relay.once()).collect::<Result<Vec<_>>>()?;
        let published = (0..BLOCK).map(|_| bare.once()).collect::<Result<Vec<_>>>()?;
        let inside = match &mut alone {
            Some(alone) => (0..BLOCK).map(|_| alone.once()).collect::<Result<Vec<_>>>()?,
            None => Vec::new(),
        };
        if block > 0 {
            through_one.extend(inside);
            through_nodes.extend(relayed);
            through_redis.extend(published);
        }
    }
    let heading = format!(
        "cluster --latency: {} lone messages of {PAYLOAD} B on each way, in turns of {BLOCK}, \
         TCP; Redis and node 1 on core {}, the other nodes and the load on core {}; every process \
         sleeps until it is woken",
        through_nodes.len(),
        place.redis.as_deref().unwrap_or("any"),
        place.nodes.load.as_deref().unwrap_or("any")
    );
    let mut table = Table::new(["way", "p50 µs", "p99 µs", "p50 × bare", "p99 × bare"]);
    let bare = middle_and_tail(through_redis);
    let nodes = middle_and_tail(through_nodes);
    let mut rows = vec![("publish on node 1 → member of node 3", nodes)];
    if alone.is_some() {
        let one = middle_and_tail(through_one);
        rows.push(("publish → member of one node alone", one));
        rows.push(("what the cluster adds to one node", [nodes[0] - one[0], nodes[1] - one[1]]));
    }
    rows.push(("bare PUBLISH → SUBSCRIBE", bare));
    for (way, [p50, p99]) in &rows {
        let cells = [*p50, *p99, p50 / bare[0], p99 / bare[1]].map(digits);
        table.row(std::iter::once((*way).to_owned()).chain(cells));
    }
    print::out(format_args!("{heading}\n{table}"))?;
    let ways: Vec<_> = (rows.iter())
        .map(|(way, [p50, p99])| json!({ "way": way, "p50_micros": p50, "p99_micros": p99 }))
        .collect();
    Ok(json!({ "scenario": "cluster --latency", "setup": heading, "ways": ways }).into())
}

fn middle_and_tail(mut delays: Vec<Duration>) -> [f64; 2] {
    delays.sort_unstable();
    [0.5, 0.99].map(|share| micros(percentile(&delays, share)))
}

/// A publisher on one node, a member on another.
struct Relay {
    engine: Engine,
    batch: EngineBatch,
    publisher: LinkId,
    member: LinkId,
    frame: Vec<u8>,
}

impl Relay {
    fn open(nodes: [&Server; 2]) -> Result<Self> {
        let room = fresh_room();
        let [from, to] = nodes.map(|node| Dialect::of(node, WireEncoding::Json));
        let mut engine = Engine::new(&from.door)?;
        let frame = from.publish(room, from.encoding.payload("", PAYLOAD), None)?;
        let seats =
            [Seat { dialect: from, rooms: Vec::new() }, Seat { dialect: to, rooms: vec![room] }];
        let links = gather(&mut engine, &seats)?;
        Ok(Self {
            engine,
            batch: EngineBatch::default(),
            publisher: links[0],
            member: links[1],
            frame,
        })
    }

    fn once(&mut self) -> Result<Duration> {
        let began = Instant::now();
        self.engine.send(self.publisher, &self.frame)?;
        while began.elapsed() < WITHIN {
            self.engine.turn(Wait::Sleep(WITHIN), &mut self.batch)?;
            for arrival in &self.batch.arrivals {
                match &arrival.what {
                    What::Ended(why) => bail!("a client lost its link: {why}"),
                    What::Frame { .. } if arrival.link == self.member => {
                        return Ok(arrival.at - began);
                    }
                    What::Frame { payload, .. } => {
                        let text = self.batch.bytes[payload.clone()].escape_ascii();
                        bail!("the publish was answered: {text}");
                    }
                    _ => {}
                }
            }
        }
        bail!("a message did not arrive on the other node within 10 s")
    }
}

/// The same with nothing but Redis between.
struct Bare {
    publisher: RespConnection,
    subscriber: RespConnection,
    channel: String,
    data: Vec<u8>,
}

impl Bare {
    fn open(redis: &Redis) -> Result<Self> {
        let channel = format!("loadtest-{}", std::process::id());
        let mut subscriber = RespConnection::open(redis.addr)?;
        subscriber.call(&[b"SUBSCRIBE", channel.as_bytes()])?;
        let publisher = RespConnection::open(redis.addr)?;
        Ok(Self { publisher, subscriber, channel, data: vec![b'x'; PAYLOAD] })
    }

    fn once(&mut self) -> Result<Duration> {
        let mut command = Vec::new();
        let words: [&[u8]; 3] = [b"PUBLISH", self.channel.as_bytes(), &self.data];
        crate::resp::push_command(&words, &mut command);
        let began = Instant::now();
        self.publisher.write(&command)?;
        let push = self.subscriber.read()?;
        let took = began.elapsed();
        if !matches!(push, Reply::Array(_)) {
            bail!("a subscription brought {push:?}");
        }
        self.publisher.read()?;
        Ok(took)
    }
}
