//! Members that do nothing: presence must ask nothing of Redis for them.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;

use super::calls::RedisCalls;
use super::{Part, PresenceArgs, PresenceBench, spread};
use crate::children::Children;
use crate::engine::{Engine, EngineBatch, Wait};
use crate::machine::Cores;
use crate::people::welcome;
use crate::print;
use crate::stats::digits;
use crate::table::Table;

/// Handshakes under way at once.
const AT_ONCE: usize = 64;
/// How long the joins' own work may take after the last `joined`.
const SETTLE: Duration = Duration::from_secs(3);

pub(super) fn measure(args: &PresenceArgs, cores: &Cores, children: &Children) -> Result<Part> {
    let time = Duration::from_secs_f64(args.seconds);
    let mut table = Table::new(["members", "commands/s", "scripts/s", "node CPU %", "Redis CPU %"]);
    let mut found = Vec::new();
    for members in [(args.members / 10).max(1), args.members] {
        print::note(format_args!("idle: {members} members"));
        let bench = PresenceBench::start(args, cores, "events", children)?;
        let mut engine = Engine::new(&bench.node.door)?;
        welcome(&mut engine, &bench.dialect, &spread(members, args.rooms)?, AT_ONCE)?;
        rest(&mut engine, SETTLE)?;
        let (before, cpu, began) = (RedisCalls::of(&bench.redis)?, bench.cpu()?, Instant::now());
        rest(&mut engine, time)?;
        let (after, cpu_after) = (RedisCalls::of(&bench.redis)?, bench.cpu()?);
        let seconds = began.elapsed().as_secs_f64();
        let calls = after.since(&before);
        let per_second = |calls: u64| calls as f64 / seconds;
        let busy = |index: usize| (cpu_after[index] - cpu[index]).as_secs_f64() * 100.0 / seconds;
        table.row([
            members.to_string(),
            digits(per_second(calls.all())),
            digits(per_second(calls.scripts())),
            digits(busy(0)),
            digits(busy(1)),
        ]);
        found.push(json!({
            "members": members,
            "commands_per_second": per_second(calls.all()),
            "scripts_per_second": per_second(calls.scripts()),
            "node_busy_percent": busy(0),
            "redis_busy_percent": busy(1),
            "calls": calls.by_name(),
        }));
    }
    let heading = format!(
        "presence, idle: members in {} rooms, {} s; commands within scripts count",
        args.rooms, args.seconds
    );
    Ok(("idle", heading, table, json!(found)))
}

/// Reads what comes, for so long.
pub(super) fn rest(engine: &mut Engine, time: Duration) -> Result<()> {
    let until = Instant::now() + time;
    let mut batch = EngineBatch::default();
    while let Some(left) = until.checked_duration_since(Instant::now()).filter(|d| !d.is_zero()) {
        engine.turn(Wait::Sleep(left.min(Duration::from_millis(100))), &mut batch)?;
    }
    Ok(())
}
