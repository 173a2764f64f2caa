//! Cases of a feed's order: openings, holes, repairs, other epochs.

use roomcast_protocol::Data;

use super::*;

mod adversary;

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
        state_key: None,
        ttl_ms: None,
        remove: false,
        info: None,
        data: Data::Json(id.to_string().into()),
    })
}

fn page(epoch: u64, last: Seq, seqs: impl IntoIterator<Item = Seq>) -> RoomPage {
    let messages = seqs.into_iter().map(|seq| message(seq, seq)).collect();
    RoomPage { lineage: Lineage::new(Epoch(epoch)), last, messages, more: false }
}

fn live(last: Seq) -> Order {
    let mut order = Order::new();
    assert_eq!(order.need(), Some(Need::Standing));
    order.read(page(1, last, []), &mut Vec::new());
    assert_eq!(order.need(), None);
    order
}

/// What is delivered, in short: `3` a message, `-5..7` a gap, `!2/1` a reset to 2 that lost 1.
fn short(events: &[FeedEvent]) -> String {
    let word = |event: &FeedEvent| match event {
        FeedEvent::Opened { last, .. } => format!("={last}"),
        FeedEvent::Messages(messages) => {
            let seqs: Vec<_> = messages.iter().map(|message| message.seq.to_string()).collect();
            seqs.join(" ")
        }
        FeedEvent::Gap { from, to } => format!("-{from}..{to}"),
        FeedEvent::Reset { last, lost, .. } => format!("!{last}/{lost}"),
        _ => unreachable!("what is ephemeral has no order"),
    };
    events.iter().map(word).collect::<Vec<_>>().join(" ")
}

fn push(order: &mut Order, epoch: u64, seqs: impl IntoIterator<Item = Seq>) -> String {
    let mut out = Vec::new();
    let messages = seqs.into_iter().map(|seq| message(seq, seq)).collect();
    order.pushed(Epoch(epoch), messages, &mut out);
    short(&out)
}

fn read(order: &mut Order, page: RoomPage) -> String {
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
    assert_eq!(read(&mut order, RoomPage { more: true, ..page(1, 7, [4, 5]) }), "4 5");
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
    assert_eq!(read(&mut order, RoomPage { lineage: lineage.clone(), ..page(2, 5, []) }), "!4/1");
    assert_eq!(order.need(), Some(Need::After(4, RepairCause::Epoch)));
    assert_eq!(read(&mut order, RoomPage { lineage, ..page(2, 5, [5]) }), "5");
}

#[test]
fn a_fork_ahead_of_the_reader_loses_nothing() {
    let mut order = live(5);
    push(&mut order, 2, [9]);
    let lineage = Lineage::of(Epoch(2), vec![(Epoch(1), 8)]);
    let page = RoomPage { lineage, ..page(2, 9, [6, 7, 8, 9]) };
    assert_eq!(read(&mut order, page), "!5/0 6 7 8 9");
    assert_eq!(order.need(), None);
    assert_eq!(push(&mut order, 1, [9]), "", "an ancestor's push comes late");
    assert_eq!(order.need(), None);
}

#[test]
fn too_much_held_back_costs_one_more_read_and_no_message() {
    let mut order = live(0);
    let end = MAX_HELD_MESSAGES as Seq + 10;
    push(&mut order, 1, 2..=end);
    assert_eq!(order.held.len(), MAX_HELD_MESSAGES);
    assert!(read(&mut order, page(1, 1, [1])).ends_with(&format!(" {}", MAX_HELD_MESSAGES + 1)));
    assert_eq!(
        order.need(),
        Some(Need::After(MAX_HELD_MESSAGES as Seq + 1, RepairCause::Overflow))
    );
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
