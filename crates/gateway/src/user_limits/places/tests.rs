//! Places of users against a bus that takes their states late, in any order, or not at all.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn user(name: &str) -> UserName {
    UserName::parse(name).unwrap()
}

const TAB: Option<u64> = Some(7);

#[test]
fn a_newcomer_replaces_its_client_s_own_at_the_limit_only() {
    let (ann, mut places) = (user("ann"), UserPlaces::new(PlaceSharing::Alone));
    let enter = |places: &mut UserPlaces, id, client| {
        let newcomer = (ConnectionId(id), client);
        places.enter(&ann, newcomer);
        places.decide(&ann, newcomer, 2)
    };
    assert_eq!(enter(&mut places, 1, TAB), Some(0));
    assert_eq!(enter(&mut places, 2, TAB), Some(0), "there was a place");
    assert_eq!(enter(&mut places, 3, None), None);
    assert_eq!(enter(&mut places, 4, Some(8)), None, "another client");
    assert_eq!(enter(&mut places, 5, TAB), Some(1));
    assert_eq!(places.replaced().iter().map(|id| id.0).collect::<Vec<_>>(), [1]);
    assert_eq!(places.replaceable(&ann, (ConnectionId(9), None), 2), None);
    assert_eq!(places.replaceable(&ann, (ConnectionId(9), TAB), 2), Some(vec![ConnectionId(2)]));
    assert_eq!(places.replaceable(&ann, (ConnectionId(9), TAB), 0), None, "it takes three");
    assert_eq!(places.look(&ann).count, 3);
    for id in [1, 2, 5] {
        places.leave(&ann, ConnectionId(id));
    }
    assert!(places.users.is_empty() && places.replaced.is_empty() && !places.is_any_unset());
}

#[test]
fn a_round_takes_every_user_once() {
    let mut places = UserPlaces::new(PlaceSharing::Shared);
    for number in 0..10 {
        places.enter(&user(&format!("u{number}")), (ConnectionId(number), None));
    }
    places.go_round(1);
    let mut taken = Vec::new();
    while places.is_any_unset() {
        taken.extend(places.take_unset(3).into_iter().map(|(user, _)| user.to_string()));
    }
    let all: Vec<_> = (0..10).map(|number| format!("u{number}")).collect();
    assert_eq!(taken, all);
    places.go_round(4);
    assert_eq!(places.take_unset(9).len(), 3, "a quarter, rounded up");
    places.go_round(1);
    assert_eq!(places.take_unset(99).len(), 10, "from the fourth over the end");
}

#[derive(Debug, Clone)]
enum Step {
    Enter { user: usize, client: u64, is_refused: bool },
    Leave { at: usize },
    Set { most: usize, is_lost: bool },
    Round,
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0_usize..3, 0_u64..3, any::<bool>()).prop_map(|(user, client, is_refused)| Step::Enter {
            user,
            client,
            is_refused
        }),
        (0_usize..64).prop_map(|at| Step::Leave { at }),
        (1_usize..4, any::<bool>()).prop_map(|(most, is_lost)| Step::Set { most, is_lost }),
        Just(Step::Round),
    ]
}

proptest! {
    /// Whatever happened, a bus that takes states again has the true count of every user, and the
    /// table keeps no user that has none.
    #[test]
    fn the_bus_ends_with_the_true_counts(steps in prop::collection::vec(steps(), 0..60)) {
        let mut places = UserPlaces::new(PlaceSharing::Shared);
        let mut bus: BTreeMap<UserName, UserPresence> = BTreeMap::new();
        let mut open: Vec<(UserName, ConnectionId)> = Vec::new();
        let give = |bus: &mut BTreeMap<UserName, UserPresence>, user: &UserName, state: UserPresence| {
            if bus.get(user).is_none_or(|known| known.number < state.number) {
                bus.insert(user.clone(), state);
            }
        };
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Enter { user: at, client, is_refused } => {
                    let (user, id) = (user(&format!("u{at}")), ConnectionId(number as u64));
                    let state = places.enter(&user, (id, Some(client)));
                    if is_refused {
                        places.refuse(&user, id, state.number);
                    } else {
                        give(&mut bus, &user, state);
                        open.push((user, id));
                    }
                }
                Step::Leave { at } if !open.is_empty() => {
                    let (user, id) = open.swap_remove(at % open.len());
                    places.leave(&user, id);
                }
                Step::Leave { .. } => {}
                Step::Set { most, is_lost } => {
                    for (user, state) in places.take_unset(most).into_iter().rev() {
                        match is_lost {
                            true => places.mark(&user),
                            false => {
                                let number = state.number;
                                give(&mut bus, &user, state);
                                places.was_set(&user, number);
                            }
                        }
                    }
                }
                Step::Round => places.go_round(1),
            }
        }
        while places.is_any_unset() {
            for (user, state) in places.take_unset(2) {
                let number = state.number;
                give(&mut bus, &user, state);
                places.was_set(&user, number);
            }
        }
        for (user, state) in &bus {
            let count = open.iter().filter(|(of, _)| of == user).count();
            prop_assert_eq!(state.count, count);
            prop_assert_eq!(state.named.len(), count);
        }
        let has_some = |user: &UserName| open.iter().any(|(of, _)| of == user);
        prop_assert!(places.users.keys().all(has_some));
    }
}
