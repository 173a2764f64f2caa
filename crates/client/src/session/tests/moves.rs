//! The node asks the client to move.

use super::*;

#[test]
fn a_hint_is_followed_once_the_next_connection_is_open_and_the_last_answer_there() {
    let mut bench = Bench::connected();
    bench.join("a", JoinOptions::default(), at(1, 7));
    let (id, _) = bench.request(publish("a", 1, None));
    bench.give(Input::Frame(ServerFrame::Reconnect { after_ms: 500, reason: "drain".into() }));
    let actions = bench.pass(Duration::from_millis(500));
    assert!(matches!(actions[..], [Action::Prepare { url: 1, .. }]), "{actions:?}");
    bench.give(Input::Frame(ServerFrame::Message { room: room("a"), message: message(8, 1) }));
    assert!(bench.give(Input::Prepared { is_open: true }).is_empty(), "an answer is expected");
    let (later, nothing) = bench.request(publish("a", 2, None));
    assert!(nothing.is_empty(), "{nothing:?}");
    let ack = ServerFrame::Ack { id, room: room("a"), epoch: Epoch(1), seq: 8, time: 0 };
    let actions = bench.give(Input::Frame(ack));
    assert!(
        matches!(
            actions[..],
            [
                Action::Published { result: Ok(_), .. },
                Action::Disconnect { .. },
                Action::Tell(_),
                Action::TakeOver
            ]
        ),
        "{actions:?}"
    );
    assert_eq!(pause(&actions), Duration::ZERO);
    let expected = ["a Some((1, 8)) None".to_owned(), format!("publish {later}")];
    assert_eq!(sent(&bench.give(Input::Frame(connected()))), expected);
}

#[test]
fn a_hint_is_followed_without_a_next_connection_too() {
    for refused in [true, false] {
        let mut bench = Bench::connected();
        bench.join("a", JoinOptions::default(), at(1, 7));
        bench.give(Input::Frame(ServerFrame::Reconnect { after_ms: 0, reason: "drain".into() }));
        let actions = match refused {
            true => bench.give(Input::Prepared { is_open: false }),
            false => {
                bench.pass(SETTLE_TIME).into_iter().chain(bench.pass(Duration::ZERO)).collect()
            }
        };
        assert!(
            matches!(actions[..], [Action::Disconnect { .. }, Action::Tell(_), ..]),
            "{actions:?}"
        );
        assert_eq!(pause(&actions), Duration::ZERO);
        assert_eq!(sent(&bench.reconnect()), ["a Some((1, 7)) None"]);
    }
}
