//! Signals of one key (room, connection, event) of which the newest goes out, at most one every 50 ms.
//! Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use hashbrown::HashMap;
use roomcast_bus::Signal;
use roomcast_protocol::{ConnectionId, EventName, RoomName};
use tokio::time::Instant;

/// Least time between two signals of a key.
const PERIOD: Duration = Duration::from_millis(50);

type SignalPlace = (ConnectionId, RoomName);

/// All keys of which a signal went out within the period.
#[derive(Debug, Default)]
pub(super) struct Conflation {
    /// The newest signal that waits, of each event.
    waiting: HashMap<SignalPlace, HashMap<EventName, Option<Signal>>>,
    due: BTreeSet<(Instant, SignalPlace, EventName)>,
}

/// What becomes of a signal.
#[derive(Debug, PartialEq)]
pub(super) enum Conflated {
    /// It goes out now.
    Now(Signal),
    /// It waits.
    Waits,
    /// It waits, in place of an older one.
    Replaces,
}

impl Conflation {
    pub(super) fn offer(
        &mut self,
        connection: ConnectionId,
        room: &RoomName,
        signal: Signal,
        now: Instant,
    ) -> Conflated {
        let place = (connection, room.clone());
        let events = self.waiting.entry(place.clone()).or_default();
        if let Some(waiting) = events.get_mut(&signal.event) {
            return match waiting.replace(signal) {
                Some(_) => Conflated::Replaces,
                None => Conflated::Waits,
            };
        }
        events.insert(signal.event.clone(), None);
        self.due.insert((now + PERIOD, place, signal.event.clone()));
        Conflated::Now(signal)
    }

    /// Takes out the signals that wait of a connection that leaves a room.
    pub(super) fn take_of(&mut self, connection: ConnectionId, room: &RoomName) -> Vec<Signal> {
        let events = self.waiting.get_mut(&(connection, room.clone()));
        // The keys stay for their period.
        events.map_or(Vec::new(), |all| all.values_mut().filter_map(Option::take).collect())
    }

    /// When something is due next.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(at, ..)| *at)
    }

    /// Takes out a signal whose time has come.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<(RoomName, Signal)> {
        while self.next_due()? <= now {
            let (_, place, event) = self.due.pop_first()?;
            let Some(events) = self.waiting.get_mut(&place) else { continue };
            if let Some(signal) = events.get_mut(&event).and_then(Option::take) {
                let room = place.1.clone();
                self.due.insert((now + PERIOD, place, event));
                return Some((room, signal));
            }
            events.remove(&event);
            if events.is_empty() {
                self.waiting.remove(&place);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use roomcast_protocol::Data;

    use super::*;

    fn signal(event: &str, number: u32) -> Signal {
        let event = EventName::parse(event).unwrap();
        let data = Some(Data::json(number.to_string().into_bytes()).unwrap());
        Signal { user: None, connection: None, event, data }
    }

    #[test]
    fn what_waits_goes_with_its_connection() {
        let (mut conflation, now) = (Conflation::default(), Instant::now());
        let [a, b] = ["a", "b"].map(|name| RoomName::parse(name).unwrap());
        for (id, room) in [(1, &a), (1, &b), (2, &a)] {
            for number in 0..3 {
                conflation.offer(ConnectionId(id), room, signal("cursor", number), now);
            }
        }
        assert_eq!(conflation.take_of(ConnectionId(1), &a).len(), 1);
        assert_eq!(conflation.take_of(ConnectionId(1), &a).len(), 0);
        let again = conflation.offer(ConnectionId(1), &b, signal("cursor", 3), now);
        assert_eq!(again, Conflated::Replaces);
        let taken = std::iter::from_fn(|| conflation.take_due(now + PERIOD));
        assert_eq!(taken.map(|(room, _)| room).collect::<Vec<_>>(), [b, a]);
    }

    #[test]
    fn the_newest_of_a_key_goes_out_every_50_ms_and_the_last_always() {
        let (mut conflation, start) = (Conflation::default(), Instant::now());
        let room = RoomName::parse("a").unwrap();
        let mut sent = Vec::new();
        // One every 16 ms for a second, and another key that is alone.
        for number in 0..60 {
            let now = start + Duration::from_millis(u64::from(number) * 16);
            while let Some((_, signal)) = conflation.take_due(now) {
                sent.push((now, signal));
            }
            if let Conflated::Now(signal) =
                conflation.offer(ConnectionId(1), &room, signal("cursor", number), now)
            {
                sent.push((now, signal));
            }
        }
        let other = conflation.offer(ConnectionId(2), &room, signal("cursor", 0), start);
        assert_eq!(other, Conflated::Now(signal("cursor", 0)));
        let end = start + Duration::from_secs(2);
        while let Some((_, signal)) = conflation.take_due(end) {
            sent.push((end, signal));
        }
        assert_eq!(sent.last().unwrap().1, signal("cursor", 59));
        assert!(sent.windows(2).all(|pair| pair[1].0 - pair[0].0 >= PERIOD));
        assert!((15..=21).contains(&sent.len()), "{}", sent.len());
        assert_eq!(conflation.take_due(end + PERIOD), None);
        assert!(conflation.waiting.is_empty() && conflation.due.is_empty());
    }
}
