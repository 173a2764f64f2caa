//! The queue against time: each user's newest position is written, once a second at most.

use std::collections::HashMap as Map;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use roomcast_protocol::Epoch;

use super::*;

const RULES: ReceiptRules = ReceiptRules { users: 10, age: Duration::from_secs(60) };

type Answers = Arc<Mutex<Vec<(u64, Result<ReceiptMarks, ReceiptError>)>>>;

fn room(number: u8) -> RoomName {
    RoomName::parse(&format!("chat:{number}")).unwrap()
}

fn request(user: u8, epoch: u64, seq: u64, kind: ReceiptKind, answers: &Answers) -> ReceiptRequest {
    let answers = answers.clone();
    ReceiptRequest {
        user: UserName::parse(&format!("u{user}")).unwrap(),
        at: Position { epoch: Epoch(epoch), seq },
        kind,
        by: ConnectionId(seq),
        reply: Box::new(move |result| answers.lock().unwrap().push((seq, result))),
    }
}

/// Ends a write as if all of it had succeeded.
fn finish(queue: &mut ReceiptQueue, write: ReceiptWrite) {
    queue.wrote(&write.room, &write.moves);
    for (step, replies) in write.moves.iter().zip(write.replies) {
        let (epoch, received) = (step.at.epoch, step.at.seq);
        let marks = ReceiptMarks { epoch, received, read: 0 };
        replies.into_iter().for_each(|reply| reply(Ok(marks)));
    }
}

#[test]
fn a_burst_of_one_user_is_one_write_at_once_and_one_after_a_second() {
    let (mut queue, answers, begun) = (ReceiptQueue::default(), Answers::default(), Instant::now());
    let ask = |queue: &mut ReceiptQueue, seq| {
        let request = request(1, 1, seq, ReceiptKind::Received, &answers);
        assert!(queue.ask((&room(1), RULES), request, begun).is_none());
    };
    ask(&mut queue, 1);
    let first = queue.take_due(begun).pop().unwrap();
    assert_eq!(first.moves[0].at.seq, 1);
    for seq in [5, 9, 7] {
        ask(&mut queue, seq);
    }
    assert!(queue.take_due(begun).is_empty());
    finish(&mut queue, first);
    assert!(queue.take_due(begun + WRITE_INTERVAL / 2).is_empty());
    let second = queue.take_due(begun + WRITE_INTERVAL).pop().unwrap();
    assert_eq!((second.moves.len(), second.moves[0].at.seq), (1, 9));
    assert_eq!(second.moves[0].by, [5, 9, 7].map(ConnectionId));
    finish(&mut queue, second);
    let seqs: Vec<_> = answers.lock().unwrap().iter().map(|(seq, _)| *seq).collect();
    assert_eq!(seqs, [1, 5, 9, 7]);
    assert!(queue.take_due(begun + 2 * WRITE_INTERVAL).is_empty());
    assert!(queue.is_empty());
}

#[test]
fn what_waits_of_one_user_is_bounded() {
    let (mut queue, answers, now) = (ReceiptQueue::default(), Answers::default(), Instant::now());
    for epoch in 0..100 {
        let request = request(1, epoch, epoch, ReceiptKind::Read, &answers);
        let refused = queue.ask((&room(1), RULES), request, now);
        assert_eq!(refused.is_some(), epoch >= MAX_MOVES as u64);
    }
}

#[test]
fn users_of_one_room_are_written_together() {
    let (mut queue, answers, now) = (ReceiptQueue::default(), Answers::default(), Instant::now());
    for user in 0..=255 {
        queue.ask((&room(1), RULES), request(user, 1, 1, ReceiptKind::Read, &answers), now);
    }
    queue.ask((&room(2), RULES), request(1, 1, 1, ReceiptKind::Read, &answers), now);
    let first = queue.take_due(now);
    assert_eq!(first.iter().map(|write| write.moves.len()).sum::<usize>(), USERS_PER_WRITE);
    assert_eq!(first.len(), 1);
    assert_eq!(queue.take_due(now)[0].room, room(2));
}

#[test]
fn calls_of_one_partition_are_bounded_and_hold_up_no_other() {
    let (mut queue, answers, now) = (ReceiptQueue::default(), Answers::default(), Instant::now());
    let named = |number: u32| RoomName::parse(&format!("chat:{number}")).unwrap();
    let partition = partition_of(&named(0));
    let (same, others): (Vec<_>, Vec<_>) =
        (0..10_000).map(named).partition(|room| partition_of(room) == partition);
    for room in &same[..WRITES_PER_PARTITION + 2] {
        queue.ask((room, RULES), request(1, 1, 1, ReceiptKind::Read, &answers), now);
    }
    let mut writes = queue.take_due(now);
    assert_eq!(writes.len(), WRITES_PER_PARTITION);
    assert!(queue.take_due(now).is_empty());
    for user in 0..100 {
        queue.ask((&others[0], RULES), request(user, 1, 1, ReceiptKind::Read, &answers), now);
    }
    assert_eq!(queue.take_due(now)[0].moves.len(), 100, "users of one room are one call");
    for _ in 0..2 {
        finish(&mut queue, writes.remove(0));
        writes.extend(queue.take_due(now));
        assert_eq!(writes.len(), WRITES_PER_PARTITION);
    }
}

proptest! {
    /// Every request is answered; a user's writes are a second apart; the newest position of each
    /// user is written in the end; and nothing is kept when all is over.
    #[test]
    fn the_newest_position_is_written(
        steps in prop::collection::vec((0..3_u8, 0..3_u8, 0..2_u8, 0..400_u64), 1..80),
    ) {
        let (mut queue, answers) = (ReceiptQueue::default(), Answers::default());
        let mut now = Instant::now();
        let mut written: Map<(RoomName, UserName), (Instant, u64)> = Map::new();
        let mut newest: Map<(RoomName, UserName), u64> = Map::new();
        let mut under_way: Vec<ReceiptWrite> = Vec::new();
        let mut asked = 0;
        let mut take = |queue: &mut ReceiptQueue, now, under_way: &mut Vec<ReceiptWrite>| {
            for write in queue.take_due(now) {
                for step in &write.moves {
                    let key = (write.room.clone(), step.user.clone());
                    if let Some((before, _)) = written.get(&key) {
                        prop_assert!(now - *before >= WRITE_INTERVAL);
                    }
                    let entry = written.entry(key).or_insert((now, 0));
                    *entry = (now, entry.1.max(step.at.seq));
                }
                under_way.push(write);
            }
            Ok(())
        };
        for (seq, (at, user, end, pause)) in steps.into_iter().enumerate() {
            now += Duration::from_millis(pause);
            asked += 1;
            let request = request(user, 1, seq as u64, ReceiptKind::Received, &answers);
            newest.insert((room(at), request.user.clone()), seq as u64);
            prop_assert!(queue.ask((&room(at), RULES), request, now).is_none());
            take(&mut queue, now, &mut under_way)?;
            if end == 1 && !under_way.is_empty() {
                finish(&mut queue, under_way.remove(0));
            }
        }
        for _ in 0..40 {
            under_way.drain(..).for_each(|write| finish(&mut queue, write));
            now += Duration::from_millis(300);
            take(&mut queue, now, &mut under_way)?;
        }
        prop_assert_eq!(answers.lock().unwrap().len(), asked);
        for (key, seq) in newest {
            prop_assert_eq!(written[&key].1, seq);
        }
        prop_assert!(queue.is_empty());
    }
}
