//! What a run comes to: the table, the violations with what was going on around them, the figures.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::TortureArgs;
use super::checker::Violation;
use super::drive::Drive;
use super::fault::Scope;
use super::plot;
use super::repair::Repaired;
use super::timeline::seconds;
use crate::print;
use crate::report::Report;
use crate::stats::{digits, millis, percentile};
use crate::table::Table;

/// Violations that are printed in full.
const PRINTED: usize = 20;

/// The command that has the same faults again.
pub(super) fn replay(args: &TortureArgs, seed: u64) -> String {
    let mut line = format!(
        "loadtest torture --topology {} --minutes {} --seed {seed} --nodes {} --rooms {} \
         --publishers {} --members {} --rate {} --payload {} --fault-every {}",
        args.topology.name(),
        args.minutes,
        args.nodes,
        args.rooms,
        args.publishers,
        args.members,
        args.rate,
        args.payload,
        args.fault_every
    );
    if args.lossless {
        line += " --lossless";
    }
    line += &args.door.line();
    for setting in &args.set {
        line += &format!(" --set {setting}");
    }
    line
}

/// Prints the run and sums it up.
pub(super) fn report(args: &TortureArgs, seed: u64, drive: &Drive, logs: &Path) -> Result<Report> {
    let (checker, timeline) = (&drive.judges.checker, &drive.judges.timeline);
    let counts = checker.counts;
    let length = args.minutes * 60.0;
    let rate = counts.acks as f64 / length;
    let repairs = &drive.judges.repairs.done;
    let [middle, tail, most] = quantiles(repairs.iter().map(|it| it.took));
    let alone = |it: &Repaired| it.took.saturating_sub(timeline.disturbed(it));
    let mut by_scope: BTreeMap<Scope, Vec<&Repaired>> = BTreeMap::new();
    for repaired in repairs {
        let scope = timeline.faults[repaired.fault].fault.kind.scope();
        by_scope.entry(scope).or_default().push(repaired);
    }
    let by_scope: Vec<_> = by_scope
        .iter()
        .map(|(scope, repairs)| {
            let all = quantiles(repairs.iter().map(|it| it.took));
            (scope.name(), repairs.len(), all, quantiles(repairs.iter().map(|it| alone(it))))
        })
        .collect();
    let retries: u64 = drive.load.publishers.iter().map(|publisher| publisher.retries).sum();
    let retries = retries + drive.retries;
    let began = || timeline.faults.iter().filter(|carried| carried.began.is_some());
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for carried in began() {
        *kinds.entry(carried.fault.kind.name()).or_default() += 1;
    }
    print::out(format_args!(
        "torture: {} nodes, Redis {}, {} rooms of {} publishers and {} members each, {} minutes, \
         seed {seed}",
        args.nodes,
        args.topology.name(),
        args.rooms,
        args.publishers,
        args.members,
        args.minutes
    ))?;
    let mut table = Table::new([
        "faults",
        "messages",
        "messages/s",
        "deliveries",
        "sent again",
        "connections lost",
        "resumes",
        "resets",
        "gaps told",
        "repair p50 ms",
        "p99",
        "max",
        "violations",
    ]);
    table.row([
        began().count().to_string(),
        counts.acks.to_string(),
        digits(rate),
        counts.deliveries.to_string(),
        retries.to_string(),
        counts.losses.to_string(),
        counts.resumes.to_string(),
        counts.resets.to_string(),
        counts.gaps.to_string(),
        digits(middle),
        digits(tail),
        digits(most),
        counts.violations.to_string(),
    ]);
    print::out(format_args!("{table}"))?;
    let kinds_text: Vec<_> =
        kinds.iter().map(|(kind, count)| format!("{count} × {kind}")).collect();
    print::out(format_args!("faults: {}", kinds_text.join(", ")))?;
    print::out(format_args!(
        "\ntime to repair in ms; alone: without the time in which other faults were at work"
    ))?;
    let mut table =
        Table::new(["after", "rooms", "p50", "p99", "max", "alone p50", "alone p99", "alone max"]);
    for (name, count, all, alone) in &by_scope {
        let [p50, p99, max] = all.map(digits);
        let [alone_p50, alone_p99, alone_max] = alone.map(digits);
        let name = (*name).to_owned();
        table.row([name, count.to_string(), p50, p99, max, alone_p50, alone_p99, alone_max]);
    }
    print::out(format_args!("{table}"))?;
    print::out(format_args!("{}", drive.load.people.text()))?;
    let renewed = drive.load.renewed();
    if args.door.renews() {
        let life = args.door.life().as_secs();
        print::out(format_args!(
            "tokens are good for {life} s; thin clients renewed theirs {renewed} times"
        ))?;
    }
    let mut slow: Vec<_> = repairs.iter().collect();
    slow.sort_by_key(|it| std::cmp::Reverse(it.took));
    slow.dedup_by_key(|it| it.fault);
    for repaired in slow.iter().take(3) {
        let carried = &timeline.faults[repaired.fault];
        print::out(format_args!(
            "slow to repair: {} ms after {} had ended at {} s; the last was {}",
            digits(millis(repaired.took)),
            carried.fault.text(),
            carried.ended.map_or_else(String::new, seconds),
            checker.name(repaired.last)
        ))?;
    }
    print::out(format_args!("again: {}", replay(args, seed)))?;
    for violation in checker.violations().iter().take(PRINTED) {
        print::out(format_args!("{}", text(violation, &timeline.around(violation.at))))?;
    }
    if let Some(path) = &args.svg {
        let svg = plot::svg(timeline, repairs, &replay(args, seed));
        std::fs::write(path, svg).with_context(|| format!("writing {}", path.display()))?;
    }
    let failure = match counts.violations {
        0 if rate < args.at_least => {
            Some(format!("{rate:.0} messages per second, fewer than {}", args.at_least))
        }
        0 if renewed == 0 && args.door.renews() && args.door.life().as_secs_f64() < length => {
            Some("no token was renewed although they ended during the run".to_owned())
        }
        0 => None,
        count => Some(format!("{count} violations; the nodes' logs are in {}", logs.display())),
    };
    let figures = json!({
        "arguments": args,
        "seed": seed,
        "faults": began().map(|it| &it.fault).collect::<Vec<_>>(),
        "fault_kinds": kinds,
        "messages": counts.acks,
        "messages_per_second": rate,
        "deliveries": counts.deliveries,
        "sent_again": retries,
        "connections_lost": counts.losses,
        "resumes": counts.resumes,
        "resets": counts.resets,
        "gaps": counts.gaps,
        "tokens_renewed": renewed,
        "repair_ms": figure(&[middle, tail, most]),
        "repair_by_scope_ms": by_scope.iter().map(|(name, rooms, all, alone)| json!({
            "after": name, "rooms": rooms, "all": figure(all), "alone": figure(alone),
        })).collect::<Vec<_>>(),
        "violations": checker.violations().iter().map(|it| text(it, "")).collect::<Vec<_>>(),
        "violation_count": counts.violations,
    });
    Ok(Report { figures, failure })
}

/// The median, p99 and the longest, in ms.
fn quantiles(times: impl Iterator<Item = Duration>) -> [f64; 3] {
    let mut times: Vec<Duration> = times.collect();
    times.sort_unstable();
    [0.5, 0.99, 1.0].map(|share| millis(percentile(&times, share)))
}

fn figure(&[p50, p99, max]: &[f64; 3]) -> Value {
    json!({ "p50": p50, "p99": p99, "max": max })
}

fn text(violation: &Violation, around: &str) -> String {
    let Violation { rule, at, room, who, what, before, after } = violation;
    let room = room.map_or_else(String::new, |room| format!(" in room {room}"));
    let mut text = format!("VIOLATION {rule:?} at {} s{room}: {who}: {what}", seconds(*at));
    for (name, entries) in [("saw", before), ("then", after)] {
        if !entries.is_empty() {
            let entries: Vec<_> = entries
                .iter()
                .map(|(at, it)| format!("[{}] {}", seconds(*at), it.text()))
                .collect();
            text += &format!("\n    {name}: {}", entries.join(", "));
        }
    }
    if !around.is_empty() {
        text += &format!("\n  faults around it:\n{}", around.trim_end());
    }
    text
}
