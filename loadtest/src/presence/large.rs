//! One large room: changes in it, its list by pages, and how long the node lets another client
//! wait meanwhile.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use roomcast_protocol::{ClientFrame, JoinRoom, RequestId, RoomName, ServerFrame};
use serde_json::json;

use super::bystander::Bystander;
use super::calls::RedisCalls;
use super::churn::Churn;
use super::{Part, PresenceArgs, PresenceBench, spread};
use crate::children::Children;
use crate::engine::{Engine, EngineBatch, LinkId, Wait, What};
use crate::machine::Cores;
use crate::people::welcome;
use crate::print;
use crate::reader::Depth;
use crate::stats::{digits, millis};

/// How long a page may take.
const PAGE_WITHIN: Duration = Duration::from_secs(10);
/// Handshakes under way at once.
const AT_ONCE: usize = 64;

pub(super) fn measure(args: &PresenceArgs, cores: &Cores, children: &Children) -> Result<Part> {
    print::note(format_args!("large: {} members", args.large));
    let bench = PresenceBench::start(args, cores, "events", children)?;
    let mut engine = Engine::new(&bench.node.door)?;
    let links = welcome(&mut engine, &bench.dialect, &spread(args.large, 1)?, AT_ONCE)?.links;
    links.iter().for_each(|&link| engine.set_depth(link, Depth::Skim));
    let mut churn = Churn::new(&mut engine, &bench.dialect, vec!["load-0".to_owned()])?;
    // The room's own bookkeeping after the crowd is not what changes cost.
    super::idle::rest(&mut engine, Duration::from_secs(3))?;
    let bystander = Bystander::start(&bench)?;
    let (calls, cpu) = (RedisCalls::of(&bench.redis)?, bench.cpu()?);
    let time = Duration::from_secs_f64(args.seconds);
    churn.run(&mut engine, args.rate, time)?;
    let waits = bystander.end()?;
    let (calls, after) = (RedisCalls::of(&bench.redis)?.since(&calls), bench.cpu()?);
    let cpu = [after[0] - cpu[0], after[1] - cpu[1]];
    let (mut table, mut found) = churn.outcome(args.large, cpu, &calls);
    let (p99, longest) = (waits.share(0.99), waits.share(1.0));
    let bystander = Bystander::start(&bench)?;
    let list = read_list(&mut engine, &bench, links[0])?;
    let longest_of_list = bystander.end()?.share(1.0);
    table.row([
        "another client's ping:".to_owned(),
        format!("p99 {} ms", digits(p99)),
        format!("longest {} ms", digits(longest)),
    ]);
    table.row([
        "the list:".to_owned(),
        format!("{} members", list.members),
        format!("{} pages", list.pages),
        format!("{} KiB", list.bytes / 1024),
        format!("{} ms", digits(list.ms)),
        format!("ping at most {} ms", digits(longest_of_list)),
    ]);
    found["ping_p99_ms"] = json!(p99);
    found["ping_longest_ms"] = json!(longest);
    found["list"] = json!({
        "members": list.members, "pages": list.pages, "bytes": list.bytes, "ms": list.ms,
        "ping_longest_ms": longest_of_list,
    });
    let heading = format!(
        "presence, large: one room of {} members, {} joins and leaves/s, {} s",
        args.large, args.rate, args.seconds
    );
    Ok(("large", heading, table, found))
}

/// A list that was read to its end.
struct ReadList {
    members: usize,
    pages: usize,
    bytes: usize,
    ms: f64,
}

fn read_list(engine: &mut Engine, bench: &PresenceBench, link: LinkId) -> Result<ReadList> {
    engine.set_depth(link, Depth::Whole);
    let room = JoinRoom::new(RoomName::parse("load-0")?).room;
    let began = Instant::now();
    let mut list = ReadList { members: 0, pages: 0, bytes: 0, ms: 0.0 };
    let mut batch = EngineBatch::default();
    let mut page = None;
    loop {
        let id: RequestId = list.pages as u64 + 2;
        let frame = ClientFrame::Members { id: Some(id), room: room.clone(), page };
        engine.send(link, &bench.dialect.frame(&frame))?;
        let asked = Instant::now();
        page = 'page: loop {
            engine.turn(Wait::Sleep(PAGE_WITHIN), &mut batch)?;
            for arrival in &batch.arrivals {
                let What::Frame { payload, bytes } = &arrival.what else { continue };
                if arrival.link != link {
                    continue;
                }
                match bench.dialect.decode(&batch.bytes[payload.clone()])? {
                    ServerFrame::Members { members, more, .. } => {
                        list.members += members.len();
                        list.pages += 1;
                        list.bytes += *bytes as usize;
                        break 'page more;
                    }
                    ServerFrame::Error { code, message, .. } => {
                        bail!("a page was answered {}: {message}", code.as_str())
                    }
                    _ => {}
                }
            }
            asked.elapsed().lt(&PAGE_WITHIN).then_some(()).context("no page within 10 s")?;
        };
        if page.is_none() {
            list.ms = millis(began.elapsed());
            return Ok(list);
        }
    }
}
