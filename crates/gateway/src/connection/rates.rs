//! What one connection has used of its rates, and whether it keeps sending above them. Limits and
//! the time come in with each call: it knows no configuration and no clock.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use roomcast_access::rate::{ExcessVerdict, ExcessWatch, RateLimit};
use roomcast_metrics::LimitName;
use roomcast_protocol::RoomName;

use crate::meter::Meter;

/// Rooms that a connection remembers to exist, as it published there.
const REMEMBERED_ROOMS: usize = 128;
/// Errors without a number are sent once in this time.
const UNNUMBERED_INTERVAL: Duration = Duration::from_secs(1);

/// What a request is above, and when it may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Excess {
    pub(crate) limit: LimitName,
    pub(crate) wait: Duration,
}

/// Why a frame is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WireExcess {
    /// It is above a rate.
    Refused(Excess),
    /// The connection has been above this rate for too long, or by too much: it is to end.
    TooMuch(LimitName),
}

/// A kind of request with a rate of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestRate {
    Join,
    Read,
}

/// The rates of one connection.
#[derive(Debug, Default)]
pub(crate) struct ConnectionRates {
    frames: Meter,
    inbound: Meter,
    /// What a connection that only listens does not need.
    requests: Option<Box<RequestRates>>,
}

#[derive(Debug, Default)]
struct RequestRates {
    joins: Meter,
    reads: Meter,
    created: Meter,
    /// Publishes whose ack may show that they began a room.
    beginning: u32,
    /// Joins with `since` that were free.
    free_joins: usize,
    /// One for each namespace, by its name.
    publishes: Vec<(Arc<str>, Meter)>,
    signals: Vec<(Arc<str>, Meter)>,
    /// The last rooms that it published in, as hashes, and the place of the next.
    rooms: Vec<u64>,
    next_room: usize,
    /// The message that is arriving is above a rate.
    refused: Option<Excess>,
    /// When the last error without a number was sent.
    unnumbered: Option<Duration>,
    frames_excess: Option<ExcessWatch>,
    inbound_excess: Option<ExcessWatch>,
}

/// The meter of a namespace among those of a connection. There are as many as namespaces.
fn meter_of<'a>(meters: &'a mut Vec<(Arc<str>, Meter)>, namespace: &Arc<str>) -> &'a mut Meter {
    let known = meters.iter().position(|(name, _)| name == namespace);
    let at = known.unwrap_or_else(|| {
        meters.push((namespace.clone(), Meter::default()));
        meters.len() - 1
    });
    &mut meters[at].1
}

impl ConnectionRates {
    /// Takes one frame.
    pub(crate) fn take_frame(
        &mut self,
        limit: Option<RateLimit>,
        now: Duration,
    ) -> Result<(), WireExcess> {
        let Err(wait) = self.frames.take(limit, 1, now) else { return Ok(()) };
        let watch = &mut self.requests().frames_excess;
        Err(judge(watch, (limit, 1), Excess { limit: LimitName::Frames, wait }, now))
    }

    /// Takes bytes of payload.
    pub(crate) fn take_bytes(
        &mut self,
        limit: Option<RateLimit>,
        bytes: usize,
        now: Duration,
    ) -> Result<(), WireExcess> {
        let Err(wait) = self.inbound.take(limit, bytes as u64, now) else { return Ok(()) };
        let watch = &mut self.requests().inbound_excess;
        let excess = Excess { limit: LimitName::InboundRate, wait };
        Err(judge(watch, (limit, bytes as u64), excess, now))
    }

    /// The message of which a frame was refused is refused as a whole, once it is there.
    pub(crate) fn refuse_message(&mut self, excess: Excess) {
        self.requests().refused = Some(excess);
    }

    /// Whether a frame of the message that is there now was refused.
    pub(crate) fn take_refused_message(&mut self) -> Option<Excess> {
        self.requests.as_mut()?.refused.take()
    }

    /// How many of these joins with `since` are free; at most `most` are, over all of the
    /// connection's life.
    pub(crate) fn free_joins(&self, count: usize, most: usize) -> usize {
        let used = self.requests.as_ref().map_or(0, |requests| requests.free_joins);
        count.min(most.saturating_sub(used))
    }

    /// So many joins were free.
    pub(crate) fn use_free_joins(&mut self, count: usize) {
        if count > 0 {
            self.requests().free_joins += count;
        }
    }

    /// Takes one request of a kind.
    pub(crate) fn take_request(
        &mut self,
        kind: RequestRate,
        limit: Option<RateLimit>,
        now: Duration,
    ) -> Result<(), Excess> {
        let requests = self.requests();
        let (meter, name) = match kind {
            RequestRate::Join => (&mut requests.joins, LimitName::Joins),
            RequestRate::Read => (&mut requests.reads, LimitName::Reads),
        };
        meter.take(limit, 1, now).map_err(|wait| Excess { limit: name, wait })
    }

    /// Takes one publish in a namespace.
    pub(crate) fn take_publish(
        &mut self,
        namespace: &Arc<str>,
        limit: Option<RateLimit>,
        now: Duration,
    ) -> Result<(), Excess> {
        let taken = meter_of(&mut self.requests().publishes, namespace).take(limit, 1, now);
        taken.map_err(|wait| Excess { limit: LimitName::PublishRate, wait })
    }

    /// Takes one signal in a namespace.
    pub(crate) fn take_signal(
        &mut self,
        namespace: &Arc<str>,
        limit: Option<RateLimit>,
        now: Duration,
    ) -> Result<(), Excess> {
        let taken = meter_of(&mut self.requests().signals, namespace).take(limit, 1, now);
        taken.map_err(|wait| Excess { limit: LimitName::SignalRate, wait })
    }

    /// Whether the connection published in this room lately, so that a publish does not begin it.
    pub(crate) fn remembers(&self, room: &RoomName) -> bool {
        self.requests.as_ref().is_some_and(|requests| requests.rooms.contains(&hash_of(room)))
    }

    /// Reserves a room that a publish may begin, until [`Self::note_published`] is called.
    pub(crate) fn reserve_room(
        &mut self,
        limit: Option<RateLimit>,
        now: Duration,
    ) -> Result<(), Excess> {
        let requests = self.requests();
        let units = u64::from(requests.beginning) + 1;
        let looked = requests.created.look(limit, units, now);
        looked.map_err(|wait| Excess { limit: LimitName::CreatedRooms, wait })?;
        requests.beginning += 1;
        Ok(())
    }

    /// A publish for which a room was reserved is answered.
    pub(crate) fn release_room(&mut self) {
        let requests = self.requests();
        requests.beginning = requests.beginning.saturating_sub(1);
    }

    /// A publish began a room.
    pub(crate) fn note_created(&mut self, limit: Option<RateLimit>, now: Duration) {
        // Where it does not fit, the room was not reserved: it existed before and ended.
        let _counted = self.requests().created.take(limit, 1, now);
    }

    /// A room exists: a publish in it was acknowledged.
    pub(crate) fn remember(&mut self, room: &RoomName) {
        if self.remembers(room) {
            return;
        }
        let requests = self.requests();
        if requests.rooms.len() < REMEMBERED_ROOMS {
            requests.rooms.push(hash_of(room));
            return;
        }
        requests.rooms[requests.next_room] = hash_of(room);
        requests.next_room = (requests.next_room + 1) % REMEMBERED_ROOMS;
    }

    /// Whether an error without a number may be sent now.
    pub(crate) fn may_send_unnumbered(&mut self, now: Duration) -> bool {
        let last = &mut self.requests().unnumbered;
        if last.is_some_and(|last| now.saturating_sub(last) < UNNUMBERED_INTERVAL) {
            return false;
        }
        *last = Some(now);
        true
    }

    fn requests(&mut self) -> &mut RequestRates {
        self.requests.get_or_insert_default()
    }
}

fn judge(
    watch: &mut Option<ExcessWatch>,
    (limit, units): (Option<RateLimit>, u64),
    excess: Excess,
    now: Duration,
) -> WireExcess {
    let rate = limit.map_or(u64::MAX, RateLimit::count);
    let watch = watch.get_or_insert_with(|| ExcessWatch::new(now));
    match watch.refused(units, rate, now) {
        ExcessVerdict::Keep => WireExcess::Refused(excess),
        ExcessVerdict::Close => WireExcess::TooMuch(excess.limit),
    }
}

fn hash_of(room: &RoomName) -> u64 {
    let mut hasher = DefaultHasher::new();
    room.as_str().hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(3);

    fn room(number: usize) -> RoomName {
        RoomName::parse(&format!("r{number}")).unwrap()
    }

    #[test]
    fn ten_times_the_rate_refused_ends_it() {
        let limit = RateLimit::per_second(5, 5);
        let mut rates = ConnectionRates::default();
        let taken: Vec<_> = (0..55).map(|_| rates.take_frame(limit, NOW)).collect();
        assert!(taken[..5].iter().all(Result::is_ok));
        assert!(taken[5..54].iter().all(|frame| matches!(frame, Err(WireExcess::Refused(_)))));
        assert_eq!(taken[54], Err(WireExcess::TooMuch(LimitName::Frames)));
    }

    #[test]
    fn rooms_that_may_begin_are_reserved() {
        let limit = RateLimit::per_minute(2);
        let mut rates = ConnectionRates::default();
        assert!(rates.reserve_room(limit, NOW).is_ok() && rates.reserve_room(limit, NOW).is_ok());
        assert_eq!(rates.reserve_room(limit, NOW).unwrap_err().limit, LimitName::CreatedRooms);
        // The first existed, the second was begun.
        rates.release_room();
        rates.release_room();
        rates.note_created(limit, NOW);
        assert!(rates.reserve_room(limit, NOW).is_ok());
        assert!(rates.reserve_room(limit, NOW).is_err());
    }

    #[test]
    fn the_last_rooms_are_remembered() {
        let mut rates = ConnectionRates::default();
        for number in 0..=REMEMBERED_ROOMS {
            rates.remember(&room(number));
        }
        assert!(!rates.remembers(&room(0)) && rates.remembers(&room(1)));
        assert!(rates.remembers(&room(REMEMBERED_ROOMS)));
    }

    #[test]
    fn free_joins_are_counted_once() {
        let mut rates = ConnectionRates::default();
        assert_eq!(rates.free_joins(3, 4), 3);
        rates.use_free_joins(3);
        assert_eq!(rates.free_joins(3, 4), 1);
    }

    #[test]
    fn errors_without_a_number_come_once_a_second() {
        let mut rates = ConnectionRates::default();
        let at = |ms| NOW + Duration::from_millis(ms);
        let sent: Vec<_> =
            [0, 1, 999, 1_000, 1_500].map(|ms| rates.may_send_unnumbered(at(ms))).into();
        assert_eq!(sent, [true, false, false, true, false]);
    }
}
