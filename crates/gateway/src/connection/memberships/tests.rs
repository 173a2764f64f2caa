//! Memberships against a model, and their cost where there are as many as there may be.

use std::collections::HashMap as Model;

use proptest::prelude::*;

use super::*;
use crate::tests::room;

/// The most that `limits.rooms_per_connection` allows.
const MAX_ROOMS: usize = 65_536;

fn rooms(count: usize) -> Vec<Rc<Room>> {
    let one = room();
    let like_it = |_| {
        let namespace = one.namespace.borrow().clone();
        Rc::new(Room { name: one.name.clone(), namespace: namespace.into(), state: empty() })
    };
    (0..count).map(like_it).collect()
}

fn empty() -> std::cell::RefCell<crate::room::RoomState> {
    crate::room::RoomState::asked(1).into()
}

/// Every room that the model has is found at its index, and no other.
#[track_caller]
fn check(memberships: &Memberships, rooms: &[Rc<Room>], model: &Model<usize, u32>) {
    for (number, room) in rooms.iter().enumerate() {
        let found = memberships.of(room);
        assert_eq!(found.map(|(at, _)| at), model.get(&number).copied());
        assert!(found.is_none_or(|(_, membership)| Rc::ptr_eq(&membership.room, room)));
    }
    let mut indices: Vec<u32> = model.values().copied().collect();
    indices.sort_unstable();
    assert_eq!(memberships.indices(), indices, "each has an index of its own");
    assert!(memberships.index.is_some() || memberships.places.len() <= MAX_SEARCHED);
}

proptest! {
    /// Rooms are entered and left in any order, below and above the number that has an index.
    #[test]
    fn each_room_keeps_its_index(steps in prop::collection::vec(0..40usize, 1..200)) {
        let rooms = rooms(40);
        let (mut memberships, mut model) = (Memberships::default(), Model::new());
        for number in steps {
            match model.remove(&number) {
                Some(at) => {
                    let left = memberships.exit(at).expect("it is there");
                    prop_assert!(Rc::ptr_eq(&left.room, &rooms[number]));
                    prop_assert!(memberships.exit(at).is_none());
                }
                None => drop(model.insert(number, memberships.enter(rooms[number].clone()))),
            }
            check(&memberships, &rooms, &model);
        }
        for at in model.into_values() {
            memberships.exit(at).expect("it is there");
        }
        prop_assert!(memberships.index.is_none());
        prop_assert_eq!(memberships.places.capacity(), 0);
    }
}

/// As many as may be have different indices, and are all found; their memory is given back. With a
/// search for each this would take 10^10 steps.
#[test]
fn as_many_rooms_as_may_be() {
    let rooms = rooms(MAX_ROOMS);
    let mut memberships = Memberships::default();
    for (at, room) in (0..).zip(&rooms) {
        assert_eq!(memberships.enter(room.clone()), at);
    }
    assert_eq!(memberships.indices().len(), MAX_ROOMS);
    for _ in 0..3 {
        for (at, room) in (0..).zip(&rooms) {
            assert_eq!(memberships.of(room).map(|(at, _)| at), Some(at));
        }
        for at in (0..MAX_ROOMS as u32).step_by(2) {
            memberships.exit(at).expect("it is there");
        }
        for room in rooms.iter().step_by(2).rev() {
            memberships.enter(room.clone());
        }
        assert_eq!(memberships.places.len(), MAX_ROOMS, "places that were left are taken again");
        for (number, room) in rooms.iter().enumerate().step_by(2) {
            let (at, _) = memberships.of(room).expect("it is there");
            assert!(at.is_multiple_of(2), "room {number} took another's place");
            memberships.exit(at);
        }
        // The last odd place stays taken, so that the vector keeps its length.
        for room in rooms.iter().step_by(2) {
            memberships.enter(room.clone());
        }
        let again: Vec<u32> = rooms.iter().map(|room| memberships.of(room).unwrap().0).collect();
        for at in again {
            memberships.exit(at).expect("it is there");
        }
        for room in &rooms {
            memberships.enter(room.clone());
        }
    }
    for at in memberships.indices() {
        memberships.exit(at).expect("it is there");
    }
    assert!(memberships.index.is_none());
    assert_eq!(memberships.places.capacity(), 0);
}
