//! One fetch at a time, few of them, and no token refused before a fetch could have brought its
//! key.

use super::*;
use crate::keys::read_jwks;
use crate::testing::{self, TestKey};
use proptest::prelude::*;

/// A fetch that brought no key which is asked for here.
const FETCHED: FetchOutcome<'static> = FetchOutcome::Fetched(&[]);

/// A state with a first JWKS fetched at 0.
fn fetched() -> JwksFetching {
    let mut jwks = JwksFetching::new(0);
    assert!(jwks.begin_due(0));
    jwks.ended(FETCHED, 0);
    jwks
}

#[test]
fn nothing_is_unknown_before_the_first_jwks() {
    let mut jwks = JwksFetching::new(0);
    let not_ready = |retry_after_ms| KeyAnswer::NotReady { retry_after_ms };
    assert_eq!(jwks.unknown_name("a", 0), not_ready(1_000));
    assert!(jwks.begin_due(0));
    assert!(!jwks.begin_due(0));
    assert_eq!(jwks.next_due(), None);
    assert_eq!(jwks.unknown_name("a", 100), not_ready(1_000));
    jwks.ended(FetchOutcome::Failed, 200);
    assert_eq!(jwks.next_due(), Some(1_200));
    assert!(!jwks.begin_due(1_199));
    assert!(jwks.begin_due(1_200));
    jwks.ended(FetchOutcome::Failed, 2_000);
    assert_eq!(jwks.unknown_name("a", 2_000), not_ready(2_000));
    assert_eq!(jwks.fetched_at(), None);
}

#[test]
fn retries_slow_down_to_a_minute_and_start_again_after_a_success() {
    let mut jwks = JwksFetching::new(0);
    let mut now = 0;
    for wait in [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000] {
        assert!(jwks.begin_due(now));
        jwks.ended(FetchOutcome::Failed, now);
        assert_eq!(jwks.next_due(), Some(now + wait));
        now += wait;
    }
    assert!(jwks.begin_due(now));
    jwks.ended(FETCHED, now);
    assert_eq!(jwks.next_due(), Some(now + REFRESH_INTERVAL_MS));
    assert_eq!(jwks.fetched_at(), Some(now));
    assert!(jwks.begin_due(now + REFRESH_INTERVAL_MS));
    jwks.ended(FetchOutcome::Failed, now + REFRESH_INTERVAL_MS);
    assert_eq!(jwks.next_due(), Some(now + REFRESH_INTERVAL_MS + 1_000));
    assert_eq!(jwks.fetched_at(), Some(now));
}

#[test]
fn one_shared_fetch_answers_for_all_names() {
    let mut jwks = fetched();
    assert_eq!(jwks.unknown_name("a", 10), KeyAnswer::Fetch);
    assert_eq!(jwks.unknown_name("a", 11), KeyAnswer::Wait);
    jwks.ended(FETCHED, 12);
    assert_eq!(jwks.unknown_name("a", 13), KeyAnswer::Unknown);
}

#[test]
fn a_fetch_that_began_before_the_name_came_does_not_refuse_it() {
    let mut jwks = fetched();
    assert_eq!(jwks.unknown_name("stranger", 10), KeyAnswer::Fetch);
    assert_eq!(jwks.unknown_name("new", 11), KeyAnswer::Wait);
    jwks.ended(FETCHED, 12);
    assert_eq!(jwks.unknown_name("new", 13), KeyAnswer::NotReady { retry_after_ms: 9_997 });
    assert_eq!(jwks.unknown_name("new", 10_010), KeyAnswer::Fetch);
    jwks.ended(FETCHED, 10_020);
    assert_eq!(jwks.unknown_name("new", 10_021), KeyAnswer::Unknown);
}

/// Two tokens with one new key: the second was looked up among the old keys, and comes to the
/// state when the fetch has brought the key.
#[test]
fn a_name_that_a_fetch_brought_is_not_refused() {
    let mut jwks = fetched();
    assert_eq!(jwks.unknown_name("new", 10), KeyAnswer::Fetch);
    let set = testing::jwks(&[TestKey::ed25519().jwk(r#","kid":"new""#)]);
    jwks.ended(FetchOutcome::Fetched(&read_jwks(set.as_bytes()).unwrap()), 20);
    assert!(matches!(jwks.unknown_name("new", 20), KeyAnswer::NotReady { .. }));
}

#[test]
fn a_failed_fetch_refuses_nothing() {
    let mut jwks = fetched();
    assert_eq!(jwks.unknown_name("a", 10), KeyAnswer::Fetch);
    jwks.ended(FetchOutcome::Failed, 20);
    assert_eq!(jwks.unknown_name("a", 21), KeyAnswer::NotReady { retry_after_ms: 1_000 });
    assert!(jwks.begin_due(1_020));
    assert_eq!(jwks.unknown_name("a", 1_030), KeyAnswer::Wait);
    jwks.ended(FETCHED, 1_040);
    assert_eq!(jwks.unknown_name("a", 1_041), KeyAnswer::Unknown);
}

#[test]
fn an_unknown_name_is_fetched_for_again_later() {
    let mut jwks = fetched();
    assert_eq!(jwks.unknown_name("a", 0), KeyAnswer::Fetch);
    jwks.ended(FETCHED, 1);
    assert_eq!(jwks.unknown_name("a", 19_999), KeyAnswer::Unknown);
    assert_eq!(jwks.unknown_name("a", 20_000), KeyAnswer::Fetch);
}

#[test]
fn a_full_table_refuses_no_further_name() {
    let mut jwks = fetched();
    for name in 0..MAX_UNKNOWN_NAMES {
        jwks.unknown_name(&name.to_string(), 0);
    }
    jwks.ended(FETCHED, 1);
    assert_eq!(jwks.unknown_name("0", 2), KeyAnswer::Unknown);
    assert!(matches!(jwks.unknown_name("one more", 2), KeyAnswer::NotReady { .. }));
    assert_eq!(jwks.unknown_name("one more", 10_000), KeyAnswer::Fetch);
    jwks.ended(FETCHED, 10_001);
    assert!(matches!(jwks.unknown_name("one more", 10_002), KeyAnswer::NotReady { .. }));
    assert_eq!(jwks.unknown.len(), MAX_UNKNOWN_NAMES);
    assert_eq!(jwks.unknown_name("one more", 20_000), KeyAnswer::Fetch);
    assert_eq!(jwks.unknown.len(), 1);
}

#[derive(Debug, Clone)]
enum FetchStep {
    Pass(u64),
    Tick,
    Ask(u8),
    End(FetchOutcome<'static>),
}

fn steps() -> impl Strategy<Value = Vec<FetchStep>> {
    let outcome = prop_oneof![Just(FETCHED), Just(FetchOutcome::Failed)];
    let step = prop_oneof![
        (0_u64..8_000).prop_map(FetchStep::Pass),
        Just(FetchStep::Tick),
        (0_u8..6).prop_map(FetchStep::Ask),
        outcome.prop_map(FetchStep::End),
    ];
    prop::collection::vec(step, 0..200)
}

proptest! {
    /// Against the contract's own words: one fetch at a time, names cause at most one in 10 s, and
    /// a name is refused only if a fetch that began after it was first asked for succeeded.
    #[test]
    fn the_contract_holds_in_any_order(steps in steps()) {
        let mut jwks = JwksFetching::new(0);
        let (mut now, mut clock) = (0_u64, 0_u64);
        let mut under_way: Option<u64> = None;
        let mut last_asked_fetch: Option<u64> = None;
        let mut last_good_begin: Option<u64> = None;
        let mut first_asked: HashMap<u8, u64> = HashMap::new();
        for step in steps {
            clock += 1;
            match step {
                FetchStep::Pass(ms) => now += ms,
                FetchStep::Tick => if jwks.begin_due(now) {
                    prop_assert_eq!(under_way.replace(clock), None);
                },
                FetchStep::End(outcome) => if let Some(began) = under_way.take() {
                    jwks.ended(outcome, now);
                    if matches!(outcome, FetchOutcome::Fetched(_)) {
                        last_good_begin = Some(began);
                    }
                },
                FetchStep::Ask(name) => {
                    let first = *first_asked.entry(name).or_insert(clock);
                    match jwks.unknown_name(&name.to_string(), now) {
                        KeyAnswer::Fetch => {
                            prop_assert_eq!(under_way.replace(clock), None);
                            let before = last_asked_fetch.replace(now);
                            prop_assert!(before.is_none_or(|before| now >= before + 10_000));
                        }
                        KeyAnswer::Wait => prop_assert!(under_way.is_some()),
                        KeyAnswer::Unknown => {
                            prop_assert!(last_good_begin.is_some_and(|began| began >= first));
                        }
                        KeyAnswer::NotReady { retry_after_ms } => {
                            prop_assert!(retry_after_ms >= 1);
                            prop_assert!(last_good_begin.is_none() || under_way.is_none());
                        }
                    }
                }
            }
        }
    }
}
