//! Scenario `rotate`: handshakes without pause while the keys of the identity provider and the
//! node's certificate change under it. Not one may fail.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;
use serde::Serialize;

use crate::children::Children;
use crate::machine::{self, Cores};
use crate::print;
use crate::report::Report;
use crate::server::{NodeArgs, Server};
use crate::stats::digits;
use crate::table::Table;

mod handshakes;
mod provider;

use handshakes::Handshakes;
use provider::Provider;

/// A node asks for a key that it does not know at most this often; keys that change faster than
/// that make some handshakes wait for the next time.
const SHORTEST: f64 = 11.0;
/// How long a node may take to read changed files again, and a little.
const READ_AGAIN: Duration = Duration::from_secs(12);

/// Change keys and certificates while clients come and go.
#[derive(Debug, Clone, Args)]
pub(crate) struct RotateArgs {
    /// How often keys and certificate change.
    #[arg(long, default_value_t = 3)]
    rotations: usize,
    /// Seconds between two changes.
    #[arg(long, default_value_t = 12.0)]
    every: f64,
    /// Handshakes under way at once.
    #[arg(long, default_value_t = 16)]
    inflight: usize,
    #[command(flatten)]
    node: NodeArgs,
}

/// What a run showed.
#[derive(Debug, Clone, Serialize)]
struct RotationOutcome {
    rotations: usize,
    seconds: f64,
    handshakes: u64,
    failed: u64,
    /// The first reasons, in words.
    reasons: Vec<String>,
    /// Times that the provider was asked for its keys.
    keys_fetched: usize,
    /// Certificates that clients saw.
    certificates: usize,
    slowest_ms: f64,
}

/// Runs the scenario.
pub(crate) fn main(args: &RotateArgs, children: &Children) -> Result<Report> {
    if args.rotations == 0 || args.inflight == 0 || !(SHORTEST..=3_600.0).contains(&args.every) {
        bail!("--rotations and --inflight are at least 1, --every {SHORTEST} to 3600");
    }
    if args.node.runs_already() {
        bail!("rotate changes the node's files and starts it itself: leave --url out");
    }
    machine::allow_links(args.inflight)?;
    let cores = Cores { spin: false, ..Cores::here(1) };
    let mut provider = Provider::start()?;
    let node = args.node.trusting(provider.ca());
    let node = provider.settings().into_iter().fold(node, |node, setting| node.with(setting));
    let node = Server::node(&node, &cores, children)?;
    let mut load = Handshakes::begin(&node, args.inflight)?;
    let (every, began) = (Duration::from_secs_f64(args.every), Instant::now());
    load.run(provider.badge(), every)?;
    for number in 1..=args.rotations {
        print::note(format_args!("change {number} of {}: {} so far", args.rotations, load.done));
        provider.rotate()?;
        let last = number == args.rotations;
        load.run(provider.badge(), if last { every.max(READ_AGAIN) } else { every })?;
    }
    node.check()?;
    let found = RotationOutcome {
        rotations: args.rotations,
        seconds: began.elapsed().as_secs_f64(),
        handshakes: load.done,
        failed: load.failed,
        reasons: load.reasons.clone(),
        keys_fetched: provider.asked(),
        certificates: load.certificates.len(),
        slowest_ms: load.slowest.as_secs_f64() * 1e3,
    };
    let setup = format!(
        "rotate: {} handshakes at once by TLS with ES256 tokens, a new key and a new certificate \
         every {} s; {}",
        args.inflight,
        args.every,
        cores.text()
    );
    print::out(format_args!("{setup}\n{}", table(&found)))?;
    let failure = failure(&found);
    let figures = serde_json::json!({ "scenario": "rotate", "setup": setup, "found": found });
    Ok(Report { figures, failure })
}

fn failure(found: &RotationOutcome) -> Option<String> {
    if found.failed > 0 {
        return Some(format!("{} handshakes failed: {}", found.failed, found.reasons.join("; ")));
    }
    let expected = found.rotations + 1;
    let (seen, fetched) = (found.certificates, found.keys_fetched);
    (seen < expected || fetched < expected).then(|| {
        format!("{seen} certificates were seen and keys fetched {fetched} times, not {expected}")
    })
}

fn table(found: &RotationOutcome) -> Table {
    let mut table = Table::new([
        "changes",
        "seconds",
        "handshakes",
        "failed",
        "slowest ms",
        "keys fetched",
        "certificates seen",
    ]);
    table.row([
        found.rotations.to_string(),
        digits(found.seconds),
        found.handshakes.to_string(),
        found.failed.to_string(),
        digits(found.slowest_ms),
        found.keys_fetched.to_string(),
        found.certificates.to_string(),
    ]);
    table
}
