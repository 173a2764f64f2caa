//! A timer wheel: items that are due at a tick are in that tick's slot. A turn returns the items that
//! are due and looks at no others; an item that is taken out is dropped at once. Pure.

use crate::connection::WheelPlace;

/// Items that are due within one round of ticks.
#[derive(Debug)]
pub(super) struct Wheel<T> {
    slots: Vec<Vec<T>>,
    tick: u64,
}

impl<T> Wheel<T> {
    /// An empty wheel at tick 0, with so many ticks in a round.
    pub(super) fn new(round: u32) -> Self {
        Self { slots: (0..round).map(|_| Vec::new()).collect(), tick: 0 }
    }

    /// Ticks in a round.
    pub(super) fn round(&self) -> u64 {
        self.slots.len() as u64
    }

    /// The tick that was reached last.
    pub(super) fn tick(&self) -> u64 {
        self.tick
    }

    /// Goes on by one tick and returns the items that are due then. They have no place any more.
    pub(super) fn turn(&mut self) -> Vec<T> {
        self.tick += 1;
        let slot = self.slot_of(self.tick);
        // With its memory, so that a slot that was large once does not stay large.
        std::mem::take(&mut self.slots[slot as usize])
    }

    /// Adds an item that is due at this tick, at the earliest at the next one and at the latest after
    /// a whole round.
    pub(super) fn put(&mut self, due: u64, item: T) -> WheelPlace {
        let due = due.clamp(self.tick + 1, self.tick + self.round());
        let slot = self.slot_of(due);
        let items = &mut self.slots[slot as usize];
        items.push(item);
        WheelPlace { slot, index: items.len() as u32 - 1 }
    }

    /// Takes out the item at a place. Returns the item that has moved to that place, if one has.
    pub(super) fn take(&mut self, place: WheelPlace) -> Option<&T> {
        let items = self.slots.get_mut(place.slot as usize)?;
        if place.index as usize >= items.len() {
            return None;
        }
        items.swap_remove(place.index as usize);
        items.get(place.index as usize)
    }

    /// How many items it has.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.slots.iter().map(Vec::len).sum()
    }

    /// How many items the next turn returns.
    #[cfg(test)]
    pub(super) fn due_next(&self) -> usize {
        self.slots[self.slot_of(self.tick + 1) as usize].len()
    }

    fn slot_of(&self, tick: u64) -> u32 {
        (tick % self.round()) as u32
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const ROUND: u32 = 7;

    #[derive(Debug, Clone)]
    enum Step {
        /// Due after so many ticks.
        Put(u64),
        /// The so-manieth of what is in.
        Take(usize),
        Turn,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (0..12u64).prop_map(Step::Put),
            2 => any::<usize>().prop_map(Step::Take),
            2 => Just(Step::Turn),
        ]
    }

    proptest! {
        /// What was put in comes out at its tick, once, unless it was taken out before.
        #[test]
        fn each_comes_out_at_its_tick(steps in prop::collection::vec(step(), 1..200)) {
            let mut wheel = Wheel::new(ROUND);
            // By number: the tick it is due at, and its place.
            let mut model: BTreeMap<u32, (u64, WheelPlace)> = BTreeMap::new();
            for (number, step) in (0..).zip(steps) {
                match step {
                    Step::Put(after) => {
                        let due = wheel.tick() + after.clamp(1, ROUND.into());
                        let place = wheel.put(wheel.tick() + after, number);
                        model.insert(number, (due, place));
                    }
                    Step::Take(at) => {
                        let Some(at) = at.checked_rem(model.len()) else { continue };
                        let number = *model.keys().nth(at).unwrap();
                        let (_, place) = model.remove(&number).unwrap();
                        if let Some(moved) = wheel.take(place) {
                            model.get_mut(moved).unwrap().1 = place;
                        }
                    }
                    Step::Turn => {
                        let mut out = wheel.turn();
                        out.sort_unstable();
                        let now = wheel.tick();
                        let due: Vec<u32> =
                            model.extract_if(.., |_, (due, _)| *due == now).map(|(n, _)| n).collect();
                        prop_assert_eq!(out, due);
                    }
                }
            }
            prop_assert_eq!(wheel.held(), model.len());
        }
    }

    #[test]
    fn an_item_without_a_place_is_not_taken_out() {
        let mut wheel = Wheel::new(ROUND);
        let place = wheel.put(1, 1);
        assert_eq!(wheel.take(WheelPlace::NOWHERE), None);
        assert_eq!(wheel.turn(), [1]);
        assert_eq!(wheel.take(place), None);
    }
}
