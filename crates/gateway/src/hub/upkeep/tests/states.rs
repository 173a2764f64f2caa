//! Rooms with state: which of them is forgotten first, and when a forgotten one is read.

use roomcast_bus::{RoomStateRead, StateValue};
use roomcast_protocol::{Message, StateKey};

use super::*;

/// A room with this state, as it was read: sizes of values, and how long each holds.
fn read_state(hub: &mut Hub, number: usize, values: &[(usize, Option<u64>)]) {
    hub.begin_state(&name(number));
    let (room, read, _) = hub.take_state_reads_due().pop().unwrap();
    let value = |(seq, &(bytes, left)): (Seq, &(usize, Option<u64>))| StateValue {
        message: Arc::new(Message {
            state_key: StateKey::parse(&format!("k{seq}")).ok(),
            ..message(seq, bytes)
        }),
        left: left.map(std::time::Duration::from_secs),
        points: Vec::new(),
    };
    let entries = (1..).zip(values).map(value).collect();
    let lineage = Lineage::new(EPOCH);
    let state = RoomStateRead { lineage, last: LAST, forgotten: 0, entries };
    hub.state_read_ended(room, read, Ok(state));
}

fn is_forgotten(hub: &Hub, number: usize) -> bool {
    hub.rooms[&name(number)].state.as_ref().unwrap().is_unread()
}

#[tokio::test]
async fn the_largest_state_goes_first() {
    let mut hub = hub_of_states(3);
    read_state(&mut hub, 0, &[(1000, None)]);
    read_state(&mut hub, 1, &[(MAX, None)]);
    read_state(&mut hub, 2, &[(1000, None)]);
    hub.keep_budget(None);
    assert_eq!([0, 1, 2].map(|number| is_forgotten(&hub, number)), [false, true, false]);
    assert!(hub.budget.used() <= MAX);
}

#[tokio::test]
async fn a_forgotten_state_is_read_when_a_value_ends() {
    let mut hub = hub_of_states(1);
    read_state(&mut hub, 0, &[(1000, Some(10)), (1000, None)]);
    assert!(hub.forget_state(&name(0)));
    let after = |seconds| Instant::now() + std::time::Duration::from_secs(seconds);
    hub.end_states(after(9));
    assert!(hub.take_state_reads_due().is_empty());
    hub.end_states(after(15));
    assert_eq!(hub.take_state_reads_due().len(), 1);
    // Also where it is forgotten again before the read has come.
    assert!(hub.forget_state(&name(0)));
    hub.end_states(after(25));
    assert_eq!(hub.take_state_reads_due().len(), 1);
    read_state(&mut hub, 0, &[(1000, Some(0)), (1000, None)]);
    assert_eq!(hub.metrics.rooms.state_ends.get(), 1, "it is removed before it may be forgotten");

    // A value that comes while nothing else is known ends, too.
    assert!(hub.forget_state(&name(0)));
    let ends = hub.rooms[&name(0)].state_end;
    let timed = Message { ttl_ms: Some(100), ..message(LAST + 1, 10) };
    let event = FeedEvent::Messages(vec![Arc::new(timed)]);
    hub.feed(vec![RoomEvent { room: name(0), event }]);
    assert!(ends.is_none_or(|ends| hub.rooms[&name(0)].state_end.unwrap() <= ends));
    hub.end_states(after(5));
    assert_eq!(hub.take_state_reads_due().len(), 1);
}
