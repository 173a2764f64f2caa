//! The report of a run: one HTML file that needs nothing else, light or dark as the reader's
//! screen is. Pure text.

use std::fmt::Write;

use crate::run::delays::Delays;
use crate::run::outcome::Outcome;
use crate::run::text::{cell, heading, measures, title, warnings};
use crate::svg::escape;

mod chart;

use chart::{Curve, Frame, Scale, figure, round_up};

/// Marks of the time axis, about.
const MARKS: f64 = 8.0;
/// The first measures, which the page shows large.
const LARGE: [&str; 6] = [
    "deliveries/s",
    "delay p50 ms",
    "delay p99 ms",
    "missing",
    "nodes' CPU µs/delivery",
    "memory KiB/connection",
];

/// The report.
pub(crate) fn html(run: &Outcome) -> String {
    let name = escape(&title(run));
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{name}</title>\n\
         <style>{STYLE}</style>\n<main>\n<h1>{name}</h1>\n<p class=\"about\">{}</p>\n\
         <p>{}</p>\n<pre>loadtest {}</pre>\n",
        escape(&run.scenario.about),
        escape(&heading(run)),
        escape(&run.command)
    );
    verdict(&mut out, run);
    for warning in warnings(run) {
        let _ = writeln!(out, "<p class=\"verdict so\">Warning: {}</p>", escape(&warning));
    }
    large(&mut out, run);
    out.push_str("<section>\n");
    out.push_str(&percentiles(run));
    for plot in over_time(run) {
        out.push_str(&plot);
    }
    out.push_str("</section>\n<h2>All measures</h2>\n<table>\n");
    for (name, value) in measures(run) {
        let name = escape(name);
        let _ = writeln!(out, "<tr><th>{name}<td>{}", cell(value));
    }
    for (why, count) in &run.ends {
        let _ = writeln!(out, "<tr><th>ended: {}<td>{count}", escape(why));
    }
    out.push_str("</table>\n</main>\n</html>\n");
    out
}

fn verdict(out: &mut String, run: &Outcome) {
    let tally = &run.tally;
    let (class, words) = match run.failure() {
        Some(failure) => ("bad", failure),
        None if tally.missing == 0 && !tally.breaks_promises() => (
            "good",
            "Every member that was to receive got every message once and in order.".to_owned(),
        ),
        None => (
            "so",
            format!(
                "{} deliveries are missing, {} of them untold; {} were repeated and {} out of \
                 order.",
                tally.missing, tally.untold, tally.repeated, tally.disordered
            ),
        ),
    };
    let _ = writeln!(out, "<p class=\"verdict {class}\">{}</p>", escape(&words));
}

fn large(out: &mut String, run: &Outcome) {
    let all = measures(run);
    out.push_str("<div class=\"cards\">\n");
    for name in LARGE {
        let value = all.iter().find(|(known, _)| *known == name).and_then(|(_, value)| *value);
        let _ = writeln!(out, "<div><b>{}</b>{}</div>", cell(value), escape(name));
    }
    out.push_str("</div>\n");
}

/// Delays by the share of deliveries that took no longer, an axis on which each step is a nine.
fn percentiles(run: &Outcome) -> String {
    let Ok(delays) = Delays::unpack([&run.delays]) else { return String::new() };
    // A share that fewer than one delivery lies beyond says nothing.
    let nines = (run.delay.count.max(10) as f64).log10().min(6.0);
    let steps = (nines * 20.0) as usize;
    let share = |step: usize| 1.0 - 10f64.powf(-(step as f64) / 20.0);
    let points =
        (0..=steps).map(|step| (step as f64 / 20.0, delays.at(share(step)).max(1e-3))).collect();
    let named = [(0.301, "50%"), (1.0, "90%"), (2.0, "99%"), (3.0, "99.9%"), (4.0, "99.99%")];
    let more = [(5.0, "99.999%"), (6.0, "99.9999%")];
    let ticks = named.iter().chain(&more).filter(|tick| tick.0 <= nines);
    let ticks = ticks.map(|(at, words)| (*at, (*words).to_owned())).collect();
    let title = "Delay from the intended moment to the receipt, by share of deliveries";
    let frame = Frame { title, unit: "ms", scale: Scale::Log, ticks, events: Vec::new() };
    figure(&frame, &[Curve { name: "delay".to_owned(), points }])
}

fn over_time(run: &Outcome) -> [String; 5] {
    let events = events(run);
    let length = run.seconds.len().max(1) as f64;
    let step = round_up(length / MARKS).max(1.0);
    let marks = (0..=(length / step) as usize).map(|mark| mark as f64 * step);
    let ticks: Vec<_> = marks.map(|at| (at, format!("{at:.0} s"))).collect();
    let draw = |title: &str, unit: &str, scale: Scale, curves: &[Curve]| {
        let (ticks, events) = (ticks.clone(), events.clone());
        figure(&Frame { title, unit, scale, ticks, events }, curves)
    };
    let plot = |title: &str, unit: &str, curves: &[Curve]| draw(title, unit, Scale::Linear, curves);
    let by_second = |name: &str, value: fn(&crate::run::Second) -> u64| Curve {
        name: name.to_owned(),
        points: run.seconds.iter().map(|it| (it.second as f64 + 1.0, value(it) as f64)).collect(),
    };
    let nodes = run.uses.iter().map(|it| it.nodes_kib.len()).max().unwrap_or_default();
    let memory: Vec<Curve> = (0..nodes)
        .map(|node| {
            // A node that is gone has no memory: its line ends.
            let there = run.uses.iter().filter(|it| it.nodes_kib[node] > 0);
            let points = there.map(|it| (it.at, it.nodes_kib[node] as f64 / 1024.0)).collect();
            Curve { name: format!("node {}", node + 1), points }
        })
        .collect();
    [
        plot("Messages per second", "", &[by_second("published", |it| it.sent)]),
        plot("Deliveries per second", "", &[by_second("received", |it| it.received)]),
        plot("Members connected", "", &[by_second("fewest in each second", |it| it.connected)]),
        plot("CPU", "cores", &cpu(run)),
        draw("Resident memory of each node (not from 0)", "MiB", Scale::Near, &memory),
    ]
}

/// Cores used between one reading and the next.
fn cpu(run: &Outcome) -> Vec<Curve> {
    type Part = fn(&crate::run::Use) -> f64;
    let parts: [(&str, Part); 2] = [("all nodes", |it| it.nodes_cpu), ("Redis", |it| it.redis_cpu)];
    let curve = |(name, part): (&str, Part)| {
        let pairs = run.uses.windows(2).filter(|pair| pair[1].at - pair[0].at > 0.5);
        let cores = |pair: &[crate::run::Use]| {
            let (from, to) = (&pair[0], &pair[1]);
            (to.at, (part(to) - part(from)) / (to.at - from.at))
        };
        Curve { name: name.to_owned(), points: pairs.map(cores).collect() }
    };
    if run.cost.is_none() {
        return Vec::new();
    }
    parts.into_iter().map(curve).collect()
}

fn events(run: &Outcome) -> Vec<(f64, String)> {
    let it = &run.scenario;
    let mut events = Vec::new();
    events.extend(it.kill.map(|kill| (kill.at, "a node is killed".to_owned())));
    events.extend(it.storm.map(|storm| (storm.at, format!("{} come", storm.clients))));
    if let Some(slow) = it.slow {
        events.push((slow.at, "some stop reading".to_owned()));
        events.push((slow.at + slow.pause, "they read on".to_owned()));
    }
    events
}

const STYLE: &str = include_str!("page/style.css");

#[cfg(test)]
mod tests;
