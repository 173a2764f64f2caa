//! What a run found: for tables, `--json`, `compare` and the report.

use std::collections::BTreeSet;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::account::Tally;
use super::delays::{Delays, Packed, Percentiles};
use super::peer::Peer;
use super::sample::Use;
use super::scenario::Scenario;
use super::talk::{Found, Outage, Second};

/// One run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) scenario: Scenario,
    pub(crate) peer: Peer,
    /// As it was typed.
    pub(crate) command: String,
    /// Nodes that were started, or else addresses that were given.
    pub(crate) nodes: usize,
    /// Where servers ran already, as it was typed.
    #[serde(default)]
    pub(crate) at: Vec<String>,
    /// What the nodes that greeted clients called themselves.
    #[serde(default)]
    pub(crate) found: BTreeSet<String>,
    pub(crate) processes: usize,
    /// Messages published, in all.
    pub(crate) sent: u64,
    /// Over the seconds that count.
    pub(crate) deliveries_per_second: f64,
    /// What these would be if every member got every message at once.
    pub(crate) offered_per_second: f64,
    pub(crate) tally: Tally,
    /// From the intended moment of sending to the receipt, in ms.
    pub(crate) delay: Percentiles,
    /// From the wish to connect to `joined`, in ms.
    pub(crate) connect: Percentiles,
    /// From the intended moment of sending to the sending, in ms: how late the load itself was.
    pub(crate) lateness: Percentiles,
    /// Of a killed node's members.
    pub(crate) recovery: Option<Recovery>,
    /// What the servers used; absent where they are not known.
    pub(crate) cost: Option<Cost>,
    /// CPU of the load processes for each second of publishing: near their number, the load was
    /// the limit.
    pub(crate) load_cores: f64,
    pub(crate) repeats: u64,
    pub(crate) unacknowledged: u64,
    pub(crate) ends: Vec<(String, u64)>,
    /// All delays, in µs.
    pub(crate) delays: Packed,
    pub(crate) seconds: Vec<Second>,
    pub(crate) uses: Vec<Use>,
}

/// How the members of a killed node came back. Times are in ms after the kill.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Recovery {
    /// Members that were there.
    pub(crate) clients: u64,
    /// Until they were members again.
    pub(crate) joined: Percentiles,
    /// Until their first message after that.
    pub(crate) received: Percentiles,
    /// Members that received nothing any more.
    pub(crate) not_back: u64,
}

/// What the servers used over the seconds that count.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cost {
    /// CPU of all nodes for one delivery, in µs.
    pub(crate) nodes_micros: f64,
    /// CPU of Redis for one published message, in µs, if it was started here.
    pub(crate) redis_micros: Option<f64>,
    /// CPU of all nodes for each second.
    pub(crate) nodes_cores: f64,
    /// Share of their time in which nodes could run and others had the core.
    pub(crate) waited: f64,
    /// Memory of all nodes before the clients came, in KiB.
    pub(crate) idle_kib: u64,
    /// And with all of them there.
    pub(crate) full_kib: u64,
    /// What each connection added, in KiB.
    pub(crate) kib_each: f64,
    /// The most that was seen, in KiB.
    pub(crate) peak_kib: u64,
}

/// Readings at the four moments that costs are counted from.
#[derive(Debug, Clone)]
pub(crate) struct Readings {
    pub(crate) idle: Use,
    pub(crate) full: Use,
    pub(crate) from: Use,
    pub(crate) until: Use,
}

impl Cost {
    /// For so many connections and, between the last two readings, so many deliveries and messages.
    pub(crate) fn of(
        readings: &Readings,
        uses: &[Use],
        (connections, deliveries, messages): (u64, u64, f64),
    ) -> Self {
        let Readings { idle, full, from, until } = readings;
        let (cpu, time) = (until.nodes_cpu - from.nodes_cpu, until.at - from.at);
        let waited = until.nodes_waited - from.nodes_waited;
        let (idle_kib, full_kib) = (idle.nodes_kib(), full.nodes_kib());
        let readings = uses.iter().chain([idle, full, from, until]);
        Self {
            nodes_micros: cpu * 1e6 / (deliveries as f64).max(1.0),
            redis_micros: (until.redis_kib > 0)
                .then(|| (until.redis_cpu - from.redis_cpu) * 1e6 / messages.max(1.0)),
            nodes_cores: cpu / time,
            waited: waited / (waited + cpu).max(1e-9),
            idle_kib,
            full_kib,
            kib_each: full_kib.saturating_sub(idle_kib) as f64 / connections.max(1) as f64,
            peak_kib: readings.map(Use::nodes_kib).max().unwrap_or_default(),
        }
    }
}

impl Recovery {
    /// From all outages, those that the kill of this node at this moment caused.
    pub(crate) fn of(outages: &[Outage], node: usize, killed: u64) -> Result<Self> {
        let (mut joined, mut received) = (Delays::new()?, Delays::new()?);
        let (mut clients, mut not_back) = (0, 0);
        for outage in outages.iter().filter(|it| it.node == node && it.lost >= killed) {
            clients += 1;
            if let Some(at) = outage.joined {
                joined.record(at - killed);
            }
            match outage.received {
                Some(at) => received.record(at - killed),
                None => not_back += 1,
            }
        }
        let (joined, received) = (joined.percentiles(), received.percentiles());
        Ok(Self { clients, joined, received, not_back })
    }
}

impl Outcome {
    /// Why the program should end with 1: a promise that only Roomcast gives was broken.
    pub(crate) fn failure(&self) -> Option<String> {
        let broken = self.tally.breaks_promises() || self.unacknowledged > 0;
        (self.peer == Peer::Roomcast && broken).then(|| {
            format!(
                "Roomcast broke its promises: {} deliveries missing and untold, {} repeated, {} \
                 out of order, {} messages unacknowledged",
                self.tally.untold, self.tally.repeated, self.tally.disordered, self.unacknowledged
            )
        })
    }
}

/// Adds up what all load processes found.
pub(crate) fn merge(found: Vec<Found>) -> Result<(Found, [Percentiles; 3])> {
    let sum = |part: fn(&Found) -> &Packed| Delays::unpack(found.iter().map(part));
    let (delays, connects) = (sum(|it| &it.delays)?, sum(|it| &it.connects)?);
    let lateness = sum(|it| &it.lateness)?;
    let shown = [delays.percentiles(), connects.percentiles(), lateness.percentiles()];
    let mut all = Found { delays: delays.pack(), ..Found::default() };
    for part in found {
        all.tally.add(&part.tally);
        all.counted += part.counted;
        all.repeats += part.repeats;
        all.unacknowledged += part.unacknowledged;
        all.cpu_seconds += part.cpu_seconds;
        all.outages.extend(part.outages);
        all.nodes.extend(part.nodes);
        for (why, count) in part.ends {
            match all.ends.iter_mut().find(|(known, _)| *known == why) {
                Some((_, sum)) => *sum += count,
                None => all.ends.push((why, count)),
            }
        }
    }
    Ok((all, shown))
}

/// Adds a process's second to the run's.
pub(crate) fn add_second(seconds: &mut Vec<Second>, part: &Second) {
    while seconds.len() <= part.second {
        seconds.push(Second { second: seconds.len(), ..Second::default() });
    }
    let sum = &mut seconds[part.second];
    sum.connected += part.connected;
    sum.sent += part.sent;
    sum.received += part.received;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recovery_counts_from_the_kill_and_only_its_members() {
        let ms = |ms: u64| ms * 1_000_000;
        let outage = |node, lost, received: Option<u64>| Outage {
            node,
            lost: ms(lost),
            joined: Some(ms(lost + 10)),
            received: received.map(ms),
        };
        let outages = [
            outage(2, 101, Some(200)),
            outage(2, 102, Some(400)),
            outage(2, 103, None),
            outage(2, 50, Some(60)),
            outage(1, 150, Some(900)),
        ];
        let recovery = Recovery::of(&outages, 2, ms(100)).unwrap();
        assert_eq!((recovery.clients, recovery.not_back), (3, 1));
        assert!((recovery.received.max - 300.0).abs() < 1.0, "{recovery:?}");
        assert!((recovery.joined.max - 13.0).abs() < 0.1, "{recovery:?}");
    }

    #[test]
    fn costs_are_those_between_the_readings() {
        let reading = |at, cpu: f64, kib| Use {
            at,
            nodes_cpu: cpu,
            nodes_waited: cpu,
            nodes_kib: vec![kib, kib],
            redis_cpu: cpu / 10.0,
            redis_kib: 1,
        };
        let readings = Readings {
            idle: reading(-5.0, 0.5, 1_000),
            full: reading(-1.0, 1.0, 2_000),
            from: reading(2.0, 2.0, 2_100),
            until: reading(12.0, 7.0, 2_200),
        };
        let cost = Cost::of(&readings, &[reading(5.0, 3.0, 4_000)], (100, 1_000_000, 1_000.0));
        assert_eq!((cost.nodes_micros, cost.nodes_cores, cost.waited), (5.0, 0.5, 0.5));
        assert_eq!((cost.kib_each, cost.peak_kib), (20.0, 8_000));
        assert!((cost.redis_micros.unwrap() - 500.0).abs() < 1e-6, "{cost:?}");
    }

    #[test]
    fn seconds_add_up_whatever_their_order() {
        let mut seconds = Vec::new();
        let part = |second| Second { second, connected: 5, sent: 2, received: 7 };
        for second in [1, 0, 1] {
            add_second(&mut seconds, &part(second));
        }
        assert_eq!(seconds[1], Second { second: 1, connected: 10, sent: 4, received: 14 });
        assert_eq!(seconds[0], part(0));
    }
}
