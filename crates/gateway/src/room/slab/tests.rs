//! The slab against a model: rooms come and go, and no id finds a room but its own.

use proptest::prelude::*;

use super::*;
use crate::room::RoomState;
use crate::tests::settings;

fn add(slab: &mut RoomSlab, number: usize) -> Rc<Room> {
    let name = RoomName::parse(&format!("r{number}")).unwrap();
    let namespace = settings(&[]).namespace_of(&name).clone().into();
    slab.add(|id| Room { id, name, namespace, state: RoomState::asked(1).into() })
}

fn of(slab: &RoomSlab, number: usize) -> Option<Rc<Room>> {
    slab.by_name(&RoomName::parse(&format!("r{number}")).unwrap()).cloned()
}

proptest! {
    #[test]
    fn an_id_finds_its_own_room_only(steps in prop::collection::vec(0..20usize, 1..100)) {
        let mut slab = RoomSlab::default();
        let mut gone: Vec<Rc<Room>> = Vec::new();
        for number in steps {
            match of(&slab, number) {
                Some(room) => {
                    prop_assert!(slab.remove(&room));
                    gone.push(room);
                }
                None => drop(add(&mut slab, number)),
            }
            for room in slab.iter() {
                prop_assert!(slab.by_id(room.id).is_some_and(|found| Rc::ptr_eq(found, room)));
            }
            prop_assert!(gone.iter().all(|room| slab.by_id(room.id).is_none()));
        }
        for room in gone {
            prop_assert!(!slab.remove(&room), "it is removed once");
        }
    }
}

/// Many rooms come and go: their memory is given back, and their ids find nothing afterwards.
#[test]
fn a_crowd_of_rooms_leaves_nothing_behind() {
    let mut slab = RoomSlab::default();
    let first: Vec<_> = (0..4 * SMALL).map(|number| add(&mut slab, number)).collect();
    assert!(first.iter().all(|room| slab.remove(room)));
    assert!(slab.capacity() <= SMALL * 2, "{}", slab.capacity());
    let second: Vec<_> = (0..4 * SMALL).map(|number| add(&mut slab, number)).collect();
    assert!(first.iter().all(|room| slab.by_id(room.id).is_none()));
    assert!(second.iter().all(|room| slab.remove(room)));
}

/// A place whose generations are used up has no room any more.
#[test]
fn a_place_is_given_up_before_its_generations_begin_again() {
    let mut slab = RoomSlab { first: u32::MAX - 1, ..RoomSlab::default() };
    let last = add(&mut slab, 0);
    assert!(slab.remove(&last));
    let next = add(&mut slab, 0);
    assert_ne!(next.id.index, last.id.index);
    assert!(slab.by_id(last.id).is_none());
}
