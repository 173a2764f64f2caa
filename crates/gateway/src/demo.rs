//! The demo beside its page: the node's own figures, published to `board:nodes` once a second while
//! that room has a member on any node. The members of other nodes are known by the room's count in the
//! bus: one small read a second, with a bound in time, and only where the demo is on. It knows no
//! connection and no HTTP.

mod figures;
mod machine;

use std::sync::Arc;
use std::time::Duration;

use roomcast_bus::Bus;
use roomcast_metrics::Metrics;
use roomcast_protocol::{Data, NodeId, Publish, RoomName, StateKey};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::node_status::NodeStatus;
use crate::publication::{PublicationAuthor, RoomRateBinding, Submission, judge_options};
use crate::settings::Settings;
use crate::traces::Tracer;

use figures::{CounterSample, NodeFigures};
use machine::MachineSample;

/// The room of the figures, where each node's name is the key of its own.
const ROOM: &str = "board:nodes";
/// How often a node publishes them.
const PERIOD: Duration = Duration::from_secs(1);
/// How long they stay after the last ones: a node that has ended goes from the page.
const LIFE_MS: u64 = 10_000;
/// Longest wait for the bus to say who looks, and again to take the figures.
const BUS_TIMEOUT: Duration = Duration::from_secs(2);

/// Publishes the node's figures.
pub(crate) struct FigureBoard {
    room: RoomName,
    /// `None`: the node's name cannot be a key.
    key: Option<StateKey>,
    bus: Bus,
    metrics: Metrics,
    tracer: Tracer,
    status: Arc<NodeStatus>,
    settings: watch::Receiver<Arc<Settings>>,
}

/// What was counted at one moment.
#[derive(Debug, Clone, Copy)]
struct Moment {
    at: Instant,
    counters: CounterSample,
    machine: MachineSample,
}

impl FigureBoard {
    pub(crate) fn new(
        node: NodeId,
        (bus, metrics): (Bus, Metrics),
        tracer: Tracer,
        status: Arc<NodeStatus>,
        settings: watch::Receiver<Arc<Settings>>,
    ) -> Self {
        let room = RoomName::parse(ROOM).expect("the room's name is valid");
        let key = StateKey::parse(node.as_str()).ok();
        Self { room, key, bus, metrics, tracer, status, settings }
    }

    /// Runs as long as its task. Without the demo it only waits for another configuration.
    pub(crate) async fn run(mut self) {
        let mut tick = interval(PERIOD);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last: Option<Moment> = None;
        loop {
            tick.tick().await;
            let settings = self.settings.borrow_and_update().clone();
            if settings.demo.is_none() {
                last = None;
                if self.settings.changed().await.is_err() {
                    return;
                }
                continue;
            }
            if !self.is_watched().await {
                last = None;
                continue;
            }
            let Some(now) = self.moment().await else { continue };
            if let Some(before) = last.replace(now) {
                self.publish(&settings, &self.figures(&before, &now)).await;
            }
        }
    }

    /// Whether the room has a member on any node; no, while the bus does not say.
    async fn is_watched(&self) -> bool {
        let asked = timeout(BUS_TIMEOUT, self.bus.presence_counts(&self.room)).await;
        asked.is_ok_and(|counts| counts.is_ok_and(|counts| counts.count > 0))
    }

    /// Away from the runtime's thread, as it reads files of the kernel.
    async fn moment(&self) -> Option<Moment> {
        let machine = tokio::task::spawn_blocking(MachineSample::now).await.ok()?;
        Some(Moment { at: Instant::now(), counters: CounterSample::of(&self.metrics), machine })
    }

    fn figures(&self, before: &Moment, now: &Moment) -> NodeFigures {
        let seconds = now.at.duration_since(before.at).as_secs_f64();
        NodeFigures {
            users: self.status.census.count(),
            activity: now.counters.since(&before.counters, seconds),
            cpu: now.machine.cpu_percent_since(&before.machine, seconds),
            memory: now.machine.memory_percent(),
        }
    }

    /// Publishes as any backend would, but without a key: figures that are lost are not sent again.
    async fn publish(&self, settings: &Settings, figures: &NodeFigures) {
        let Some(key) = self.key.clone() else { return };
        let Ok(data) = Data::json(figures.json().to_string()) else { return };
        let namespace = settings.namespace_of(&self.room);
        let request = Publish {
            state_key: Some(key),
            ttl_ms: Some(LIFE_MS),
            ..Publish::new(self.room.clone(), data)
        };
        if judge_options(&request, namespace).is_err() {
            // The namespace was configured without state.
            return;
        }
        let author = PublicationAuthor {
            room_rate: RoomRateBinding::Exempt,
            ..PublicationAuthor::default()
        };
        let submission = Submission::new(author, namespace, &self.tracer, request);
        let (answer, answered) = oneshot::channel();
        submission.submit(&self.bus, move |outcome, _followed| {
            // The task may have ended.
            let _ = answer.send(outcome);
        });
        match timeout(BUS_TIMEOUT, answered).await {
            Ok(Ok(Ok(_ack))) => {}
            Ok(Ok(Err(error))) => tracing::debug!("the demo's figures were not published: {error}"),
            Ok(Err(_)) | Err(_) => tracing::debug!("the demo's figures got no answer"),
        }
    }
}
