//! Memberships against a model, and their cost where there are as many as there may be.

use std::collections::HashMap as Model;

use proptest::prelude::*;

use super::*;

/// The most that `limits.rooms_per_connection` allows.
const MAX_ROOMS: u32 = 65_536;

fn rooms(count: u32) -> Vec<RoomId> {
    (0..count).map(|index| RoomId { index, generation: 7 }).collect()
}

/// Every room that the model has is found at its index, and no other.
#[track_caller]
fn check(memberships: &Memberships, rooms: &[RoomId], model: &Model<usize, u32>) {
    for (number, &room) in rooms.iter().enumerate() {
        let found = memberships.of(room);
        assert_eq!(found.map(|(at, _)| at), model.get(&number).copied());
        assert!(found.is_none_or(|(_, membership)| membership.room == room));
    }
    let mut indices: Vec<u32> = model.values().copied().collect();
    indices.sort_unstable();
    let found: Vec<u32> = memberships.iter().map(|(at, _)| at).collect();
    assert_eq!(found, indices, "each has an index of its own");
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
                    let left = memberships.remove(at).expect("it is there");
                    prop_assert_eq!(left.room, rooms[number]);
                    prop_assert!(memberships.remove(at).is_none());
                }
                None => drop(model.insert(number, memberships.add(rooms[number], Some(0)))),
            }
            check(&memberships, &rooms, &model);
        }
        for at in model.into_values() {
            memberships.remove(at).expect("it is there");
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
    for (at, room) in (0..).zip(rooms.iter().copied()) {
        assert_eq!(memberships.add(room, Some(0)), at);
    }
    assert_eq!(memberships.iter().count(), MAX_ROOMS as usize);
    for _ in 0..3 {
        for (at, room) in (0..).zip(rooms.iter().copied()) {
            assert_eq!(memberships.of(room).map(|(at, _)| at), Some(at));
        }
        for at in (0..MAX_ROOMS).step_by(2) {
            memberships.remove(at).expect("it is there");
        }
        for &room in rooms.iter().step_by(2).rev() {
            memberships.add(room, Some(0));
        }
        assert_eq!(memberships.places.len(), rooms.len(), "places that were left are taken again");
        for (number, &room) in rooms.iter().enumerate().step_by(2) {
            let (at, _) = memberships.of(room).expect("it is there");
            assert!(at.is_multiple_of(2), "room {number} took another's place");
            memberships.remove(at);
        }
        // The last odd place stays taken, so that the vector keeps its length.
        for &room in rooms.iter().step_by(2) {
            memberships.add(room, Some(0));
        }
        let again: Vec<u32> = rooms.iter().map(|&room| memberships.of(room).unwrap().0).collect();
        for at in again {
            memberships.remove(at).expect("it is there");
        }
        for &room in &rooms {
            memberships.add(room, Some(0));
        }
    }
    for at in 0..MAX_ROOMS {
        memberships.remove(at).expect("it is there");
    }
    assert!(memberships.index.is_none());
    assert_eq!(memberships.places.capacity(), 0);
}
