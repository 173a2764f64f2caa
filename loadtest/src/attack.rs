//! Scenario `attack`: hostile clients beside well-behaved members. For each attack a fresh node with
//! one worker and its default limits, first without it, then with it: what do the members notice, and
//! what is the attacker answered?

use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use crate::children::Children;
use crate::dialect::{Dialect, WireEncoding};
use crate::door::DoorKind;
use crate::machine::{self, Cores};
use crate::print;
use crate::report::Report;
use crate::server::{NodeArgs, Server};
use crate::stats::kept_waiting;

mod bytes;
mod hostile;
mod kind;
mod members;
mod strike;
mod summary;
mod tally;

use hostile::AttackTarget;
use kind::Attack;
use members::{Crowd, MembersPlan};
use strike::Strike;
use summary::AttackRun;

/// Between the two halves of a run, and before the first: what was begun is done.
const SETTLED: Duration = Duration::from_millis(300);

/// What the node would have without this program's usual exceptions, and no exempt address. Everyone
/// comes over this machine as over a trusted proxy, so that attackers have addresses of their own.
/// With keys, tokens are checked; members are anonymous.
const NODE: [&str; 12] = [
    "node.workers=1",
    "limits.exempt_networks=none",
    "limits.accept_rate=2000",
    "namespaces.default.publish_rate=10",
    "namespaces.default.keys_per_user=10000",
    "namespaces.default.keys_per_room=250000",
    "http.trusted_proxies=127.0.0.0/8",
    "auth.hs_secret=a secret that only this load's node has",
    "auth.anonymous=true",
    "namespaces.default.allow_join=public",
    "namespaces.default.allow_publish=public",
    "namespaces.default.allow_history=public",
];

/// Attack a node and measure what its well-behaved members notice.
#[derive(Debug, Clone, Args)]
pub(crate) struct AttackArgs {
    /// Only these attacks, by their names.
    #[arg(long, value_enum, value_name = "NAME")]
    only: Vec<Attack>,
    /// Well-behaved members.
    #[arg(long, default_value_t = 1000)]
    members: usize,
    /// Rooms that they are spread over, each with a publisher.
    #[arg(long, default_value_t = 10)]
    rooms: usize,
    /// Messages per second in each room, sent by the clock; a connection may publish 10 a second.
    #[arg(long, default_value_t = 8.0)]
    rate: f64,
    /// Bytes of each message's data.
    #[arg(long, default_value_t = 128)]
    payload: usize,
    /// Measured seconds without the attack, and again with it.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Rounds over all attacks.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    #[command(flatten)]
    node: NodeArgs,
}

/// Runs the scenario.
pub(crate) fn main(args: &AttackArgs, children: &Children) -> Result<Report> {
    check(args)?;
    // The load sleeps: the attackers' thread has the same core.
    let cores = Cores { spin: false, ..Cores::here(1) };
    if let Some(load) = &cores.load {
        machine::pin_self(load)?;
    }
    let attacks = if args.only.is_empty() { Attack::value_variants() } else { &args.only[..] };
    let mut runs = Vec::new();
    for round in 1..=args.rounds {
        for &attack in attacks {
            let run = one(args, attack, round, (&cores, children))?;
            print::note(format_args!("round {round} of {}: {}", args.rounds, run.text()));
            runs.push(run);
        }
    }
    let setup = heading(args, &cores);
    print::out(format_args!("{setup}\n{}", summary::table(&runs)))?;
    if let Some(warning) = kept_waiting(runs.iter().map(|run| run.kept_waiting_percent)) {
        print::out(format_args!("WARNING {warning}"))?;
    }
    let failure = summary::failure(&runs);
    let figures = serde_json::json!({ "scenario": "attack", "setup": setup, "runs": runs });
    Ok(Report { figures, failure })
}

fn check(args: &AttackArgs) -> Result<()> {
    if [args.members, args.rooms, args.rounds].contains(&0) {
        bail!("--members, --rooms and --rounds are at least 1");
    }
    if !(0.1..=60.0).contains(&args.seconds) || !(0.1..=10.0).contains(&args.rate) {
        bail!("--seconds is between 0.1 and 60, --rate between 0.1 and 10");
    }
    if args.node.runs_already() {
        bail!("attack starts a fresh node for each attack itself: leave --url out");
    }
    machine::allow_links(args.members + args.rooms + hostile::MOST_SOCKETS)
}

/// One attack on a node of its own, which speaks TLS if that is what is attacked.
fn one(
    args: &AttackArgs,
    attack: Attack,
    round: usize,
    (cores, children): (&Cores, &Children),
) -> Result<AttackRun> {
    let settings: Vec<String> =
        NODE.iter().flat_map(|setting| ["--set".to_owned(), (*setting).to_owned()]).collect();
    let node = match attack.needs_tls() {
        true => args.node.behind(&[DoorKind::Wss]).remove(0),
        false => args.node.clone(),
    };
    let server = Server::node_with(&node, &settings, cores, children)?;
    let plan = MembersPlan {
        members: args.members,
        rooms: args.rooms,
        rate: args.rate,
        payload: args.payload,
    };
    let mut crowd = Crowd::gather(&plan, &server, Dialect::of(&server, WireEncoding::Json))?;
    let time = Duration::from_secs_f64(args.seconds);
    crowd.idle(SETTLED)?;
    let calm = crowd.pace(time)?;
    let before = usage(&server)?;
    let target = AttackTarget { node: server.addr, tls: server.door.tls()? };
    let strike = Strike::begin(attack, target, time + SETTLED)?;
    let struck = crowd.pace(time)?;
    let after = usage(&server)?;
    let tally = strike.end()?;
    crowd.settle()?;
    server.check()?;
    let share =
        |index: usize| (after[index] - before[index]).as_secs_f64() * 100.0 / time.as_secs_f64();
    Ok(AttackRun {
        attack: attack.name(),
        round,
        calm,
        struck,
        tally,
        missing: crowd.missing(),
        lost: crowd.lost(),
        node_busy_percent: share(0),
        kept_waiting_percent: share(1),
    })
}

/// CPU time used, and time kept from the core.
fn usage(server: &Server) -> Result<[Duration; 2]> {
    Ok([server.cpu_time()?.unwrap_or_default(), server.cpu_wait()?.unwrap_or_default()])
}

fn heading(args: &AttackArgs, cores: &Cores) -> String {
    format!(
        "attack: {} members in {} rooms, {} messages/s of {} B in each, {} s without and {} s with \
         each attack, {} rounds, default limits; {}",
        args.members,
        args.rooms,
        args.rate,
        args.payload,
        args.seconds,
        args.seconds,
        args.rounds,
        cores.text()
    )
}
