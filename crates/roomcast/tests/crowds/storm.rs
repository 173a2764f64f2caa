//! P5, and what it costs: 5,000 members of 50 rooms lose their node at once and come back to two
//! others, while publishing goes on. Nobody misses or repeats anything, and Redis is read once for
//! each room on a node that did not have it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::support::{
    Call, Cluster, Opcode, RawClient, TestClient, foreign, note_calls, noted_calls, plain,
};
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream;
use roomcast_protocol::{ClientFrame, Encoding, JoinRoom, Position, ServerFrame, Since};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

const ROOMS: usize = 50;
/// Each takes two descriptors of this process, at most three while it moves.
const MEMBERS: usize = 5000;
/// When they lost their node, members stood spread over so many messages.
const SPREAD: u64 = 40;
/// Between two publishes: each room gets a few in a second, each of them for 100 members.
const PACE: Duration = Duration::from_millis(8);
/// Members that connect at the same time before the storm.
const ARRIVING: usize = 200;

fn name(room: usize) -> String {
    format!("storm:{room}")
}

/// Whether the first of the other nodes has the room already.
fn is_known(room: usize) -> bool {
    room.is_multiple_of(2)
}

/// A membership over a raw connection, which costs the test little.
struct Light {
    raw: RawClient,
    encoding: Encoding,
    room: usize,
    at: Position,
}

impl Light {
    async fn join(address: SocketAddr, number: usize, since: Option<Position>) -> Self {
        let (encoding, room) = (Encoding::ALL[number / ROOMS % 2], number % ROOMS);
        let headers = format!("Sec-WebSocket-Protocol: {}\r\n", encoding.subprotocol());
        let mut raw = RawClient::upgraded(address, &headers).await;
        let rooms = vec![JoinRoom { since: since.map(Since::Position), ..plain(&name(room)) }];
        let mut join = Vec::new();
        ClientFrame::Join { id: Some(1), rooms }.encode(encoding, &mut join);
        let opcode = match encoding {
            Encoding::Json => Opcode::Text,
            Encoding::MsgPack => Opcode::Binary,
        };
        raw.send(0x80 | opcode as u8, &join).await;
        let mut light = Self { raw, encoding, room, at: since.unwrap_or(foreign(0)) };
        loop {
            match light.frame().await {
                ServerFrame::Connected { .. } => {}
                ServerFrame::Joined { epoch, seq, recovered, .. } => {
                    let at = Position { epoch, seq };
                    assert!(since.is_none_or(|since| (since, Some(true)) == (at, recovered)));
                    light.at = at;
                    return light;
                }
                other => panic!("{other:?}"),
            }
        }
    }

    async fn frame(&mut self) -> ServerFrame {
        loop {
            let frame = self.raw.frame().await.expect("the connection lasts");
            assert_eq!(frame.close_code(), None);
            if !frame.is(Opcode::Ping) {
                return ServerFrame::decode(self.encoding, &frame.payload).unwrap();
            }
        }
    }

    /// Reads to a seq; every message must be the next one.
    async fn until(&mut self, last: u64) {
        while self.at.seq < last {
            match self.frame().await {
                ServerFrame::Message { message, .. } if message.seq == self.at.seq + 1 => {
                    self.at.seq = message.seq;
                }
                other => panic!("at {:?}: {other:?}", self.at),
            }
        }
    }
}

/// Publishes in all rooms in turn until it is told to end; the last seq of each room.
fn publish_on(mut client: TestClient, mut end: watch::Receiver<bool>) -> JoinHandle<Vec<u64>> {
    tokio::spawn(async move {
        let mut last = vec![0; ROOMS];
        while !*end.borrow_and_update() {
            for (room, last) in last.iter_mut().enumerate() {
                *last = client.publish(&name(room), "\"still going on\"").await.seq;
                sleep(PACE).await;
            }
        }
        last
    })
}

#[tokio::test]
async fn five_thousand_members_move_to_other_nodes_at_the_price_of_a_read_a_room() {
    let mut cluster = Cluster::start(3, &[]).await;
    let [lost, first, second] = [0, 1, 2].map(|node| cluster.nodes[node].address());
    // They connect a few at a time and read to where they will stand.
    let joins = (0..MEMBERS).map(|number| Light::join(lost, number, None));
    let mut members: Vec<Light> = stream::iter(joins).buffered(ARRIVING).collect().await;
    let stays =
        (0..ROOMS).filter(|&room| is_known(room)).map(|room| Light::join(first, room, None));
    let mut stayers = join_all(stays).await;
    let mut publisher = cluster.client(1, Encoding::Json).await;
    for _ in 0..SPREAD {
        for room in 0..ROOMS {
            publisher.publish(&name(room), "\"before the storm\"").await;
        }
    }
    let stands = |number: usize| 1 + (number / ROOMS) as u64 % SPREAD;
    join_all(members.iter_mut().enumerate().map(|(n, member)| member.until(stands(n)))).await;
    let positions: Vec<Position> = members.iter().map(|member| member.at).collect();

    note_calls(&cluster.redis);
    let (end, ended) = watch::channel(false);
    let publishing = publish_on(publisher, ended);
    let begun = Instant::now();
    let node = cluster.nodes.remove(0);
    // What stands in their sockets is lost with them.
    drop(members);
    let stopping = tokio::spawn(node.stop());
    let returns = positions.iter().enumerate().map(|(number, &since)| {
        let address = if number / ROOMS % 4 < 2 { first } else { second };
        Light::join(address, number, Some(since))
    });
    let mut members = join_all(returns).await;
    let joined = begun.elapsed();
    join_all(members.iter_mut().map(|member| member.until(SPREAD))).await;
    let whole = begun.elapsed();
    stopping.await.unwrap();
    end.send_replace(true);
    let last = publishing.await.unwrap();
    join_all(members.iter_mut().chain(&mut stayers).map(|one| one.until(last[one.room]))).await;
    println!("{MEMBERS} members: joined after {joined:?}, all read after {whole:?}");

    // Each node that did not have a room opens it and reads one page of it.
    let calls = noted_calls(&cluster.redis);
    for room in 0..ROOMS {
        let [standings, pages, repairs] = [Call::Standing, Call::Page, Call::Repair]
            .map(|call| calls.get(&(name(room), call)).copied().unwrap_or(0));
        let cold = if is_known(room) { 1 } else { 2 };
        assert_eq!((standings, pages, repairs), (cold, cold, 0), "{}", name(room));
    }
    for (node, cold) in cluster.nodes.iter().zip([ROOMS / 2, ROOMS]) {
        let scrape = node.scrape().await;
        assert_eq!(scrape.sum("roomcast_catchup_reads_total"), cold as f64);
        assert_eq!(scrape.sum("roomcast_gaps_total"), 0.0);
    }
    drop((members, stayers));
    cluster.stop().await;
}
