//! A crowd that comes at once, each user with a room of its own and in ten others: with presence,
//! and without.

use std::time::Instant;

use anyhow::Result;
use roomcast_protocol::{JoinRoom, RoomName};
use serde_json::json;

use super::calls::RedisCalls;
use super::{Part, PresenceArgs, PresenceBench};
use crate::children::Children;
use crate::engine::Engine;
use crate::machine::Cores;
use crate::people::{Guest, welcome};
use crate::print;
use crate::stats::digits;
use crate::table::Table;

/// Other rooms of each user.
const ROOMS_EACH: usize = 10;
/// Handshakes under way at once: as many as a crowd has that lost its node.
const AT_ONCE: usize = 1000;

pub(super) fn measure(args: &PresenceArgs, cores: &Cores, children: &Children) -> Result<Part> {
    let mut table = Table::new([
        "presence",
        "seconds",
        "users/s",
        "joins again",
        "scripts",
        "commands",
        "commands each",
        "node µs each",
        "Redis µs each",
    ]);
    let mut found = Vec::new();
    for presence in ["off", "events"] {
        print::note(format_args!("crowd: {} users, presence {presence}", args.crowd));
        let bench = PresenceBench::start(args, cores, presence, children)?;
        let guest = |user: usize| {
            let shared = (0..ROOMS_EACH).map(|n| (user * ROOMS_EACH + n * 17) % args.crowd_rooms);
            let rooms = shared
                .map(|room| format!("load-{room}"))
                .collect::<std::collections::BTreeSet<_>>();
            let join = |room: &str| {
                let room = RoomName::parse(room)?;
                Ok(JoinRoom { presence: true, ..JoinRoom::new(room) })
            };
            let names = rooms.iter().map(String::as_str).chain(["@me"]);
            let joins = names.map(join).collect::<Result<_>>()?;
            Ok(Guest { user: format!("user-{user}"), joins })
        };
        let guests = (0..args.crowd).map(guest).collect::<Result<Vec<_>>>()?;
        let mut engine = Engine::new(&bench.node.door)?;
        let (calls, cpu, began) = (RedisCalls::of(&bench.redis)?, bench.cpu()?, Instant::now());
        let repeated = welcome(&mut engine, &bench.dialect, &guests, AT_ONCE)?.repeated;
        let seconds = began.elapsed().as_secs_f64();
        let (calls, after) = (RedisCalls::of(&bench.redis)?.since(&calls), bench.cpu()?);
        let users = args.crowd as f64;
        let each = |index: usize| (after[index] - cpu[index]).as_secs_f64() * 1e6 / users;
        table.row([
            presence.to_owned(),
            digits(seconds),
            digits(users / seconds),
            repeated.to_string(),
            calls.scripts().to_string(),
            calls.all().to_string(),
            digits(calls.all() as f64 / users),
            digits(each(0)),
            digits(each(1)),
        ]);
        found.push(json!({
            "presence": presence,
            "seconds": seconds,
            "users_per_second": users / seconds,
            "joins_repeated": repeated,
            "node_micros_each": each(0),
            "redis_micros_each": each(1),
            "calls": calls.by_name(),
        }));
    }
    let heading = format!(
        "presence, crowd: {} users at once, each in @me and in ten of {} rooms",
        args.crowd, args.crowd_rooms
    );
    Ok(("crowd", heading, table, json!(found)))
}
