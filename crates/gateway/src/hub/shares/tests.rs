//! The order in which rooms give, and what keeping it costs.

use proptest::prelude::*;

use super::*;

fn name(room: usize) -> RoomName {
    RoomName::parse(&format!("r{room}")).unwrap()
}

#[derive(Debug, Default)]
struct World {
    shares: Shares,
    rooms: Vec<(Option<SharePlace>, usize)>,
}

impl World {
    fn new(count: usize) -> Self {
        Self { rooms: vec![(None, 0); count], ..Self::default() }
    }

    fn settle(&mut self, room: usize, bytes: usize) {
        self.rooms[room].1 = bytes;
        self.shares.settle(&mut self.rooms[room].0, bytes, &name(room));
    }

    fn put(&mut self, room: usize, bytes: usize) {
        self.rooms[room].1 = bytes;
        self.shares.put(&mut self.rooms[room].0, bytes, &name(room));
    }

    fn first(&self) -> Option<usize> {
        let first = self.shares.first(None)?;
        Some(first.as_str()[1..].parse().unwrap())
    }
}

#[test]
fn the_largest_gives_first_and_of_equals_the_oldest() {
    let mut world = World::new(5);
    for (room, bytes) in [1000, 70_000, 3000, 80_000, 0].into_iter().enumerate() {
        world.settle(room, bytes);
    }
    let mut order = Vec::new();
    while let Some(room) = world.first() {
        order.push(room);
        world.put(room, 0);
    }
    assert_eq!(order, [1, 3, 2, 0]);
    world.settle(0, 100);
    world.settle(1, 100);
    assert_eq!(world.shares.first(Some(&name(0))), Some(&name(1)), "the spared is passed over");
}

#[test]
fn an_append_to_a_busy_room_places_nothing() {
    let mut world = World::new(20_001);
    for room in 0..=20_000 {
        world.settle(room, 600);
    }
    let before = world.shares.placings;
    // A log that is full swings about its bound, which is a power of two.
    for turn in 0..10_000 {
        world.settle(7, (1 << 20) - 300 + turn % 600);
    }
    assert_eq!(world.shares.placings - before, 2);
}

proptest! {
    #[test]
    fn whoever_gives_first_is_within_a_factor_of_four_of_the_largest(
        steps in prop::collection::vec((0..8usize, 0..5_000usize, any::<bool>()), 1..100),
    ) {
        let mut world = World::new(8);
        for (room, bytes, is_exact) in steps {
            if is_exact { world.put(room, bytes) } else { world.settle(room, bytes) }
            let largest = world.rooms.iter().map(|&(_, bytes)| bytes).max().unwrap();
            let listed = world.rooms.iter().filter(|(place, _)| place.is_some()).count();
            prop_assert_eq!(world.shares.rooms.len(), listed);
            match world.first() {
                Some(first) => prop_assert!(world.rooms[first].1 * 4 > largest),
                None => prop_assert_eq!(largest, 0),
            }
        }
    }
}
