//! What the hub hears in the end is what the worker wants, whatever cancelled out before.

use proptest::prelude::*;

use super::*;

fn name(room: usize) -> RoomName {
    RoomName::parse(&format!("r{room}")).unwrap()
}

/// One worker's rooms and the hub's view of them.
#[derive(Debug, Default)]
struct World {
    hub_requests: HubRequests,
    asked: u64,
    /// Per room: the number under which the worker wants it.
    wanted: HashMap<usize, u64>,
    /// The same as the hub knows it, and whether it was asked for a page since.
    known: HashMap<RoomName, (u64, bool)>,
}

impl World {
    fn join(&mut self, room: usize) {
        if !self.wanted.contains_key(&room) {
            self.asked += 1;
            self.wanted.insert(room, self.asked);
            let number = self.asked;
            self.hub_requests.keep(HubCommand::Attach { worker: 0, room: name(room), number });
        }
    }

    fn leave(&mut self, room: usize) {
        if self.wanted.remove(&room).is_some() {
            self.hub_requests.keep(HubCommand::Detach { worker: 0, room: name(room) });
        }
    }

    /// Pages are asked for in rooms whose log is here.
    fn page(&mut self, room: usize) {
        let is_live = self.known.get(&name(room)).map(|known| &known.0) == self.wanted.get(&room);
        if is_live && self.wanted.contains_key(&room) {
            self.hub_requests.keep(HubCommand::Backfill { worker: 0, room: name(room), after: 1 });
        }
    }

    fn hear(&mut self) -> bool {
        match self.hub_requests.next(0) {
            Some(HubCommand::Attach { room, number, .. }) => {
                self.known.insert(room, (number, false));
            }
            Some(HubCommand::Detach { room, .. }) => {
                assert!(self.known.remove(&room).is_some(), "the hub had that room");
            }
            Some(HubCommand::Backfill { room, .. } | HubCommand::State { room, .. }) => {
                self.known.get_mut(&room).expect("an attached room").1 = true;
            }
            None => return false,
        }
        true
    }
}

proptest! {
    /// 256 stories of up to 200 steps over six rooms.
    #[test]
    fn the_hub_comes_to_know_what_is_wanted(
        steps in prop::collection::vec((0..4u8, 0..6usize), 0..200),
    ) {
        let mut world = World::default();
        for (step, room) in steps {
            match step {
                0 => world.join(room),
                1 => world.leave(room),
                2 => world.page(room),
                _ => drop(world.hear()),
            }
            prop_assert!(world.hub_requests.rooms.len() <= 6, "one for each room");
            prop_assert_eq!(world.hub_requests.rooms.len(), world.hub_requests.turns.len());
        }
        while world.hear() {}
        let known: HashMap<RoomName, u64> =
            world.known.into_iter().map(|(room, (number, _))| (room, number)).collect();
        let wanted: HashMap<RoomName, u64> =
            world.wanted.into_iter().map(|(room, number)| (name(room), number)).collect();
        prop_assert_eq!(known, wanted);
    }
}

#[test]
fn joins_and_leaves_of_ever_new_rooms_hold_nothing() {
    let mut world = World::default();
    for room in 0..10_000 {
        world.join(room);
        world.leave(room);
    }
    assert!(world.hub_requests.is_empty() && world.hub_requests.turns.is_empty());
    // What the hub knows of is told once, however often it comes and goes.
    world.join(0);
    assert!(world.hear());
    for _ in 0..10_000 {
        world.leave(0);
        world.join(0);
    }
    assert_eq!(world.hub_requests.rooms.len(), 1);
    assert!(world.hear());
    assert_eq!(world.known[&name(0)].0, world.wanted[&0]);
    assert!(!world.hear());
}
