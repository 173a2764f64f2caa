//! A run as a table of measures, for the terminal, the report and comparisons.

use super::delays::Percentiles;
use super::outcome::Outcome;
use crate::stats::{digits, kept_waiting, slope};
use crate::table::Table;

/// Minutes that must have been measured before a growth of memory is shown: in less, buffers that
/// fill look like a leak.
const GROWTH_MINUTES: f64 = 3.0;
/// Names of nodes that a heading lists.
const NAMED: usize = 5;

/// One measure: what it is called, and its value if the run has it.
pub(crate) type Measure = (&'static str, Option<f64>);

/// All measures, in the order of tables.
pub(crate) fn measures(run: &Outcome) -> Vec<Measure> {
    let cost = |value: fn(&super::outcome::Cost) -> f64| run.cost.as_ref().map(value);
    let tally = &run.tally;
    let mib = |kib: u64| kib as f64 / 1024.0;
    let mut all = vec![
        ("messages sent", Some(run.sent as f64)),
        ("deliveries", Some(tally.received as f64)),
        ("deliveries/s", Some(run.deliveries_per_second)),
        ("offered deliveries/s", Some(run.offered_per_second)),
        ("delay p50 ms", Some(run.delay.p50)),
        ("delay p90 ms", Some(run.delay.p90)),
        ("delay p99 ms", Some(run.delay.p99)),
        ("delay p99.9 ms", Some(run.delay.p999)),
        ("delay max ms", Some(run.delay.max)),
        ("missing", Some(tally.missing as f64)),
        ("of it untold", Some(tally.untold as f64)),
        ("repeated", Some(tally.repeated as f64)),
        ("out of order", Some(tally.disordered as f64)),
        ("gaps and resets", Some(tally.notices as f64)),
        ("publishes repeated", Some(run.repeats as f64)),
        ("connect p50 ms", some(&run.connect, run.connect.p50)),
        ("connect p99 ms", some(&run.connect, run.connect.p99)),
        ("connect max ms", some(&run.connect, run.connect.max)),
        ("nodes' CPU µs/delivery", cost(|it| it.nodes_micros)),
        ("Redis CPU µs/message", run.cost.as_ref().and_then(|it| it.redis_micros)),
        ("nodes' cores", cost(|it| it.nodes_cores)),
        ("nodes kept waiting %", cost(|it| it.waited * 100.0)),
        ("memory KiB/connection", cost(|it| it.kib_each)),
        ("nodes' memory at peak MiB", run.cost.as_ref().map(|it| mib(it.peak_kib))),
        ("memory growth KiB/min", growth(run)),
        ("load's cores", Some(run.load_cores)),
        ("load late p99 ms", Some(run.lateness.p99)),
    ];
    if let Some(recovery) = &run.recovery {
        all.extend([
            ("members of the killed node", Some(recovery.clients as f64)),
            ("back p50 ms", Some(recovery.received.p50)),
            ("back p99 ms", Some(recovery.received.p99)),
            ("back last ms", Some(recovery.received.max)),
            ("never back", Some(recovery.not_back as f64)),
        ]);
    }
    all
}

/// How the nodes' memory grows once the warm-up is over: what a soak is for. `None` for a run that
/// is too short for it.
fn growth(run: &Outcome) -> Option<f64> {
    let counts = |at: f64| at >= run.scenario.warmup && at <= run.scenario.seconds;
    let uses = run.uses.iter().filter(|it| counts(it.at) && it.nodes_kib() > 0);
    let points: Vec<(f64, f64)> = uses.map(|it| (it.at / 60.0, it.nodes_kib() as f64)).collect();
    let minutes = points.last()?.0 - points.first()?.0;
    let counts = run.scenario.kill.is_none() && minutes >= GROWTH_MINUTES;
    counts.then(|| slope(&points)).flatten()
}

fn some(of: &Percentiles, value: f64) -> Option<f64> {
    (of.count > 0).then_some(value)
}

/// A value for people.
pub(crate) fn cell(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(whole) if whole.fract() == 0.0 => format!("{whole:.0}"),
        Some(value) => digits(value),
    }
}

/// What ran, in one line.
pub(crate) fn heading(run: &Outcome) -> String {
    let it = &run.scenario;
    format!(
        "{}: {}, {} clients in {} rooms, {} publishers, {} messages/s of {} B, {} s and the first \
         {} not counted, {}; nothing pinned",
        title(run),
        nodes(run),
        it.clients,
        it.rooms,
        it.publishers,
        it.rate,
        it.payload,
        it.seconds,
        it.warmup,
        count(run.processes, "load process", "load processes")
    )
}

/// What ran where, in a few words.
pub(crate) fn title(run: &Outcome) -> String {
    let title = format!("{} on {}", run.scenario.name, run.peer.title());
    if run.at.is_empty() { title } else { format!("{title} at {}", run.at.join(", ")) }
}

/// The nodes that were started, or those that were found where servers ran already.
fn nodes(run: &Outcome) -> String {
    if run.at.is_empty() {
        return count(run.nodes, "node", "nodes");
    }
    if run.found.is_empty() {
        return "nodes that do not name themselves".to_owned();
    }
    let names: Vec<&str> = run.found.iter().take(NAMED).map(String::as_str).collect();
    let more = if run.found.len() > NAMED { ", …" } else { "" };
    format!("{} found ({}{more})", count(run.found.len(), "node", "nodes"), names.join(", "))
}

fn count(number: usize, one: &str, several: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { several })
}

/// What a reader should know before trusting the measures.
pub(crate) fn warnings(run: &Outcome) -> Vec<String> {
    kept_waiting(run.cost.as_ref().map(|cost| cost.waited * 100.0)).into_iter().collect()
}

/// The whole table.
pub(crate) fn table(run: &Outcome) -> Table {
    let mut table = Table::new(["measure", "value"]);
    for (name, value) in measures(run) {
        table.row([name.to_owned(), cell(value)]);
    }
    for (why, count) in &run.ends {
        table.row([format!("ended: {why}"), count.to_string()]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::sample_outcome;

    #[test]
    fn memory_grows_from_the_end_of_the_warm_up() {
        let mut run = sample_outcome();
        assert_eq!(growth(&run), None, "a killed node takes its memory along");
        run.scenario.kill = None;
        run.scenario.warmup = 1.0;
        for (reading, kib) in run.uses.iter_mut().zip([9_000, 1_000, 1_010, 1_020]) {
            reading.nodes_kib = vec![kib];
        }
        assert_eq!(growth(&run), None, "seconds say nothing");
        // The same readings, each two minutes after the other.
        run.scenario.warmup = 120.0;
        run.scenario.seconds = 360.0;
        run.uses.iter_mut().for_each(|reading| reading.at *= 120.0);
        assert!((growth(&run).unwrap() - 5.0).abs() < 1e-6, "{:?}", growth(&run));
        run.scenario.seconds = 359.0;
        assert_eq!(growth(&run), None, "two minutes are too few");
    }

    #[test]
    fn a_heading_says_what_was_found_and_where() {
        let mut run = sample_outcome();
        run.at = vec!["ws://127.0.0.1:8080".to_owned()];
        run.nodes = 1;
        let begins = |run: &Outcome, text: &str| {
            assert!(heading(run).starts_with(text), "{}", heading(run));
        };
        begins(
            &run,
            "sample on Roomcast at ws://127.0.0.1:8080: 3 nodes found (load-1, load-2, load-3), 9",
        );
        run.found = (1..=6).map(|number| format!("n{number}")).collect();
        begins(
            &run,
            "sample on Roomcast at ws://127.0.0.1:8080: 6 nodes found (n1, n2, n3, n4, n5, …), 9",
        );
        run.found = ["n1".to_owned()].into();
        begins(&run, "sample on Roomcast at ws://127.0.0.1:8080: 1 node found (n1), 9");
        run.found.clear();
        begins(
            &run,
            "sample on Roomcast at ws://127.0.0.1:8080: nodes that do not name themselves, 9",
        );
    }

    #[test]
    fn a_run_that_was_kept_waiting_warns() {
        let mut run = sample_outcome();
        assert!(warnings(&run).is_empty());
        run.cost.as_mut().unwrap().waited = 0.51;
        assert!(warnings(&run)[0].contains("51.0 %"), "{:?}", warnings(&run));
        run.cost = None;
        assert!(warnings(&run).is_empty());
    }

    #[test]
    fn cells_are_short_and_say_what_is_not_known() {
        assert_eq!([None, Some(3.0), Some(1.234)].map(cell), ["–", "3", "1.23"]);
        assert!(heading(&sample_outcome()).starts_with("sample on Roomcast: 3 nodes, 9 clients"));
    }
}
