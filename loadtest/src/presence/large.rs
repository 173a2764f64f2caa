//! One large room: changes in it, its list by pages, and how long the node lets another client
//! wait meanwhile.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use roomcast_protocol::{ClientFrame, JoinRoom, RequestId, RoomName, ServerFrame};
use serde_json::json;

use super::calls::RedisCalls;
use super::churn::{Churn, ChurnStep};
use super::{Part, PresenceArgs, PresenceBench, spread};
use crate::children::Children;
use crate::engine::{Engine, EngineBatch, LinkId, Wait, What};
use crate::machine::Cores;
use crate::people::{Guest, welcome};
use crate::print;
use crate::reader::Depth;
use crate::stats::{digits, millis, percentile};

/// How long a page may take.
const PAGE_WITHIN: Duration = Duration::from_secs(10);
/// Pause between two pings of the bystander.
const PING_EVERY: Duration = Duration::from_millis(5);
/// Handshakes under way at once.
const AT_ONCE: usize = 64;

/// A client in no room that asks for pongs: what it waits is what the node's only worker waits.
struct Bystander {
    link: LinkId,
    ping: Vec<u8>,
    /// When the ping was sent that is not answered.
    sent: Option<Instant>,
    next: Instant,
    waits: Vec<Duration>,
}

impl Bystander {
    fn step(&mut self, step: ChurnStep<'_>) -> Result<()> {
        match step {
            ChurnStep::Turn(engine) => {
                let now = Instant::now();
                if self.sent.is_none() && self.next <= now {
                    engine.send(self.link, &self.ping)?;
                    (self.sent, self.next) = (Some(now), now + PING_EVERY);
                }
            }
            ChurnStep::Frame(link, at) if link == self.link => {
                self.waits.extend(self.sent.take().map(|sent| at.saturating_duration_since(sent)));
            }
            ChurnStep::Frame(..) => {}
        }
        Ok(())
    }

    fn share(&mut self, share: f64) -> f64 {
        self.waits.sort_unstable();
        millis(percentile(&self.waits, share))
    }
}

pub(super) fn measure(args: &PresenceArgs, cores: &Cores, children: &Children) -> Result<Part> {
    print::note(format_args!("large: {} members", args.large));
    let bench = PresenceBench::start(args, cores, "events", children)?;
    let mut engine = Engine::new(&bench.node.door)?;
    let lone = [Guest { user: "bystander".to_owned(), joins: Vec::new() }];
    let link = welcome(&mut engine, &bench.dialect, &lone, 1)?.links[0];
    let links = welcome(&mut engine, &bench.dialect, &spread(args.large, 1)?, AT_ONCE)?.links;
    links.iter().for_each(|&link| engine.set_depth(link, Depth::Skim));
    let ping = bench.dialect.frame(&ClientFrame::Ping { id: Some(1) });
    let waits = Vec::new();
    let mut bystander = Bystander { link, ping, sent: None, next: Instant::now(), waits };
    let mut churn = Churn::new(&mut engine, &bench.dialect, vec!["load-0".to_owned()])?;
    // The room's own bookkeeping after the crowd is not what changes cost.
    super::idle::rest(&mut engine, Duration::from_secs(3))?;
    let (calls, cpu) = (RedisCalls::of(&bench.redis)?, bench.cpu()?);
    let time = Duration::from_secs_f64(args.seconds);
    churn.run(&mut engine, args.rate, time, |step| bystander.step(step))?;
    let (calls, after) = (RedisCalls::of(&bench.redis)?.since(&calls), bench.cpu()?);
    let cpu = [after[0] - cpu[0], after[1] - cpu[1]];
    let (mut table, mut found) = churn.outcome(args.large, cpu, &calls);
    let (p99, longest) = (bystander.share(0.99), bystander.share(1.0));
    bystander.waits.clear();
    bystander.sent = None;
    let list = read_list(&mut engine, &bench, links[0], &mut bystander)?;
    let longest_of_list = bystander.share(1.0);
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

fn read_list(
    engine: &mut Engine,
    bench: &PresenceBench,
    link: LinkId,
    bystander: &mut Bystander,
) -> Result<ReadList> {
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
            bystander.step(ChurnStep::Turn(engine))?;
            engine.turn(Wait::Sleep(Duration::from_millis(1)), &mut batch)?;
            for arrival in &batch.arrivals {
                let What::Frame { payload, bytes } = &arrival.what else { continue };
                let payload = &batch.bytes[payload.clone()];
                if arrival.link != link {
                    bystander.step(ChurnStep::Frame(arrival.link, arrival.at))?;
                    continue;
                }
                match bench.dialect.decode(payload)? {
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
