//! Members against a model, with the connections' own lists of slots.

use proptest::prelude::*;
use tokio::net::TcpStream;

use crate::connection::Connection;
use crate::room::{MemberReader, Room};
use crate::tests::{at, connection, enter, leave, room};
use std::rc::Rc;

#[derive(Debug, Clone)]
enum Op {
    Add(usize),
    Remove(usize),
    Pin,
    Unpin,
}

const CONNECTIONS: usize = 8;

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..CONNECTIONS).prop_map(Op::Add),
        4 => (0..CONNECTIONS).prop_map(Op::Remove),
        1 => Just(Op::Pin),
        1 => Just(Op::Unpin),
    ]
}

fn check(
    room: &Rc<Room>,
    present: &[usize],
    all: &[(Rc<Connection>, TcpStream)],
) -> Result<(), TestCaseError> {
    let mut state = room.state.borrow_mut();
    prop_assert_eq!(state.members.len(), present.len());
    for (index, (connection, _)) in all.iter().enumerate() {
        let membership = connection.membership_in(room.id);
        prop_assert_eq!(membership.is_some(), present.contains(&index));
        let Some((membership, slot)) = membership else { continue };
        let member = state.members.at(slot);
        prop_assert!(member.connection.as_ref().is_some_and(|c| Rc::ptr_eq(c, connection)));
        prop_assert_eq!(member.membership, membership);
    }
    prop_assert_eq!(state.members.iter_mut().count(), present.len());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// 500 stories of up to 60 steps with 8 connections, each in a second room besides.
    #[test]
    fn every_connection_knows_its_slot(ops in prop::collection::vec(op(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _inside = runtime.enter();
        let all: Vec<_> = runtime.block_on(async {
            let mut all = Vec::new();
            for id in 0..CONNECTIONS {
                all.push(connection(id as u64).await);
            }
            all
        });
        let (room, second) = (room(), room());
        for (connection, _) in all.iter().step_by(2) {
            enter(connection, &second, MemberReader::Waiting(at(0)));
        }
        let (mut present, mut pinned): (Vec<usize>, bool) = (Vec::new(), false);
        for op in ops {
            let slots = room.state.borrow().members.slots();
            match op {
                Op::Add(index) if !present.contains(&index) => {
                    present.push(index);
                    let slot = enter(&all[index].0, &room, MemberReader::Waiting(at(0)));
                    prop_assert_eq!(slot as usize, slots, "a pass under way still finds it");
                }
                Op::Remove(index) if present.contains(&index) => {
                    present.retain(|&other| other != index);
                    leave(&all[index].0, &room);
                    if pinned {
                        prop_assert_eq!(room.state.borrow().members.slots(), slots, "nobody moves");
                    }
                }
                Op::Pin => {
                    pinned = true;
                    room.state.borrow_mut().members.pin();
                }
                Op::Unpin => {
                    pinned = false;
                    room.state.borrow_mut().members.unpin();
                }
                Op::Add(_) | Op::Remove(_) => {}
            }
            check(&room, &present, &all)?;
            if !pinned {
                prop_assert_eq!(room.state.borrow().members.slots(), present.len(), "no holes");
            }
        }
        for index in present {
            leave(&all[index].0, &room);
        }
        for (connection, _) in all.iter().step_by(2) {
            leave(connection, &second);
        }
        prop_assert!(all.iter().all(|(connection, _)| connection.rooms() == 0));
    }
}

#[tokio::test]
async fn a_chunk_ends_with_the_members() {
    let room = room();
    let mut all = Vec::new();
    for id in 0..5 {
        let (connection, client) = connection(id).await;
        enter(&connection, &room, MemberReader::Waiting(at(0)));
        all.push((connection, client));
    }
    let mut state = room.state.borrow_mut();
    let lengths = [(0, 3), (3, 6), (6, 9)].map(|(from, to)| state.members.chunk(from, to).len());
    drop(state);
    assert_eq!(lengths, [3, 2, 0]);
    all.iter().for_each(|(connection, _)| leave(connection, &room));
}
