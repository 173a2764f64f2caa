//! An order against a bus that loses, repeats, forgets and goes back, with readers that check every
//! event.

use std::collections::{BTreeMap, HashMap, VecDeque};

use proptest::prelude::*;

use super::*;

/// What the test may do to one room.
#[derive(Debug, Clone)]
enum Act {
    Publish(u8),
    Deliver,
    DeliverTwice,
    LosePush,
    Ask,
    Answer,
    Check,
    Trim(u8),
    /// Redis loses the last few messages, in a new epoch that has the old one as ancestor.
    Fork(u8),
    /// A copy is made of the room as it is now.
    Copy,
    /// An earlier copy takes over in a new epoch, without what came after the copy.
    TakeOver(u8),
    /// Redis loses all its data.
    Wipe,
    MarkLost,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        6 => (1u8..5).prop_map(Act::Publish),
        8 => Just(Act::Deliver),
        1 => Just(Act::DeliverTwice),
        2 => Just(Act::LosePush),
        4 => Just(Act::Ask),
        4 => Just(Act::Answer),
        1 => Just(Act::Check),
        1 => (1u8..10).prop_map(Act::Trim),
        1 => (0u8..6).prop_map(Act::Fork),
        1 => Just(Act::Copy),
        1 => any::<u8>().prop_map(Act::TakeOver),
        1 => Just(Act::Wipe),
        1 => Just(Act::MarkLost),
    ];
    proptest::collection::vec(act, 1..150)
}

/// The true state of the bus, the pushes under way, and the read under way.
struct World {
    lineage: Lineage,
    last: Seq,
    /// What every epoch's readers should see at each seq.
    truth: HashMap<Epoch, BTreeMap<Seq, u64>>,
    /// Up to here the stream was trimmed, per epoch.
    floors: HashMap<Epoch, Seq>,
    pushes: VecDeque<(Epoch, Vec<Arc<Message>>)>,
    answer: Option<RoomPage>,
    copies: Vec<(Lineage, Seq)>,
    ids: u64,
}

impl World {
    fn new() -> Self {
        let epoch = Epoch(1);
        Self {
            lineage: Lineage::new(epoch),
            last: 0,
            truth: HashMap::from([(epoch, BTreeMap::new())]),
            floors: HashMap::from([(epoch, 0)]),
            pushes: VecDeque::new(),
            answer: None,
            copies: Vec::new(),
            ids: 1,
        }
    }

    fn publish(&mut self, count: u8) {
        let mut messages = Vec::new();
        for _ in 0..count {
            self.last += 1;
            self.ids += 1;
            self.truth.get_mut(&self.lineage.epoch).unwrap().insert(self.last, self.ids);
            messages.push(message(self.last, self.ids));
        }
        self.pushes.push_back((self.lineage.epoch, messages));
    }

    /// A new epoch continues another one after a seq.
    fn grow(&mut self, from: &Lineage, last: Seq) {
        let mut ancestors = from.ancestors.clone();
        ancestors.push((from.epoch, last));
        self.begin(from.epoch, ancestors, last);
    }

    fn begin(&mut self, old: Epoch, ancestors: Vec<(Epoch, Seq)>, last: Seq) {
        self.ids += 1;
        let epoch = Epoch(self.ids);
        let mut line = self.truth[&old].clone();
        line.retain(|&seq, _| seq <= last);
        self.truth.insert(epoch, line);
        self.floors.insert(epoch, self.floors[&old].min(last));
        self.lineage = Lineage::of(epoch, ancestors);
        self.last = last;
    }

    /// Up to where two epochs are the same.
    fn shared(&self, one: Epoch, two: Epoch) -> Seq {
        let (one, two) = (&self.truth[&one], &self.truth[&two]);
        one.iter().zip(two).take_while(|(one, two)| one == two).count() as Seq
    }

    /// A page of three at most, so that repairs take several.
    fn page(&self, after: Seq) -> RoomPage {
        let floor = self.floors[&self.lineage.epoch].max(after);
        let line = &self.truth[&self.lineage.epoch];
        let rest: Vec<_> = line.range(floor + 1..).map(|(&seq, &id)| message(seq, id)).collect();
        let more = rest.len() > 3;
        let messages = rest.into_iter().take(3).collect();
        RoomPage { lineage: self.lineage.clone(), last: self.last, messages, more }
    }

    fn ask(&mut self, order: &Order) {
        self.answer = match order.need() {
            None => None,
            Some(Need::Standing) => {
                Some(RoomPage { messages: Vec::new(), more: false, ..self.page(0) })
            }
            Some(Need::After(seq, _)) => Some(self.page(seq)),
        };
    }
}

/// A reader that knows only what is delivered, and checks that.
#[derive(Default)]
struct Reader {
    lineage: Option<Lineage>,
    at: Seq,
    known: BTreeMap<Seq, u64>,
}

impl Reader {
    fn hear(&mut self, events: Vec<FeedEvent>, world: &World) {
        for event in events {
            match event {
                FeedEvent::Opened { lineage, last } => {
                    assert!(self.lineage.is_none());
                    (self.lineage, self.at) = (Some(lineage), last);
                }
                FeedEvent::Messages(messages) => {
                    assert!(!messages.is_empty());
                    for message in messages {
                        assert_eq!(message.seq, self.at + 1, "a silent hole or a repetition");
                        self.at += 1;
                        let Data::Json(id) = &message.data else { unreachable!() };
                        let id = std::str::from_utf8(id).unwrap().parse().unwrap();
                        self.known.insert(self.at, id);
                    }
                }
                FeedEvent::Presence(_) | FeedEvent::Ephemeral(_) => {
                    unreachable!("the order knows messages only")
                }
                FeedEvent::Gap { from, to } => {
                    assert_eq!(from, self.at + 1);
                    let epoch = self.lineage.as_ref().unwrap().epoch;
                    assert!(to >= from && to <= world.floors[&epoch], "the stream had {to}");
                    self.at = to;
                }
                FeedEvent::Reset { lineage, last, lost } => {
                    let old = self.lineage.replace(lineage.clone()).unwrap();
                    assert_eq!(last + lost, self.at);
                    assert_eq!(last, self.at.min(world.shared(old.epoch, lineage.epoch)));
                    self.at = last;
                    self.known.retain(|&seq, _| seq <= last);
                }
                _ => unreachable!("what is ephemeral has no order"),
            }
            let epoch = self.lineage.as_ref().unwrap().epoch;
            for (seq, id) in &self.known {
                assert_eq!(world.truth[&epoch].get(seq), Some(id), "another life's message");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

    #[test]
    fn nobody_can_make_a_feed_skip_repeat_or_mix_in_silence(acts in acts()) {
        let (mut world, mut order, mut reader) = (World::new(), Order::new(), Reader::default());
        for act in acts {
            let mut out = Vec::new();
            match act {
                Act::Publish(count) => world.publish(count),
                Act::Deliver => {
                    if let Some((epoch, messages)) = world.pushes.pop_front() {
                        order.pushed(epoch, messages, &mut out);
                    }
                }
                Act::DeliverTwice => {
                    if let Some((epoch, messages)) = world.pushes.front().cloned() {
                        order.pushed(epoch, messages, &mut out);
                    }
                }
                Act::LosePush => drop(world.pushes.pop_front()),
                Act::Ask => {
                    if world.answer.is_none() {
                        world.ask(&order);
                    }
                }
                Act::Answer => {
                    if let Some(page) = world.answer.take() {
                        order.read(page, &mut out);
                    }
                }
                Act::Check => order.checked(world.lineage.epoch, world.last, RepairCause::Tail),
                Act::Trim(count) => {
                    let floor = world.floors.get_mut(&world.lineage.epoch).unwrap();
                    *floor = (*floor + Seq::from(count)).min(world.last);
                }
                Act::Fork(count) => {
                    let base = world.last.saturating_sub(count.into());
                    world.grow(&world.lineage.clone(), base);
                }
                Act::Copy => world.copies.push((world.lineage.clone(), world.last)),
                Act::TakeOver(which) => {
                    let count = world.copies.len();
                    if let Some(at) = usize::from(which).checked_rem(count) {
                        let (lineage, last) = world.copies[at].clone();
                        world.grow(&lineage, last);
                    }
                }
                Act::Wipe => world.begin(world.lineage.epoch, Vec::new(), 0),
                Act::MarkLost => order.lost(RepairCause::Overflow),
            }
            reader.hear(out, &world);
        }
        // Afterwards every push arrives, the tail is checked and reads are answered.
        let mut out = Vec::new();
        for (epoch, messages) in std::mem::take(&mut world.pushes) {
            order.pushed(epoch, messages, &mut out);
        }
        reader.hear(std::mem::take(&mut out), &world);
        if let Some(page) = world.answer.take() {
            order.read(page, &mut out);
        }
        for _ in 0..2 {
            while order.need().is_some() {
                world.ask(&order);
                order.read(world.answer.take().unwrap(), &mut out);
            }
            order.checked(world.lineage.epoch, world.last, RepairCause::Tail);
        }
        reader.hear(out, &world);
        prop_assert_eq!(reader.lineage.map(|lineage| lineage.epoch), Some(world.lineage.epoch));
        prop_assert_eq!(reader.at, world.last);
        prop_assert_eq!(order.need(), None);
    }
}
