//! Leases: how the nodes of a cluster know which of them are alive. Each node advances a counter in
//! one hash in Redis every second and reads all others'; a pure judge decides which stopped.

mod holder;
mod judge;
#[cfg(test)]
mod model;
mod news;

use std::sync::Arc;
use std::time::Duration;

use redis::{ErrorKind, RedisError, RedisResult, Value};
use roomcast_metrics::{BusMetrics, ConnectionMetrics, LeaseState};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use crate::log_throttle::LogThrottle;
use crate::placement::keys::Keyspace;
use crate::scripts::ScriptCall;
use crate::server_map::ServerMap;
pub use holder::LeaseHolder;
pub use judge::{Incarnation, Lease, LeaseJudge, LeaseTable};
pub(crate) use news::{LeaseDetails, LeaseNews};

/// Pause after the answer to an advance, or after its failure.
const ADVANCE_INTERVAL: Duration = Duration::from_secs(1);
/// Time between two advances until the first one is answered: without a lease no presence is written.
const FIRST_INTERVAL: Duration = Duration::from_millis(100);

/// The outcome of an advance.
enum Advanced {
    Table(LeaseTable, LeaseDetails),
    /// The incarnation is marked dead.
    Dead,
    /// A later advance of the same incarnation arrived first.
    Late,
}

/// Keeps the lease of this node.
pub(crate) struct LeaseKeeper {
    pub(crate) keys: Keyspace,
    pub(crate) shards: ServerMap,
    pub(crate) metrics: BusMetrics,
    /// Connections of this node, which its lease shows to the others.
    pub(crate) connections: Option<ConnectionMetrics>,
    /// Tells what this node writes under.
    pub(crate) standing: watch::Sender<LeaseStanding>,
    /// Tells what each advance found.
    pub(crate) news: watch::Sender<LeaseNews>,
    /// Incarnations of this node that a room's data says are dead.
    pub(crate) refused: mpsc::UnboundedReceiver<Incarnation>,
}

/// What a node writes under: all that it wrote is to be written again when this changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LeaseStanding {
    /// This life of the node in the cluster; `None` before the first advance is sent.
    pub(crate) incarnation: Option<Incarnation>,
    /// The life of the data that the leases were read from.
    pub(crate) life: Arc<str>,
}

impl LeaseKeeper {
    /// Advances and judges until the sender of `ended` is dropped.
    pub(crate) async fn run(mut self, mut ended: oneshot::Receiver<()>) {
        let mut holder = LeaseHolder::new(fresh());
        let mut judge = LeaseJudge::default();
        let refusals = LogThrottle::new();
        loop {
            let sent = Instant::now();
            let (incarnation, counter) = holder.next_advance();
            self.tell(|standing| standing.incarnation = Some(incarnation));
            match self.advance(incarnation, counter).await {
                Ok(Advanced::Table(table, details)) => {
                    if !holder.is_live() {
                        info!(%incarnation, "this node has a lease");
                    }
                    holder.answered();
                    self.tell(|standing| standing.life = table.life.clone());
                    self.show(&table);
                    self.news.send_modify(|news| news.advanced(incarnation, sent, &table, details));
                    for dead in judge.advanced(incarnation, &table) {
                        self.bury(dead).await;
                    }
                }
                Ok(Advanced::Dead) => {
                    warn!(%incarnation, "this node counted as dead; it goes on as another one");
                    judge.interrupted();
                    holder.renew(fresh());
                    self.news.send_modify(LeaseNews::interrupted);
                }
                Ok(Advanced::Late) => {}
                Err(error) => {
                    // A server that is away is logged by its link; one that refuses is not.
                    let refused =
                        matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension);
                    if refused && !error.is_cluster_error() && refusals.is_time() {
                        warn!(%error, "Redis refuses this node's lease");
                    } else {
                        tracing::debug!(%error, "no lease was advanced");
                    }
                    judge.interrupted();
                    self.news.send_modify(LeaseNews::interrupted);
                }
            }
            let pause = if holder.is_live() { ADVANCE_INTERVAL } else { FIRST_INTERVAL };
            let next = Instant::now() + pause;
            tokio::select! {
                _ = &mut ended => return,
                is_refused = refused_until(&mut self.refused, holder.incarnation(), next) => {
                    if is_refused {
                        let incarnation = holder.incarnation();
                        warn!(%incarnation, "this node's members were taken for dead; it goes on as another one");
                        holder.renew(fresh());
                        self.news.send_modify(LeaseNews::interrupted);
                    }
                }
            }
        }
    }

    async fn advance(&self, incarnation: Incarnation, counter: u64) -> RedisResult<Advanced> {
        let connections = self.connections.as_ref().map_or(0, ConnectionMetrics::all_open);
        let words = [incarnation.to_string(), counter.to_string(), connections.to_string()];
        let (life, answer) =
            self.shards.control(ScriptCall::Advance, &self.keys.leases(), &words).await?;
        read_advance(life, answer)
    }

    /// Marks an incarnation as dead, unless it advanced meanwhile or another node marked it first.
    async fn bury(&self, Lease { incarnation, counter }: Lease) {
        let words = [incarnation.to_string(), counter.to_string()];
        match self.shards.control(ScriptCall::Bury, &self.keys.leases(), &words).await {
            Ok((_, Value::Int(1))) => warn!(%incarnation, "a node is dead: its lease stopped"),
            Ok(_) => {}
            Err(error) => tracing::debug!(%incarnation, %error, "could not mark a node as dead"),
        }
    }

    fn tell(&self, change: impl FnOnce(&mut LeaseStanding)) {
        self.standing.send_if_modified(|standing| {
            let before = standing.clone();
            change(standing);
            *standing != before
        });
    }

    fn show(&self, table: &LeaseTable) {
        self.metrics.leases[LeaseState::Live].set(table.leases.len() as i64);
        self.metrics.leases[LeaseState::Dead].set(table.dead.len() as i64);
    }
}

fn fresh() -> Incarnation {
    Incarnation(rand::random())
}

/// Waits for the refusal of an incarnation, until a time at most; whether it came. Refusals of others
/// do not end the wait: one death brings one for each room, and advances that came without a pause
/// would count as time.
async fn refused_until(
    refused: &mut mpsc::UnboundedReceiver<Incarnation>,
    own: Incarnation,
    end: Instant,
) -> bool {
    let pause = sleep_until(end);
    tokio::pin!(pause);
    loop {
        tokio::select! {
            () = &mut pause => return false,
            Some(incarnation) = refused.recv() => {
                if incarnation == own {
                    return true;
                }
            }
        }
    }
}

/// Reads the answer of `advance.lua`.
fn read_advance(life: Arc<str>, answer: Value) -> RedisResult<Advanced> {
    let unreadable = || RedisError::from((ErrorKind::UnexpectedReturnType, "not an advance"));
    let words: Vec<String> = redis::from_redis_value(answer)?;
    let mut words = words.into_iter();
    match words.next().as_deref() {
        Some("dead") => return Ok(Advanced::Dead),
        Some("late") => return Ok(Advanced::Late),
        Some("ok") => {}
        _ => return Err(unreadable()),
    }
    let time = words.next().and_then(|word| word.parse().ok()).ok_or_else(unreadable)?;
    let mut table = LeaseTable { life, time, leases: Vec::new(), dead: Vec::new() };
    let mut details = LeaseDetails::default();
    while let (Some(field), Some(value)) = (words.next(), words.next()) {
        let mut numbers = value.split(' ').map(|word| word.parse::<u64>().ok());
        let (first, second) = (numbers.next().flatten(), numbers.next().flatten());
        if let Some(dead) = field.strip_prefix("dead:").and_then(Incarnation::parse) {
            table.dead.push(dead);
            details.last_advances.insert(dead, second.unwrap_or_default());
        } else if let (Some(incarnation), Some(counter)) = (Incarnation::parse(&field), first) {
            table.leases.push(Lease { incarnation, counter });
            details.connections += second.unwrap_or_default();
        }
    }
    Ok(Advanced::Table(table, details))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(words: &[&str]) -> RedisResult<Advanced> {
        let word = |word: &&str| Value::BulkString(word.as_bytes().to_vec());
        read_advance("a".into(), Value::Array(words.iter().map(word).collect()))
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_of_other_incarnations_do_not_shorten_the_pause() {
        let (sender, mut refused) = mpsc::unbounded_channel();
        let (own, start) = (Incarnation(1), Instant::now());
        let end = start + ADVANCE_INTERVAL;
        (0..300).for_each(|_| sender.send(Incarnation(2)).unwrap());
        assert!(!refused_until(&mut refused, own, end).await);
        assert_eq!(Instant::now().duration_since(start).as_secs(), ADVANCE_INTERVAL.as_secs());
        (0..300).for_each(|_| sender.send(Incarnation(2)).unwrap());
        sender.send(own).unwrap();
        let later = Instant::now();
        assert!(refused_until(&mut refused, own, later + ADVANCE_INTERVAL).await);
        assert_eq!(Instant::now(), later);
        drop(sender);
        assert!(!refused_until(&mut refused, own, later + ADVANCE_INTERVAL).await);
    }

    #[test]
    fn an_answer_is_read_whatever_else_is_in_the_hash() {
        let (one, two) = ("0000000000000001", "0000000000000002");
        let words =
            ["ok", "1700", one, "7 12 1699", "dead:0000000000000002", "3 1500 1600", "x", "y"];
        let Ok(Advanced::Table(table, details)) = answer(&words) else { panic!("not a table") };
        assert_eq!(details.connections, 12);
        assert_eq!(details.last_advances[&Incarnation(2)], 1500);
        assert_eq!(table.time, 1700);
        assert_eq!(table.leases, [Lease { incarnation: Incarnation(1), counter: 7 }]);
        assert_eq!(table.dead, [Incarnation::parse(two).unwrap()]);
        assert!(matches!(answer(&["dead"]), Ok(Advanced::Dead)));
        assert!(matches!(answer(&["late"]), Ok(Advanced::Late)));
        for bad in [&["ok"][..], &[], &["yes", "1"], &["ok", "soon"]] {
            assert!(answer(bad).is_err(), "{bad:?}");
        }
    }
}
