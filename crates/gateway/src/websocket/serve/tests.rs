//! Turns: however much a connection sends, the worker's other tasks run between two of its turns.

use std::cell::Cell;
use std::sync::Arc;

use roomcast_bus::{Bus, MemoryOptions};
use roomcast_metrics::Metrics;
use roomcast_protocol::{FrameType, NodeId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::{LocalSet, spawn_local, yield_now};

use super::super::turn::TURN_FRAMES;
use super::*;
use crate::hub::HubHandle;
use crate::tests::{connection, settings};
use crate::traces::Tracer;

fn worker() -> Rc<Worker> {
    let (bus, _feeds) = Bus::memory(MemoryOptions::default());
    let (hub, _commands) = HubHandle::new();
    let (replies, _) = mpsc::unbounded_channel();
    let named = (0, NodeId::parse("test").unwrap());
    let (settings, metrics) = (settings(&[]).into(), Metrics::new());
    Rc::new(Worker::new(
        named,
        (bus, hub, replies),
        settings,
        (metrics, Tracer::default()),
        Arc::default(),
    ))
}

/// A text frame as clients send it, masked with zeros.
fn frame(text: &str) -> Vec<u8> {
    assert!(text.len() < 126);
    [&[0x81, 0x80 | text.len() as u8, 0, 0, 0, 0], text.as_bytes()].concat()
}

/// Sends so many of these, reads what comes back, and ends.
async fn flood(client: TcpStream, frame: Vec<u8>, count: usize) {
    let (mut from, mut to) = client.into_split();
    let writing = spawn_local(async move {
        to.write_all(&frame.repeat(count)).await.unwrap();
        to
    });
    let mut buffer = vec![0; 64 * 1024];
    let (mut answered, mut tail) = (0, Vec::new());
    while answered < count {
        let read = from.read(&mut buffer).await.unwrap();
        assert!(read > 0, "it ends after {answered} answers");
        tail.extend_from_slice(&buffer[..read]);
        answered += tail.windows(6).filter(|six| six == b"\"pong\"").count();
        // A word that is cut is counted with its end.
        tail.drain(..tail.len().saturating_sub(5));
    }
    drop(writing.await.unwrap());
}

/// 40,000 pings in some 50 bytes each, sent as fast as they are taken: another task of the worker
/// never waits for more than two turns' frames. (Two, since a connection that waits for its socket
/// may be woken before a task that has only yielded.)
#[tokio::test]
async fn others_run_after_so_many_frames_of_one_connection() {
    const ALL: usize = 40_000;
    let tasks = LocalSet::new();
    tasks
        .run_until(async {
            let worker = worker();
            let (connection, client) = connection(1).await;
            let served = spawn_local({
                let worker = worker.clone();
                async move { serve(&worker, &connection, Bytes::new()).await }
            });
            let (most, is_over) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(false)));
            let watching = spawn_local({
                let (worker, most, is_over) = (worker.clone(), most.clone(), is_over.clone());
                async move {
                    let mut before = 0;
                    while !is_over.get() {
                        let now =
                            worker.metrics.traffic.frames_in[Some(FrameType::Ping)].get() as usize;
                        most.set(most.get().max(now - before));
                        before = now;
                        yield_now().await;
                    }
                }
            });
            flood(client, frame(r#"{"type":"ping","pad":"0123456789"}"#), ALL).await;
            assert_eq!(served.await.unwrap(), Ended::Vanished);
            is_over.set(true);
            watching.await.unwrap();
            assert_eq!(worker.metrics.traffic.frames_in[Some(FrameType::Ping)].get() as usize, ALL);
            assert!(most.get() <= 2 * TURN_FRAMES, "{} frames in one go", most.get());
            assert!(most.get() > TURN_FRAMES / 2, "{} frames: no flood", most.get());
            assert_eq!(worker.inbound_held.get(), 0);
        })
        .await;
}
