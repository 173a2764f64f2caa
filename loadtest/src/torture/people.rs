//! Clients beside those of the ordinary rooms: guests of rooms with presence, readers and setters of
//! rooms with state. They live through the same faults; what they see is judged by the pure parts of
//! this folder.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use roomcast_protocol::ErrorCode;

use super::checker::{Checker, Rule};
use super::fault::Scope;
use super::plan::Fault;
use super::way::Way;
use crate::engine::Engine;
use crate::random::Random;

mod attendance;
mod guest;
mod kept_list;
mod kept_state;
mod ledger;
mod reader;
mod seats;
mod setter;

use attendance::Attendance;
use guest::Guest;
use ledger::StateLedger;
use reader::StateReader;
pub(super) use seats::SETTINGS;
use setter::StateSetter;

/// A live node answers a request within so many of its pongs, one a second.
const PONGS: u64 = 12;
/// Before a request that was turned away is tried again, if the node does not say.
const RETRY: Duration = Duration::from_millis(300);

/// A broken promise: which, who saw it, what.
type Broken = (Rule, String, String);

/// What they saw, in numbers.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct PeopleCounts {
    pub(super) joins: u64,
    pub(super) leaves: u64,
    pub(super) resets: u64,
    pub(super) lists: u64,
    pub(super) changes: u64,
    pub(super) snapshots: u64,
    pub(super) conflated: u64,
}

/// One of them.
enum Person {
    Guest(Guest),
    Reader(StateReader),
    Setter(StateSetter),
}

/// All of them.
pub(super) struct People {
    all: Vec<Person>,
    nodes: usize,
    truth: Attendance,
    ledgers: Vec<StateLedger>,
    random: Random,
    is_quiet: bool,
    pub(super) counts: PeopleCounts,
}

impl People {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// The connection of one.
    pub(super) fn way(&mut self, number: usize) -> &mut Way {
        match &mut self.all[number] {
            Person::Guest(guest) => &mut guest.way,
            Person::Reader(reader) => &mut reader.way,
            Person::Setter(setter) => &mut setter.way,
        }
    }

    /// One does what is due.
    pub(super) fn tick(
        &mut self,
        number: usize,
        engine: &mut Engine,
        checker: &mut Checker,
        now: (Instant, Duration),
    ) {
        let (mut broken, quiet) = (Vec::new(), self.is_quiet);
        let with = (engine, &mut self.random);
        let is_down = match &mut self.all[number] {
            Person::Guest(guest) => guest.tick(with, &mut broken, quiet, now),
            Person::Reader(reader) => reader.tick(with, &mut broken, quiet, now),
            Person::Setter(setter) => {
                setter.tick(with, &mut broken, quiet, now);
                false
            }
        };
        if is_down {
            self.down(number, now.0);
        }
        report(checker, broken, now.1);
    }

    /// One lost its connection.
    pub(super) fn down(&mut self, number: usize, now: Instant) {
        match &mut self.all[number] {
            Person::Guest(guest) => guest.down(&mut self.truth),
            Person::Reader(reader) => reader.down(),
            Person::Setter(setter) => setter.down(now),
        }
    }

    /// One got a frame.
    pub(super) fn frame(
        &mut self,
        number: usize,
        payload: &[u8],
        (engine, checker): (&mut Engine, &mut Checker),
        now: (Instant, Duration),
    ) -> Result<()> {
        let mut broken = Vec::new();
        let Self { all, truth, ledgers, counts, .. } = self;
        let done = match &mut all[number] {
            Person::Guest(guest) => guest.frame(payload, engine, (truth, counts, &mut broken), now),
            Person::Reader(reader) => {
                let ledger = &mut ledgers[reader.room.0];
                reader.frame(payload, engine, (ledger, counts, &mut broken), now)
            }
            Person::Setter(setter) => {
                let ledger = &mut ledgers[setter.room.0];
                setter.frame(payload, ledger, now.0)
            }
        };
        report(checker, broken, now.1);
        done
    }

    /// A fault begins.
    pub(super) fn fault_began(&mut self, fault: &Fault) {
        if is_of_a_node(fault) {
            self.truth.fault_began(fault.target);
        }
    }

    /// It ended.
    pub(super) fn fault_ended(&mut self, fault: &Fault, now: Duration) {
        if is_of_a_node(fault) {
            self.truth.fault_ended(fault.target, now);
        }
    }

    /// No faults come any more: all come to rest.
    pub(super) fn calm(&mut self) {
        self.is_quiet = true;
    }

    /// Whether all know what is so.
    pub(super) fn is_settled(&self) -> bool {
        (0..self.all.len()).all(|number| self.differs(number).is_none())
    }

    /// Fails what is not so at the end.
    pub(super) fn close(&self, checker: &mut Checker, now: Duration) {
        for number in 0..self.all.len() {
            if let Some((rule, who, what)) = self.differs(number) {
                checker.fail(rule, None, (who, what), now);
            }
        }
    }

    /// In one line.
    pub(super) fn text(&self) -> String {
        let PeopleCounts { joins, leaves, resets, lists, changes, snapshots, conflated } =
            self.counts;
        format!(
            "presence: told {joins} joins, {leaves} leaves, {resets} resets, {lists} pages of lists; \
             state: {changes} changes read, {snapshots} snapshots, {conflated} conflated gaps"
        )
    }

    /// What one knows that is not so.
    fn differs(&self, number: usize) -> Option<Broken> {
        match &self.all[number] {
            Person::Guest(guest) => {
                guest.differs(&self.truth).map(|what| (Rule::Presence, guest.name(), what))
            }
            Person::Reader(reader) => {
                let truth = self.ledgers[reader.room.0].truth(self.nodes);
                let what = truth.map_or_else(Some, |truth| reader.differs(truth));
                what.map(|what| (Rule::State, reader.name(), what))
            }
            Person::Setter(setter) => (!setter.is_done()).then(|| {
                (Rule::Answer, setter.name(), "a change is never acknowledged".to_owned())
            }),
        }
    }
}

/// Whether a request that was sent when so many pongs had come is answered too late.
fn is_overdue(way: &Way, pongs: u64) -> bool {
    way.pongs > pongs.saturating_add(PONGS)
}

/// How long to wait after a refusal that passes; any other one fails.
fn pause_after(who: &str, (code, retry_after_ms): (ErrorCode, Option<u64>)) -> Result<Duration> {
    if !matches!(code, ErrorCode::BusUnavailable | ErrorCode::Overloaded) {
        bail!("{who} was answered {}", code.as_str());
    }
    Ok(retry_after_ms.map_or(RETRY, Duration::from_millis))
}

fn is_of_a_node(fault: &Fault) -> bool {
    matches!(fault.kind.scope(), Scope::Node | Scope::Link | Scope::Front)
}

fn report(checker: &mut Checker, broken: Vec<Broken>, now: Duration) {
    for (rule, who, what) in broken {
        checker.fail(rule, None, (who, what), now);
    }
}
