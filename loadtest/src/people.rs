//! Clients with names: they come, join rooms as users do, and are ready when each room has said
//! `joined`. What else they receive meanwhile is dropped.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use roomcast_protocol::{ClientFrame, ErrorCode, JoinRoom, ServerFrame};

use crate::dialect::Dialect;
use crate::engine::{Engine, EngineBatch, LinkId, Wait, What};
use crate::reader::Depth;

/// How long no guest at all may get further.
const STALL: Duration = Duration::from_secs(30);
/// Pause before a join that was refused for a while is sent again, as a client's would be.
const RETRY: Duration = Duration::from_millis(500);
/// How long one turn may sleep.
const NAP: Duration = Duration::from_millis(20);

/// A client to be.
#[derive(Debug, Clone)]
pub(crate) struct Guest {
    pub(crate) user: String,
    pub(crate) joins: Vec<JoinRoom>,
}

/// The guests that have joined.
#[derive(Debug)]
pub(crate) struct Welcomed {
    /// In their order.
    pub(crate) links: Vec<LinkId>,
    /// Joins that were refused for a while and sent again.
    pub(crate) repeated: u64,
}

/// Opens a link for each guest, `at_once` of them under way, and waits until all have joined.
pub(crate) fn welcome(
    engine: &mut Engine,
    dialect: &Dialect,
    guests: &[Guest],
    at_once: usize,
) -> Result<Welcomed> {
    let mut links: Vec<LinkId> = Vec::with_capacity(guests.len());
    // By link: the guest, and the `joined` that are to come; `None` before `connected`.
    let mut places: Vec<Option<(usize, Option<usize>)>> = Vec::new();
    let (mut ready, mut last) = (0, Instant::now());
    let mut batch = EngineBatch::default();
    let mut again: VecDeque<(Instant, LinkId, JoinRoom)> = VecDeque::new();
    let mut repeated = 0;
    while ready < guests.len() {
        while again.front().is_some_and(|(at, ..)| *at <= Instant::now()) {
            let Some((_, link, join)) = again.pop_front() else { break };
            let frame = ClientFrame::Join { id: Some(1), rooms: vec![join] };
            engine.send(link, &dialect.frame(&frame))?;
            repeated += 1;
        }
        while links.len() < guests.len() && links.len() - ready < at_once {
            let guest = links.len();
            let request = dialect.request_as(&guests[guest].user);
            let link = engine.open_as(dialect.addr, &request, &guests[guest].user)?;
            places.resize(places.len().max(link + 1), None);
            places[link] = Some((guest, None));
            links.push(link);
        }
        engine.turn(Wait::Sleep(NAP), &mut batch)?;
        for arrival in &batch.arrivals {
            let Some(Some((guest, left))) = places.get_mut(arrival.link) else { continue };
            let payload = match &arrival.what {
                What::Frame { payload, .. } => &batch.bytes[payload.clone()],
                What::Ended(why) => bail!("a guest lost its link: {why}"),
                What::Upgraded | What::Counted { .. } => continue,
            };
            let before = *left;
            match (dialect.decode(payload)?, before) {
                (ServerFrame::Error { code, room: Some(room), .. }, _) if may_pass(code) => {
                    let mut joins = guests[*guest].joins.iter();
                    let join = joins.find(|join| join.room == room).cloned();
                    again.extend(join.map(|join| (Instant::now() + RETRY, arrival.link, join)));
                }
                (ServerFrame::Error { code, message, .. }, _) => {
                    bail!("a guest was answered {}: {message}", code.as_str())
                }
                (ServerFrame::Connected { .. }, _) => {
                    let rooms = guests[*guest].joins.clone();
                    *left = Some(rooms.len());
                    if !rooms.is_empty() {
                        let join = ClientFrame::Join { id: Some(1), rooms };
                        engine.send(arrival.link, &dialect.frame(&join))?;
                    }
                }
                (ServerFrame::Joined { .. }, Some(rooms)) => *left = Some(rooms.saturating_sub(1)),
                _ => {}
            }
            if *left == Some(0) && before != Some(0) {
                ready += 1;
                // What comes from now on is not read: to decode it would be the load's own time.
                engine.set_depth(arrival.link, Depth::Skim);
                last = Instant::now();
            }
        }
        if last.elapsed() > STALL {
            bail!("{ready} of {} guests are ready and no other for 30 s", guests.len());
        }
    }
    links.iter().for_each(|&link| engine.set_depth(link, Depth::Whole));
    Ok(Welcomed { links, repeated })
}

fn may_pass(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::BusUnavailable | ErrorCode::Overloaded | ErrorCode::RateLimited)
}
