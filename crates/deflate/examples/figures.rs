//! What compressing and inflating costs, in bytes, time and memory:
//! `cargo run --release -p roomcast-deflate --example figures`.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a program to look at")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use roomcast_deflate::{FrameCompressor, InboundInflate, InflaterPool, Packing};

/// How long each way is measured.
const TIME: Duration = Duration::from_millis(300);
/// The bound on a message, in bytes.
const LIMIT: usize = 1 << 20;
/// States whose memory is measured together.
const STATES: usize = 200;

/// A chat message as the node sends it, with so many words of text.
fn chat(words: usize) -> Vec<u8> {
    const WORDS: [&str; 16] = [
        "the",
        "meeting",
        "moves",
        "to",
        "room",
        "four",
        "at",
        "noon",
        "please",
        "bring",
        "last",
        "week's",
        "figures",
        "and",
        "your",
        "questions",
    ];
    let text: Vec<_> = (0..words).map(|at| WORDS[(at * 7 + at / 5) % WORDS.len()]).collect();
    format!(
        r#"{{"type":"message","room":"chat:4711","seq":18233,"epoch":"06f2c1d94be0a371","time":1764403200123,"user":"alice@example.com","event":"text","data":{{"text":"{}","id":"0192f7c1-9a33-7d54-8c7e-3f1b2a4c5d6e","mentions":["bob","carol"]}}}}"#,
        text.join(" ")
    )
    .into_bytes()
}

/// A client's frame with RSV1, masked with zeros.
fn frame(payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xc1, 0xff];
    bytes.extend((payload.len() as u64).to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

/// Microseconds for one call.
fn micros(mut call: impl FnMut()) -> f64 {
    let (begin, mut calls) = (Instant::now(), 0u32);
    while begin.elapsed() < TIME {
        call();
        calls += 1;
    }
    begin.elapsed().as_secs_f64() * 1e6 / f64::from(calls)
}

fn inflate_micros(payload: &[u8]) -> f64 {
    let wire = frame(payload);
    let (mut inbound, mut pool) = (InboundInflate::default(), InflaterPool::default());
    let mut out = Vec::new();
    micros(|| {
        let _either = black_box(inbound.next(&mut &wire[..], LIMIT, &mut pool, &mut out));
        inbound = InboundInflate::default();
    })
}

fn compress(level: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    assert_eq!(FrameCompressor::with_level(level).compress(payload, &mut out), Packing::Compressed);
    out
}

/// Resident memory of the process, in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

fn memory<T>(what: &str, make: impl FnMut(usize) -> T) {
    let before = resident();
    let states: Vec<T> = (0..STATES).map(make).collect();
    println!("{what:<34} {:>9} bytes", (resident() - before) / states.len());
}

fn main() {
    println!("level      bytes  compressed  compress us  inflate us");
    for words in [5, 40, 200, 3_000] {
        let plain = chat(words);
        for level in [1, 3, 6, 9] {
            let mut compressor = FrameCompressor::with_level(level);
            let mut out = Vec::new();
            let time = micros(|| {
                out.clear();
                black_box(compressor.compress(&plain, &mut out));
            });
            let size = compress(level, &plain).len();
            let inflate = inflate_micros(&out);
            println!("{level:>5} {:>10} {size:>11} {time:>12.1} {inflate:>11.1}", plain.len());
        }
    }

    println!("\nhostile messages up to the bound of {LIMIT} bytes");
    let bomb = compress(9, &vec![0; 64 << 20]);
    let last_blocks = [0x03, 0x00].repeat(LIMIT / 2);
    let empty_blocks = [0x00, 0x00, 0x00, 0xff, 0xff].repeat(LIMIT / 5);
    let bytes = |seed: u32| (seed.wrapping_mul(2_654_435_761) >> 24) as u8;
    let tables = compress(9, &(0..4_000).map(bytes).map(|byte| byte % 64).collect::<Vec<_>>());
    for (what, payload) in [
        ("a bomb of 64 MiB", &bomb),
        ("last blocks, all empty", &last_blocks),
        ("stored blocks, all empty", &empty_blocks),
        ("one block with its own tables", &tables),
    ] {
        let time = inflate_micros(payload);
        println!("{what:<34} {:>9} bytes {time:>10.1} us", payload.len());
    }

    println!("\nmemory");
    let text = chat(3_000);
    memory("a compressor", |_| {
        let mut compressor = FrameCompressor::new();
        compressor.compress(&text, &mut Vec::new());
        compressor
    });
    let mut begin = frame(&compress(6, &text));
    begin[0] = 0x41;
    memory("an unfinished compressed message", |_| {
        let mut inbound = InboundInflate::default();
        let (mut pool, mut out) = (InflaterPool::default(), Vec::new());
        inbound.next(&mut &begin[..], LIMIT, &mut pool, &mut out).unwrap();
        inbound
    });
}
