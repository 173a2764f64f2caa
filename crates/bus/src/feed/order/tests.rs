use std::collections::{BTreeMap, HashMap, VecDeque};

use proptest::prelude::*;
use roomcast_protocol::Data;

use super::*;

/// A message whose payload is a number of its own, so that two lives of one seq differ.
fn message(seq: Seq, id: u64) -> Arc<Message> {
    Arc::new(Message {
        seq,
        time: 0,
        user: None,
        connection: None,
        event: None,
        key: None,
        echo: true,
        traceparent: None,
        data: Data::Json(id.to_string().into()),
    })
}

fn page(epoch: u64, last: Seq, seqs: impl IntoIterator<Item = Seq>) -> Page {
    let messages = seqs.into_iter().map(|seq| message(seq, seq)).collect();
    Page { lineage: Lineage::new(Epoch(epoch)), last, messages, more: false }
}

fn live(last: Seq) -> Order {
    let mut order = Order::new();
    assert_eq!(order.need(), Some(Need::Standing));
    order.read(page(1, last, []), &mut Vec::new());
    assert_eq!(order.need(), None);
    order
}

/// What is told, written short: `3` a message, `-5..7` a gap, `!2/1` a reset to 2 that lost 1.
fn short(events: &[FeedEvent]) -> String {
    let word = |event: &FeedEvent| match event {
        FeedEvent::Opened { last, .. } => format!("={last}"),
        FeedEvent::Messages(messages) => {
            let seqs: Vec<_> = messages.iter().map(|message| message.seq.to_string()).collect();
            seqs.join(" ")
        }
        FeedEvent::Gap { from, to } => format!("-{from}..{to}"),
        FeedEvent::Reset { last, lost, .. } => format!("!{last}/{lost}"),
    };
    events.iter().map(word).collect::<Vec<_>>().join(" ")
}

fn push(order: &mut Order, epoch: u64, seqs: impl IntoIterator<Item = Seq>) -> String {
    let mut out = Vec::new();
    let messages = seqs.into_iter().map(|seq| message(seq, seq)).collect();
    order.pushed(Epoch(epoch), messages, &mut out);
    short(&out)
}

fn read(order: &mut Order, page: Page) -> String {
    let mut out = Vec::new();
    order.read(page, &mut out);
    short(&out)
}

#[test]
fn what_is_pushed_while_opening_follows_the_opening() {
    let mut order = Order::new();
    assert_eq!(push(&mut order, 1, [4, 5]), "");
    assert_eq!(push(&mut order, 1, [6]), "");
    assert_eq!(read(&mut order, page(1, 4, [])), "=4 5 6");
}

#[test]
fn duplicates_are_dropped() {
    let mut order = live(3);
    assert_eq!(push(&mut order, 1, [3, 4]), "4");
    assert_eq!(push(&mut order, 1, [4, 5]), "5");
}

#[test]
fn a_hole_holds_back_everything_until_it_is_filled() {
    let mut order = live(3);
    assert_eq!(push(&mut order, 1, [6]), "");
    assert_eq!(order.need(), Some(Need::After(3, RepairCause::Hole)));
    assert_eq!(push(&mut order, 1, [7]), "");
    assert_eq!(read(&mut order, page(1, 6, [4, 5, 6])), "4 5 6 7");
    assert_eq!(order.need(), None);
}

#[test]
fn what_the_stream_lacks_becomes_a_gap() {
    let mut order = live(3);
    push(&mut order, 1, [9]);
    assert_eq!(read(&mut order, page(1, 9, [6, 7, 9])), "-4..5 6 7 -8..8 9");
    push(&mut order, 1, [11]);
    assert_eq!(read(&mut order, page(1, 12, [])), "-10..12");
}

#[test]
fn a_page_that_is_not_the_last_keeps_the_feed_behind() {
    let mut order = live(3);
    push(&mut order, 1, [7]);
    assert_eq!(read(&mut order, Page { more: true, ..page(1, 7, [4, 5]) }), "4 5");
    assert_eq!(order.need(), Some(Need::After(5, RepairCause::Hole)));
    assert_eq!(read(&mut order, page(1, 7, [6, 7])), "6 7");
}

#[test]
fn an_unrelated_epoch_resets_to_its_begin() {
    let mut order = live(3);
    assert_eq!(push(&mut order, 2, [2]), "");
    assert_eq!(order.need(), Some(Need::After(3, RepairCause::Epoch)));
    assert_eq!(read(&mut order, page(2, 2, [])), "!0/3");
    assert_eq!(order.need(), Some(Need::After(0, RepairCause::Epoch)));
    assert_eq!(read(&mut order, page(2, 2, [1, 2])), "1 2");
    assert_eq!(push(&mut order, 2, [3]), "3");
    assert_eq!(push(&mut order, 1, [4]), "", "a push of the old epoch");
    assert_eq!(read(&mut order, page(2, 3, [])), "");
    assert_eq!(read(&mut order, page(2, 3, [])), "", "it might have been of a newer one");
    assert_eq!(order.need(), None);
}

#[test]
fn a_fork_behind_the_reader_tells_what_it_lost() {
    let mut order = live(5);
    push(&mut order, 2, [5]);
    let lineage = Lineage::of(Epoch(2), vec![(Epoch(1), 4)]);
    assert_eq!(read(&mut order, Page { lineage: lineage.clone(), ..page(2, 5, []) }), "!4/1");
    assert_eq!(order.need(), Some(Need::After(4, RepairCause::Epoch)));
    assert_eq!(read(&mut order, Page { lineage, ..page(2, 5, [5]) }), "5");
}

#[test]
fn a_fork_ahead_of_the_reader_loses_nothing() {
    let mut order = live(5);
    push(&mut order, 2, [9]);
    let lineage = Lineage::of(Epoch(2), vec![(Epoch(1), 8)]);
    let page = Page { lineage, ..page(2, 9, [6, 7, 8, 9]) };
    assert_eq!(read(&mut order, page), "!5/0 6 7 8 9");
    assert_eq!(order.need(), None);
    assert_eq!(push(&mut order, 1, [9]), "", "an ancestor's push comes late");
    assert_eq!(order.need(), None);
}

#[test]
fn too_much_held_back_costs_one_more_read_and_no_message() {
    let mut order = live(0);
    let end = MAX_HELD as Seq + 10;
    push(&mut order, 1, 2..=end);
    assert_eq!(order.held.len(), MAX_HELD);
    assert!(read(&mut order, page(1, 1, [1])).ends_with(&format!(" {}", MAX_HELD + 1)));
    assert_eq!(order.need(), Some(Need::After(MAX_HELD as Seq + 1, RepairCause::Overflow)));
}

#[test]
fn a_check_finds_a_lost_tail() {
    let mut order = live(3);
    order.checked(Epoch(1), 3, RepairCause::Tail);
    assert_eq!(order.need(), None);
    order.checked(Epoch(1), 5, RepairCause::Tail);
    assert_eq!(order.need(), Some(Need::After(3, RepairCause::Tail)));
    order.checked(Epoch(1), 7, RepairCause::Tail);
    assert_eq!(read(&mut order, page(1, 5, [4, 5])), "4 5");
    assert_eq!(order.need(), Some(Need::After(5, RepairCause::Tail)), "it stood at 7");
}

/// What an adversary may do to one room.
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
    /// Redis comes back without the last few, in a new epoch that knows its ancestor.
    Fork(u8),
    /// A copy is made of the room as it is now.
    Copy,
    /// A copy made earlier takes over in a new epoch: it knows nothing of what came after it.
    TakeOver(u8),
    /// Redis comes back empty.
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

/// The bus as it really is, the pushes on their way, and the read on its way.
struct World {
    lineage: Lineage,
    last: Seq,
    /// What every epoch's readers should see at each seq.
    truth: HashMap<Epoch, BTreeMap<Seq, u64>>,
    /// Up to here the stream was trimmed, per epoch.
    floors: HashMap<Epoch, Seq>,
    pushes: VecDeque<(Epoch, Vec<Arc<Message>>)>,
    answer: Option<Page>,
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

    /// A new epoch grows from another, up to a seq.
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
    fn page(&self, after: Seq) -> Page {
        let floor = self.floors[&self.lineage.epoch].max(after);
        let line = &self.truth[&self.lineage.epoch];
        let rest: Vec<_> = line.range(floor + 1..).map(|(&seq, &id)| message(seq, id)).collect();
        let more = rest.len() > 3;
        let messages = rest.into_iter().take(3).collect();
        Page { lineage: self.lineage.clone(), last: self.last, messages, more }
    }

    fn ask(&mut self, order: &Order) {
        self.answer = match order.need() {
            None => None,
            Some(Need::Standing) => {
                Some(Page { messages: Vec::new(), more: false, ..self.page(0) })
            }
            Some(Need::After(seq, _)) => Some(self.page(seq)),
        };
    }
}

/// A reader that believes only what it is told, and checks that.
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
        // Then all is well again: pushes come, the tail is checked, reads are answered.
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
