//! The peers' tables: medians over rounds with their range, and ratios formed within a round.

use super::{Part, Run};
use crate::run::outcome::{Cost, Outcome, Recovery};
use crate::run::peer::Peer;
use crate::stats::Spread;
use crate::table::Table;

/// One column: its name, and what of a run it shows.
type Column = (&'static str, fn(&Outcome) -> Option<f64>);

/// The table that answers the questions asked first, each from the scenario that measures it.
pub(super) fn summary(runs: &[Run]) -> Table {
    let columns: [(Part, Column); 8] = [
        (Part::Saturation, ("deliveries/s, saturated", |it| Some(it.deliveries_per_second))),
        (Part::Chat, ("CPU µs/delivery", micros)),
        (Part::Chat, ("p50 ms", |it| Some(it.delay.p50))),
        (Part::Chat, ("p99 ms", |it| Some(it.delay.p99))),
        (Part::Chat, ("p99.9 ms", |it| Some(it.delay.p999))),
        (Part::Chat, ("KiB/connection", |it| cost(it, |cost| cost.kib_each))),
        (Part::Kill, ("back after a kill, last ms", |it| back(it, |back| back.received.max))),
        (Part::Kill, ("missed meanwhile", |it| Some(it.tally.missing as f64))),
    ];
    rows(runs, &columns)
}

/// All that one scenario tells.
pub(super) fn of(part: Part, runs: &[Run]) -> Table {
    let columns: Vec<Column> = match part {
        Part::Chat | Part::HotRoom => vec![
            ("deliveries/s", |it| Some(it.deliveries_per_second)),
            ("p50 ms", |it| Some(it.delay.p50)),
            ("p99 ms", |it| Some(it.delay.p99)),
            ("p99.9 ms", |it| Some(it.delay.p999)),
            ("CPU µs/delivery", micros),
            ("Redis µs/message", |it| it.cost.as_ref()?.redis_micros),
            ("KiB/connection", |it| cost(it, |cost| cost.kib_each)),
            ("missing", |it| Some(it.tally.missing as f64)),
            ("kept waiting %", waited),
        ],
        Part::Saturation => vec![
            ("deliveries/s", |it| Some(it.deliveries_per_second)),
            ("messages/s", |it| Some(it.scenario.rate)),
            ("of those offered %", |it| {
                Some(it.deliveries_per_second / it.offered_per_second * 100.0)
            }),
            ("CPU µs/delivery", micros),
            ("nodes' cores", |it| cost(it, |cost| cost.nodes_cores)),
            ("load's cores", |it| Some(it.load_cores)),
            ("nodes' peak MiB", |it| cost(it, |cost| cost.peak_kib as f64 / 1024.0)),
            ("kept waiting %", waited),
        ],
        Part::Kill => vec![
            ("members lost", |it| back(it, |back| back.clients as f64)),
            ("member again, p50 ms", |it| back(it, |back| back.joined.p50)),
            ("receives again, p50 ms", |it| back(it, |back| back.received.p50)),
            ("p99 ms", |it| back(it, |back| back.received.p99)),
            ("last ms", |it| back(it, |back| back.received.max)),
            ("never", |it| back(it, |back| back.not_back as f64)),
            ("deliveries missed", |it| Some(it.tally.missing as f64)),
        ],
    };
    let columns: Vec<(Part, Column)> = columns.into_iter().map(|column| (part, column)).collect();
    rows(runs, &columns)
}

/// Costs and delays as multiples of Roomcast's in the same round; medians and ranges.
pub(super) fn ratios(runs: &[Run]) -> Table {
    let columns: [(Part, Column); 5] = [
        (Part::Chat, ("CPU/delivery, chat", micros)),
        (Part::HotRoom, ("CPU/delivery, hot room", micros)),
        (Part::Saturation, ("CPU/delivery, saturated", micros)),
        (Part::Saturation, ("deliveries/s, saturated", |it| Some(it.deliveries_per_second))),
        (Part::Chat, ("memory/connection", |it| cost(it, |cost| cost.kib_each))),
    ];
    table(&columns, |peer, (part, column)| {
        let own = select(runs, *part, peer);
        own.filter_map(|run| {
            let same = |other: &&Run| other.round == run.round;
            let ours = select(runs, *part, Peer::Roomcast).find(same)?;
            Some(column.1(&run.outcome)? / column.1(&ours.outcome)?)
        })
        .collect()
    })
}

fn rows(runs: &[Run], columns: &[(Part, Column)]) -> Table {
    table(columns, |peer, (part, column)| {
        select(runs, *part, peer).filter_map(|run| column.1(&run.outcome)).collect()
    })
}

fn table(columns: &[(Part, Column)], values: impl Fn(Peer, &(Part, Column)) -> Vec<f64>) -> Table {
    let names = columns.iter().map(|(_, column)| column.0);
    let mut table = Table::of(std::iter::once("").chain(names));
    for peer in Peer::ALL {
        let cells: Vec<String> = columns.iter().map(|column| show(values(peer, column))).collect();
        if cells.iter().any(|cell| cell != "–") {
            table.row(std::iter::once(peer.title().to_owned()).chain(cells));
        }
    }
    table
}

/// A median with its range; whole numbers stay whole.
fn show(values: Vec<f64>) -> String {
    let is_whole = values.iter().all(|value| value.fract() == 0.0);
    Spread::of(values).map_or_else(
        || "–".to_owned(),
        |spread| if is_whole { spread.text_with(whole) } else { spread.text() },
    )
}

fn whole(value: f64) -> String {
    format!("{value:.0}")
}

fn select(runs: &[Run], part: Part, peer: Peer) -> impl Iterator<Item = &Run> {
    runs.iter().filter(move |run| run.part == part && run.outcome.peer == peer)
}

fn cost(run: &Outcome, value: fn(&Cost) -> f64) -> Option<f64> {
    run.cost.as_ref().map(value)
}

fn micros(run: &Outcome) -> Option<f64> {
    cost(run, |cost| cost.nodes_micros)
}

fn waited(run: &Outcome) -> Option<f64> {
    cost(run, |cost| cost.waited * 100.0)
}

fn back(run: &Outcome, value: fn(&Recovery) -> f64) -> Option<f64> {
    run.recovery.as_ref().map(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::sample_outcome;

    #[test]
    fn ratios_are_formed_within_a_round() {
        let run = |peer, round, micros: f64| {
            let mut outcome = sample_outcome();
            outcome.peer = peer;
            outcome.cost = outcome.cost.map(|cost| Cost { nodes_micros: micros, ..cost });
            Run { part: Part::Chat, round, outcome }
        };
        let runs = [
            run(Peer::Roomcast, 1, 10.0),
            run(Peer::Ws, 1, 30.0),
            run(Peer::Roomcast, 2, 100.0),
            run(Peer::Ws, 2, 500.0),
        ];
        let text = ratios(&runs).to_string();
        assert!(text.contains("| 4 (3–5) "), "{text}");
        assert!(!text.contains("Nchan"), "{text}");
        let all = of(Part::Chat, &runs).to_string();
        assert!(all.contains("| 55 (10–100) "), "{all}");
        assert!(summary(&runs).to_string().contains("| ws + Redis |"));
    }
}
