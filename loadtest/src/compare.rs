//! `compare`: two runs side by side, from the files that `run --json` wrote.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;

use crate::print;
use crate::report::Report;
use crate::run::outcome::Outcome;
use crate::run::text::{cell, heading, measures, warnings};
use crate::stats::digits;
use crate::table::Table;

/// Set two runs side by side.
#[derive(Debug, Clone, Args)]
pub(crate) struct CompareArgs {
    /// What one run wrote with --json.
    a: PathBuf,
    /// What the other wrote.
    b: PathBuf,
}

/// Prints the comparison.
pub(crate) fn main(args: &CompareArgs) -> Result<Report> {
    let (a, b) = (read(&args.a)?, read(&args.b)?);
    print::out(format_args!("A: {}\nB: {}\n{}", heading(&a), heading(&b), table(&a, &b)))?;
    for (name, run) in [("A", &a), ("B", &b)] {
        for warning in warnings(run) {
            print::out(format_args!("WARNING {name} was {warning}"))?;
        }
    }
    if a.scenario != b.scenario {
        print::out(format_args!("The two did not run the same scenario: compare with care."))?;
    }
    Ok(json!({ "scenario": "compare", "a": a, "b": b }).into())
}

fn read(path: &Path) -> Result<Outcome> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_str(&text)
        .with_context(|| format!("{} is not what `run --json` writes", path.display()))
}

/// One row for each measure that either has.
fn table(a: &Outcome, b: &Outcome) -> Table {
    let mut table = Table::new(["measure", "A", "B", "B ÷ A"]);
    let (left, right) = (measures(a), measures(b));
    let mut names: Vec<&str> = left.iter().chain(&right).map(|(name, _)| *name).collect();
    let mut seen = Vec::new();
    names.retain(|name| {
        !seen.contains(name) && {
            seen.push(*name);
            true
        }
    });
    for name in names {
        let of = |all: &[(&str, Option<f64>)]| all.iter().find(|it| it.0 == name)?.1;
        let (a, b) = (of(&left), of(&right));
        let ratio = a.zip(b).filter(|(a, _)| *a != 0.0).map(|(a, b)| b / a);
        let ratio = ratio.map_or("–".to_owned(), digits);
        table.row([name.to_owned(), cell(a), cell(b), ratio]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::sample_outcome;

    #[test]
    fn rows_stand_side_by_side_with_their_ratio() {
        let a = sample_outcome();
        let mut b = a.clone();
        b.delay.p99 = a.delay.p99 * 2.0;
        b.recovery = None;
        let text = table(&a, &b).to_string();
        let row = |name: &str| text.lines().find(|line| line.contains(name)).unwrap().to_owned();
        assert!(row("delay p99 ms").contains("| 2.00"), "{text}");
        assert!(row("missing ").ends_with("| –     |"), "{text}");
        assert!(row("back p50 ms").contains("| –"), "{text}");
        assert_eq!(text.matches("delay p50 ms").count(), 1);
    }
}
