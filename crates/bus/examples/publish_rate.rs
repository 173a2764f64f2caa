//! Publishes per second through the bus, beside the same script driven bare and pipelined on the
//! same Redis: `cargo run --release -p roomcast-bus --example publish_rate`.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a program to look at")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use roomcast_bus::{Bus, Publication, RedisOptions, Retention};
use roomcast_metrics::Metrics;
use roomcast_protocol::{Data, RoomName};
use roomcast_testkit::RedisServer;
use tokio::sync::Semaphore;

/// How long each way is measured.
const TIME: Duration = Duration::from_secs(2);
/// Publications on their way.
const WINDOW: usize = 512;

const SCRIPT: &str = concat!(
    include_str!("../src/scripts/common.lua"),
    include_str!("../src/scripts/meta.lua"),
    include_str!("../src/scripts/publish.lua")
);

fn publication() -> Publication {
    Publication {
        user: None,
        client: None,
        api_key: None,
        connection: None,
        event: None,
        key: None,
        if_seq: None,
        state: None,
        echo: true,
        traceparent: None,
        data: Data::Json(format!("\"{}\"", "x".repeat(126)).into()),
        retention: Retention {
            history_size: 100,
            history_age: Duration::from_secs(600),
            repair_window: 100,
            replicas: 0,
            keys_per_user: 10_000,
            keys_per_room: 250_000,
        },
        info: None,
        keys_age: std::time::Duration::ZERO,
        room_rate: 0,
    }
}

fn rooms(count: usize) -> Vec<RoomName> {
    (0..count).map(|n| RoomName::parse(&format!("rate:{count}:{n}")).unwrap()).collect()
}

async fn through_the_bus(bus: &Bus, rooms: &[RoomName]) -> u64 {
    let window = Arc::new(Semaphore::new(WINDOW));
    let (begun, mut count) = (Instant::now(), 0u64);
    while begun.elapsed() < TIME {
        for room in rooms.iter().cycle().skip(count as usize % rooms.len()).take(64) {
            let permit = window.clone().acquire_owned().await.unwrap();
            let reply = Box::new(move |result: Result<_, _>| {
                result.unwrap();
                drop(permit);
            });
            bus.submit(room.clone(), publication(), reply);
            count += 1;
        }
    }
    let _ = window.acquire_many(WINDOW as u32).await.unwrap();
    count
}

/// The call as the bus makes it for one message, in pipelines of 128.
fn bare(server: &RedisServer, hash: &str, rooms: &[RoomName]) -> u64 {
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_connection().unwrap();
    let payload = [b"\x98\xc0\xc0\xc0\xc0\xc3\xc0\x00\xc4\x80".as_slice(), &[b'x'; 128]].concat();
    let (begun, mut count) = (Instant::now(), 0u64);
    // Group numbers must rise over the rounds, else the script refuses them early.
    let first = std::time::UNIX_EPOCH.elapsed().unwrap().as_micros() as u64;
    while begun.elapsed() < TIME {
        let mut pipeline = redis::pipe();
        for room in rooms.iter().cycle().skip(count as usize % rooms.len()).take(128) {
            count += 1;
            let key = |end| format!("{{roomcast:bare:{room}}}:{end}");
            pipeline.cmd("EVALSHA").arg(hash).arg(4);
            pipeline.arg(key("m")).arg(key("s")).arg(key("k0")).arg(key("k1"));
            pipeline.arg(1).arg("roomcast:version").arg(life(server)).arg("0123456789abcdef");
            pipeline.arg("0123456789abcdef").arg(first + count).arg("PUBLISH").arg(key("c"));
            pipeline.arg(100).arg(100).arg(600_000).arg(1_200_000).arg(120_000);
            pipeline.arg(10_000).arg(250_000).arg(0);
            pipeline.arg(&payload).arg("").arg("").ignore();
        }
        pipeline.exec(&mut connection).unwrap();
    }
    count
}

fn life(server: &RedisServer) -> String {
    static LIFE: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    let ask = || {
        let redis::Value::BulkString(info) = server.command(&["INFO", "replication"]) else {
            panic!("INFO tells text")
        };
        let info = String::from_utf8(info).unwrap();
        let id = info.lines().find_map(|line| line.strip_prefix("master_replid:")).unwrap();
        format!("{id}:1")
    };
    LIFE.get_or_init(ask).clone()
}

/// CPU seconds that a process used so far.
fn cpu(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks = |at: usize| fields[at].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / 100.0
}

fn show(way: &str, rooms: usize, server: &RedisServer, run: impl FnOnce() -> u64) {
    let (redis, own) = (server.pid(), std::process::id());
    let (begun, redis_before, own_before) = (Instant::now(), cpu(redis), cpu(own));
    let count = run() as f64;
    let rate = count / begun.elapsed().as_secs_f64();
    let [of_redis, of_own] =
        [(redis, redis_before), (own, own_before)].map(|(p, before)| (cpu(p) - before) / count);
    println!(
        "{way:5} {rooms:5} rooms {rate:9.0} publishes/s  CPU each: {:6.2} us Redis {:6.2} us here",
        of_redis * 1e6,
        of_own * 1e6
    );
}

fn main() {
    let server = RedisServer::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let options = RedisOptions::new(server.url());
    let (bus, feeds) =
        runtime.block_on(async { Bus::redis(options, Metrics::new().bus).await.unwrap() });
    std::thread::spawn(move || {
        runtime.block_on(async move {
            let mut feeds = feeds;
            loop {
                feeds.next().await;
            }
        });
    });
    let submitter = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let redis::Value::BulkString(hash) = server.command(&["SCRIPT", "LOAD", SCRIPT]) else {
        panic!("SCRIPT LOAD tells a hash")
    };
    let hash = String::from_utf8(hash).unwrap();
    for _ in 0..3 {
        for count in [1000, 1] {
            let rooms = rooms(count);
            show("bus", count, &server, || submitter.block_on(through_the_bus(&bus, &rooms)));
            show("bare", count, &server, || bare(&server, &hash, &rooms));
        }
    }
}
