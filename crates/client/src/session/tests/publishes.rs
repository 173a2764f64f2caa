//! What becomes of publishes over losses and refusals.

use super::*;

#[test]
fn publishes_without_a_key_end_unknown_and_unsent_ones_wait() {
    let mut bench = Bench::connected();
    let (lost, _) = bench.request(publish("a", 1, None));
    let actions = bench.lose(None);
    let unknown = PublishFailure::Unknown;
    assert!(
        matches!(&actions[0], Action::Published { id, result: Err(failure) }
            if *id == lost && *failure == unknown),
        "{actions:?}"
    );
    let (waiting, nothing) = bench.request(publish("a", 2, None));
    assert!(nothing.is_empty(), "{nothing:?}");
    assert_eq!(sent(&bench.reconnect()), [format!("publish {waiting}")]);
}

#[test]
fn publishes_with_a_key_are_sent_again_in_order() {
    let mut bench = Bench::connected();
    let ids: Vec<_> = (0..3).map(|n| bench.request(publish("a", n, Some("k"))).0).collect();
    bench.lose(None);
    let expected: Vec<_> = ids.iter().map(|id| format!("publish {id}")).collect();
    assert_eq!(sent(&bench.reconnect()), expected);
    let actions = bench.pass(Duration::from_secs(15));
    let unknown = |action: &&Action| {
        matches!(action, Action::Published { result: Err(PublishFailure::Unknown), .. })
    };
    assert_eq!(actions.iter().filter(unknown).count(), 3, "{actions:?}");
}

#[test]
fn passing_refusals_are_repeated_only_with_a_key() {
    let mut bench = Bench::connected();
    let (plain, _) = bench.request(publish("a", 1, None));
    let (keyed, _) = bench.request(publish("a", 1, Some("k")));
    let refuse = |bench: &mut Bench, id, code| bench.give(Input::Frame(error(Some(id), "a", code)));
    let told = refuse(&mut bench, plain, ErrorCode::Overloaded);
    assert!(matches!(told[..], [Action::Published { result: Err(_), .. }]), "{told:?}");
    assert!(refuse(&mut bench, keyed, ErrorCode::Overloaded).is_empty());
    assert!(bench.pass(Duration::from_millis(699)).is_empty(), "the node asked for 700 ms");
    assert_eq!(sent(&bench.wait()), [format!("publish {keyed}")]);
    let told = refuse(&mut bench, keyed, ErrorCode::Forbidden);
    let sure = matches!(&told[..], [Action::Published { result: Err(failure), .. }]
        if matches!(failure, PublishFailure::Refused { code: ErrorCode::Forbidden, .. }));
    assert!(sure, "{told:?}");
}

#[test]
fn a_publish_nobody_could_take_is_surely_not_sent() {
    let mut bench = Bench::new(|_| {});
    bench.request(publish("a", 1, None));
    bench.now += Duration::from_secs(15);
    let actions = bench.give(Input::Tick);
    let not_sent = Err(PublishFailure::NotSent);
    assert!(
        matches!(&actions[0], Action::Published { result, .. } if *result == not_sent),
        "{actions:?}"
    );
}
