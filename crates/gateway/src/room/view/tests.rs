//! Who falls off a log, and where members go on: against a model that looks at everybody.

use crate::room::{JoinLookup, ReplacedJoin};
use proptest::prelude::*;
use tokio::net::TcpStream;

use super::*;
use crate::room::JoinPresence;
use crate::room::LaggardVerdict;
use crate::room_log::{Budget, LogEntry};
use crate::tests::{EPOCH, at, connection, enter, entry, leave, room, room_name};

const MEMBERS: usize = 6;

fn batch(start: Position, count: u64) -> Arc<Batch> {
    let entries = (start.seq + 1..=start.seq + count).map(|seq| entry(seq, 9)).collect();
    Arc::new(Batch::new(room_name(), start, entries, &Budget::default()))
}

#[derive(Debug, Clone)]
enum Op {
    Append(u64),
    /// A member reads so many frames on.
    Read(usize, usize),
    /// The hub dropped so many batches, of which so many for the room's own bound.
    Trim(u64, u64),
    /// The worker's queue was full while the hub appended and dropped so many batches.
    Attach(u64, u64),
    /// A whole pass.
    ReadAll,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (1..5u64).prop_map(Op::Append),
        4 => (0..MEMBERS, 1..9usize).prop_map(|(member, frames)| Op::Read(member, frames)),
        2 => (1..4u64, 0..4u64).prop_map(|(all, slow)| Op::Trim(all, slow)),
        1 => (0..4u64, 0..6u64).prop_map(|(more, gone)| Op::Attach(more, gone)),
        1 => Just(Op::ReadAll),
    ]
}

/// The cursor `frames` further on.
fn onward(log: &RoomLog, mut cursor: Cursor, frames: usize) -> Cursor {
    for _ in 0..frames {
        let Some(batch) = log.batch(cursor.batch) else { break };
        cursor.frame += 1;
        if cursor.frame == batch.len() {
            cursor = Cursor { batch: cursor.batch + 1, frame: 0 };
        }
    }
    cursor
}

fn cursor_of(state: &RoomState, slot: usize) -> Cursor {
    match state.members.at(slot as u32).reader {
        MemberReader::Log(cursor) => cursor,
        ref other => panic!("unexpected {other:?}"),
    }
}

/// Checks who fell, moves them to the end as a conflating room does.
fn check_fallen(
    state: &mut RoomState,
    fallen: Vec<Laggard>,
    before: &[(Cursor, Position)],
    floor: Floor,
) -> Result<(), TestCaseError> {
    let mut expected: Vec<(u32, Position, LaggardVerdict)> = Vec::new();
    for (slot, (cursor, position)) in before.iter().enumerate() {
        if cursor.batch < floor.all {
            let slow = cursor.batch < floor.slow;
            let verdict = if slow { LaggardVerdict::Slow } else { LaggardVerdict::Evicted };
            expected.push((slot as u32, *position, verdict));
        }
    }
    let got: Vec<_> = fallen.iter().map(|l| (l.slot, l.position, l.verdict)).collect();
    prop_assert_eq!(got, expected);
    for Laggard { slot, .. } in fallen {
        let end = MemberReader::Log(state.log.end_cursor());
        state.place(slot, end);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// 500 stories of up to 60 steps with 6 members.
    #[test]
    fn exactly_those_before_the_floor_fall_off(ops in prop::collection::vec(op(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _inside = runtime.enter();
        let room = room();
        let all: Vec<(Rc<Connection>, TcpStream)> = runtime.block_on(async {
            let mut all = Vec::new();
            for id in 0..MEMBERS {
                all.push(connection(id as u64).await);
            }
            all
        });
        let mut hub = RoomLog::new(at(0));
        let lineage = Arc::new(Lineage::new(EPOCH));
        let first = room.state.borrow_mut().attach(hub.clone(), lineage.clone(), 0);
        prop_assert!(first.is_empty());
        for (connection, _) in &all {
            enter(connection, &room, MemberReader::Log(hub.end_cursor()));
        }
        for op in ops {
            let mut state = room.state.borrow_mut();
            let before: Vec<(Cursor, Position)> = (0..MEMBERS)
                .map(|slot| cursor_of(&state, slot))
                .map(|cursor| (cursor, state.log.position_of(cursor)))
                .collect();
            match op {
                Op::Append(count) => {
                    let batch = batch(hub.end(), count);
                    hub.append(batch.clone());
                    state.append(batch, None);
                }
                Op::Read(member, frames) => {
                    let cursor = onward(&state.log, cursor_of(&state, member), frames);
                    state.advance(member as u32, cursor);
                }
                Op::ReadAll => {
                    let end = state.log.end_cursor();
                    for slot in 0..MEMBERS as u32 {
                        state.advance(slot, end);
                        prop_assert!(!state.is_behind(slot));
                    }
                }
                Op::Trim(count, slow) => {
                    hub.trim(hub.base() + count);
                    let floor = Floor { slow: hub.base().saturating_sub(slow), all: hub.base() };
                    let fallen = state.trim(floor);
                    check_fallen(&mut state, fallen, &before, floor)?;
                }
                Op::Attach(more, gone) => {
                    for _ in 0..more {
                        hub.append(batch(hub.end(), 2));
                    }
                    hub.trim(hub.base() + gone);
                    let slow = hub.base().min(state.log.end_cursor().batch);
                    let floor = Floor { slow, all: hub.base() };
                    let fallen = state.attach(hub.clone(), lineage.clone(), hub.base());
                    check_fallen(&mut state, fallen, &before, floor)?;
                }
            }
            prop_assert_eq!(state.log.end_cursor(), hub.end_cursor());
            for slot in 0..MEMBERS {
                let cursor = cursor_of(&state, slot);
                prop_assert!(cursor.batch >= state.log.base(), "nobody stands before the log");
                prop_assert_eq!(state.is_behind(slot as u32), cursor < state.log.end_cursor());
            }
        }
        all.iter().for_each(|(connection, _)| leave(connection, &room));
    }
}

#[tokio::test]
async fn a_page_leads_to_the_log_or_to_the_next_page() {
    let (connection, _client) = connection(1).await;
    let room = room();
    let mut log = RoomLog::new(at(20));
    log.append(batch(at(20), 5));
    room.state.borrow_mut().attach(log, Arc::new(Lineage::new(EPOCH)), 0);
    let page = batch(at(10), 4);
    let slot = enter(&connection, &room, MemberReader::Page { page: page.clone(), frame: 0 });
    let mut state = room.state.borrow_mut();
    state.advance(slot, Cursor { batch: 0, frame: 3 });
    assert!(matches!(state.members.at(slot).reader, MemberReader::Page { frame: 3, .. }));
    assert!(state.is_behind(slot) && state.waiting().is_empty());

    // It ends at 14, and the log begins at 20.
    state.advance(slot, Cursor { batch: 1, frame: 0 });
    assert!(state.is_waiting(slot) && !state.is_behind(slot));
    assert_eq!(state.oldest_wanted(), Some(14));

    let next = batch(at(14), 8);
    state.place(slot, MemberReader::Page { page: next, frame: 0 });
    assert_eq!(state.oldest_wanted(), None);
    state.advance(slot, Cursor { batch: 1, frame: 0 });
    assert_eq!(cursor_of(&state, slot as usize), Cursor { batch: 0, frame: 2 }, "behind 22");

    // A page of another epoch leads nowhere by itself.
    state.lineage = Arc::new(Lineage::new(roomcast_protocol::Epoch(2)));
    assert!(matches!(state.after(at(22)), MemberReader::Waiting(position) if position == at(22)));
    drop(state);
    leave(&connection, &room);
}

#[test]
fn what_a_pass_has_finished_is_measured_once() {
    let mut state = RoomState::asked(1);
    let mut log = RoomLog::new(at(0));
    log.append(batch(at(0), 3));
    state.attach(log, Arc::new(Lineage::new(EPOCH)), 0);
    assert_eq!(state.attachment, Attachment::Live(1));
    state.append(batch(at(3), 1), None);
    state.append(batch(at(4), 2), None);
    state.passed = 2;
    let (since, batches) = state.passed();
    assert!(since.is_some());
    let seqs: Vec<Seq> = batches.iter().map(|batch| batch.end().seq).collect();
    assert_eq!(seqs, [4], "not what came with the log, nor what the pass has not reached");
    assert!(matches!(batches[0].entries()[..], [LogEntry::Message(_)]));
    state.passed = 3;
    assert_eq!(state.passed().1.len(), 1);
    assert!(state.passed().1.is_empty());
}

#[tokio::test]
async fn what_the_bus_said_of_a_position_holds_for_its_epoch_only() {
    let (connection, _client) = connection(1).await;
    let mut state = RoomState::asked(1);
    state.attach(RoomLog::new(at(5)), Arc::new(Lineage::new(EPOCH)), 0);
    state.pending.push(PendingJoin {
        connection,
        id: None,
        since: Some(at(9)),
        history: 0,
        oldest: None,
        lookup: JoinLookup::Known,
        resumes: false,
        strict: false,
        marks: None,
        backend: None,
        replaces: ReplacedJoin::Nothing,
        withheld: None,
        deadline: tokio::time::Instant::now(),
        known: PositionCheck::Good,
        info: None,
        listens: false,
        presence: JoinPresence::Unasked,
        then: Vec::new(),
    });
    state.append(batch(at(5), 1), None);
    assert_eq!(state.pending[0].known, PositionCheck::Good, "the log will come to it");
    let next = roomcast_protocol::Epoch(2);
    let entries = vec![crate::tests::reset(next, 6)];
    let batch = Batch::new(room_name(), at(6), entries, &Budget::default());
    let lineage = Lineage::of(next, vec![(EPOCH, 6)]);
    state.append(Arc::new(batch), Some(Arc::new(lineage)));
    assert_eq!(state.pending[0].known, PositionCheck::Unasked, "or perhaps it will not");
}

#[test]
fn a_reader_of_an_older_epoch_keeps_what_both_share_and_the_log_has() {
    let current = roomcast_protocol::Epoch(3);
    let mut state = RoomState::asked(1);
    let log = RoomLog::new(Position { epoch: current, seq: 10 });
    let lineage = Lineage::of(current, vec![(EPOCH, 12)]);
    state.attach(log, Arc::new(lineage), 0);
    let stands = |seq| Position { epoch: current, seq };
    assert_eq!(state.rebase(stands(7)), stands(7));
    assert_eq!(state.rebase(at(7)), stands(7));
    // The log, which is told again from 10 on, has not come to the base yet.
    assert_eq!(state.rebase(at(11)), stands(10));
    let stranger = Position { epoch: roomcast_protocol::Epoch(2), seq: 7 };
    assert_eq!(state.rebase(stranger), stands(0));
}
