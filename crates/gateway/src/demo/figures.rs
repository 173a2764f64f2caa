//! The figures themselves: what the node's counters say of the time between two moments. Pure, but for
//! the reading of the counters.

use roomcast_metrics::{ApiOutcome, ApiRoute, Label, Metrics};
use roomcast_protocol::FrameType;
use serde_json::{Value, json};

/// What the counters say at one moment, since the node's start.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct CounterSample {
    /// Frames and requests of backends.
    requests: u64,
    /// Those of them that were refused, or failed.
    failed: u64,
    /// Frames whose time to an answer is known.
    timed: u64,
    /// That time, of all of them.
    seconds: f64,
}

/// What was done between two moments.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct NodeActivity {
    /// A second.
    requests: f64,
    /// The mean time to an answer; `None`: there was none.
    response_ms: Option<f64>,
    /// Percent of the requests.
    errors: f64,
}

/// What one node shows of itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct NodeFigures {
    /// Different users with a connection.
    pub(super) users: usize,
    pub(super) activity: NodeActivity,
    /// Percent of the processors.
    pub(super) cpu: Option<f64>,
    /// Percent of the memory that the node may use.
    pub(super) memory: Option<f64>,
}

impl CounterSample {
    /// As the counters are now.
    pub(super) fn of(metrics: &Metrics) -> Self {
        let traffic = &metrics.traffic;
        let mut sample = Self::default();
        for &kind in Option::<FrameType>::ALL {
            sample.requests += traffic.frames_in[kind].get();
            // A publish is answered when the bus has it: that is measured apart.
            if kind != Some(FrameType::Publish) {
                sample.timed += traffic.frame[kind].get_sample_count();
                sample.seconds += traffic.frame[kind].get_sample_sum();
            }
        }
        let acks = &metrics.delivery.publish_ack;
        sample.timed += acks.get_sample_count();
        sample.seconds += acks.get_sample_sum();
        for route in ApiRoute::ALL {
            for outcome in ApiOutcome::ALL {
                let count = metrics.access.api_requests[*route][*outcome].get();
                sample.requests += count;
                sample.failed += if *outcome == ApiOutcome::Done { 0 } else { count };
            }
        }
        let errors = roomcast_protocol::ErrorCode::ALL.into_iter();
        sample.failed += errors.map(|code| traffic.errors[code].get()).sum::<u64>();
        sample
    }

    /// What happened since an earlier moment, so many seconds ago.
    pub(super) fn since(&self, before: &Self, seconds: f64) -> NodeActivity {
        let requests = self.requests.saturating_sub(before.requests) as f64;
        let failed = self.failed.saturating_sub(before.failed) as f64;
        let timed = self.timed.saturating_sub(before.timed) as f64;
        let mean = 1_000.0 * (self.seconds - before.seconds).max(0.0) / timed;
        NodeActivity {
            requests: requests / seconds.max(f64::MIN_POSITIVE),
            response_ms: (timed > 0.0).then_some(mean),
            errors: if requests > 0.0 { (100.0 * failed / requests).min(100.0) } else { 0.0 },
        }
    }
}

impl NodeFigures {
    /// As they are published; what is not known is `null`.
    pub(super) fn json(&self) -> Value {
        let NodeActivity { requests, response_ms, errors } = self.activity;
        let [response_ms, cpu, memory] =
            [response_ms, self.cpu, self.memory].map(|value| value.map(rounded));
        json!({
            "users": self.users,
            "requests": rounded(requests),
            "response_ms": response_ms,
            "errors": rounded(errors),
            "cpu": cpu,
            "memory": memory,
        })
    }
}

/// To three places: finer than any of them is known.
fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_of_the_time_between() {
        let before = CounterSample { requests: 100, failed: 5, timed: 80, seconds: 2.0 };
        let now = CounterSample { requests: 140, failed: 6, timed: 100, seconds: 2.05 };
        let activity = now.since(&before, 2.0);
        let figures = NodeFigures { users: 3, activity, cpu: Some(12.34567), memory: None };
        let expected = json!({
            "users": 3, "requests": 20.0, "response_ms": 2.5, "errors": 2.5, "cpu": 12.346,
            "memory": null,
        });
        assert_eq!(figures.json(), expected);
        let idle = now.since(&now, 1.0);
        assert_eq!(idle, NodeActivity { requests: 0.0, response_ms: None, errors: 0.0 });
        // A request of the second before may be refused in this one.
        let late = CounterSample { requests: 141, failed: 9, ..now };
        assert_eq!(late.since(&now, 1.0).errors, 100.0);
    }

    #[test]
    fn the_counters_of_a_node_are_read() {
        let metrics = Metrics::new();
        let before = CounterSample::of(&metrics);
        assert_eq!(before, CounterSample::default());
        metrics.traffic.frames_in[Some(FrameType::Publish)].inc_by(3);
        metrics.traffic.frame[Some(FrameType::Publish)].observe(100.0);
        metrics.delivery.publish_ack.observe(0.25);
        metrics.traffic.frames_in[None].inc();
        metrics.traffic.frame[None].observe(0.25);
        metrics.traffic.errors[roomcast_protocol::ErrorCode::BadFrame].inc();
        metrics.access.api_requests[ApiRoute::Publish][ApiOutcome::Done].inc();
        metrics.access.api_requests[ApiRoute::Read][ApiOutcome::Denied].inc();
        let expected = CounterSample { requests: 6, failed: 2, timed: 2, seconds: 0.5 };
        assert_eq!(CounterSample::of(&metrics), expected);
    }
}
