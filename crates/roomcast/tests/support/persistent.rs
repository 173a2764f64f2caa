//! A publisher that goes on through faults: each message has a key and is sent again until acked.

use std::time::Duration;

use roomcast_protocol::{ErrorCode, Position, PublishKey};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::{TestClient, soon};

/// Between two messages, so that a test's load stays below what the machine can do.
const PACE: Duration = Duration::from_millis(4);

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Outcomes {
    /// Each message's payload with its position.
    pub acked: Vec<(Position, String)>,
    /// Every refusal.
    pub refused: Vec<ErrorCode>,
    /// The longest time from a publish to its answer.
    pub slowest: Duration,
}

/// A publisher at work.
pub struct Persistent {
    stop: watch::Sender<bool>,
    outcomes: watch::Receiver<Outcomes>,
    task: JoinHandle<()>,
}

impl Persistent {
    /// Publishes the payloads `"<name> <number>"` in a room, one after the other.
    pub fn start(mut client: TestClient, room: &str, name: &str) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (told, outcomes) = watch::channel(Outcomes::default());
        let (room, name) = (room.to_owned(), name.to_owned());
        let task = tokio::spawn(async move {
            for number in 1.. {
                let payload = format!("\"{name} {number}\"");
                let key = PublishKey::parse(&format!("{name}-{number}")).unwrap();
                while !attempt(&mut client, &room, (&payload, &key), &told).await {
                    sleep(PACE).await;
                }
                if *stopped.borrow() {
                    return;
                }
                sleep(PACE).await;
            }
        });
        Self { stop, outcomes, task }
    }

    /// Waits until so many more messages are acked.
    pub async fn more(&mut self, count: usize) {
        let enough = self.outcomes.borrow().acked.len() + count;
        let acked = self.outcomes.wait_for(|outcomes| outcomes.acked.len() >= enough);
        soon("more acks", acked).await.expect("the publisher's task goes on");
    }

    /// What came of it so far.
    pub fn outcomes(&self) -> Outcomes {
        self.outcomes.borrow().clone()
    }

    /// Ends it once its last message is acked.
    pub async fn finish(self) -> Outcomes {
        self.stop.send_replace(true);
        soon("the last ack", self.task).await.unwrap();
        self.outcomes.borrow().clone()
    }
}

/// Whether it was acked.
async fn attempt(
    client: &mut TestClient,
    room: &str,
    (payload, key): (&str, &PublishKey),
    told: &watch::Sender<Outcomes>,
) -> bool {
    let mut publish = client.publication(room, payload);
    publish.key = Some(key.clone());
    let begun = Instant::now();
    let outcome = client.try_publish(publish).await;
    told.send_modify(|outcomes| {
        outcomes.slowest = outcomes.slowest.max(begun.elapsed());
        match outcome {
            Ok(position) => outcomes.acked.push((position, payload.to_owned())),
            Err(
                code @ (ErrorCode::BusUnavailable
                | ErrorCode::PublishUnknown
                | ErrorCode::Overloaded),
            ) => outcomes.refused.push(code),
            Err(other) => panic!("{other:?}"),
        }
    });
    outcome.is_ok()
}
