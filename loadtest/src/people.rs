//! Clients with names: they come, join rooms as users do, and are ready when each room has said
//! `joined`. What else they receive meanwhile is dropped.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use roomcast_protocol::{ClientFrame, JoinRoom, ServerFrame};

use crate::dialect::Dialect;
use crate::engine::{Engine, EngineBatch, LinkId, Wait, What};

/// How long no guest at all may get further.
const STALL: Duration = Duration::from_secs(30);
/// How long one turn may sleep.
const NAP: Duration = Duration::from_millis(20);

/// A client to be.
#[derive(Debug, Clone)]
pub(crate) struct Guest {
    pub(crate) user: String,
    pub(crate) joins: Vec<JoinRoom>,
}

/// Opens a link for each guest, `at_once` handshakes under way, and waits until all have joined;
/// returns them in that order.
pub(crate) fn welcome(
    engine: &mut Engine,
    dialect: &Dialect,
    guests: &[Guest],
    at_once: usize,
) -> Result<Vec<LinkId>> {
    let mut links: Vec<LinkId> = Vec::with_capacity(guests.len());
    // By link: the guest, and the `joined` that are to come; `None` before `connected`.
    let mut places: Vec<Option<(usize, Option<usize>)>> = Vec::new();
    let (mut ready, mut last) = (0, Instant::now());
    let mut batch = EngineBatch::default();
    while ready < guests.len() {
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
                last = Instant::now();
            }
        }
        if last.elapsed() > STALL {
            bail!("{ready} of {} guests are ready and no other for 30 s", guests.len());
        }
    }
    Ok(links)
}
