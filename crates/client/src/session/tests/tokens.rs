//! Tokens that end, are renewed, or are refused.

use super::*;
use crate::TokenSource;

const SECOND: Duration = Duration::from_secs(1);

/// `connected` with a token that lives so long.
fn connected_for(life: Duration) -> ServerFrame {
    match connected() {
        ServerFrame::Connected { connection, user, node, online, heartbeat: _, limits, .. } => {
            ServerFrame::Connected {
                connection,
                user,
                node,
                time: 1_000,
                expires: Some(1_000 + life.as_millis() as u64),
                online,
                heartbeat: Heartbeat { interval_ms: 0, timeout_ms: 0 },
                limits,
            }
        }
        other => panic!("{other:?}"),
    }
}

fn with_token(options: &mut Options) {
    options.token = Some(TokenSource::fixed("t"));
}

fn live_for(life: Duration) -> Bench {
    let mut bench = Bench::new(with_token);
    bench.give(Input::Tick);
    bench.give(Input::Frame(connected_for(life)));
    bench
}

fn refused(verdict: RetryVerdict) -> Input {
    let reason = "the handshake was refused with 401".into();
    Input::Failed(Failure { reason, retry_after: Duration::ZERO, verdict })
}

#[test]
fn a_token_is_renewed_on_the_connection_in_use() {
    let mut bench = live_for(120 * SECOND);
    assert!(bench.pass(89 * SECOND).is_empty());
    let fetch = bench.pass(SECOND);
    assert!(matches!(fetch[..], [Action::FetchToken]), "{fetch:?}");
    let sent = bench.give(Input::Token(Ok("new".into())));
    let [Action::Send(ClientFrame::Refresh { id: Some(id), ref token })] = sent[..] else {
        panic!("{sent:?}")
    };
    assert_eq!(&**token, "new");
    let refreshed = ServerFrame::Refreshed { id: Some(id), expires: 241_000, time: 1_000 };
    assert!(bench.give(Input::Frame(refreshed)).is_empty());
    assert!(bench.pass(179 * SECOND).is_empty());
    assert!(matches!(bench.pass(SECOND)[..], [Action::FetchToken]));
}

#[test]
fn a_renewal_that_fails_is_tried_again_and_told_to_nobody() {
    let mut bench = live_for(120 * SECOND);
    bench.pass(90 * SECOND);
    assert!(bench.give(Input::Token(Err("away".into()))).is_empty());
    let again = bench.pass(5 * SECOND);
    assert!(matches!(again[..], [Action::FetchToken]), "{again:?}");
    let sent = bench.give(Input::Token(Ok("new".into())));
    let [Action::Send(ClientFrame::Refresh { id, .. })] = sent[..] else { panic!("{sent:?}") };
    let refused = ServerFrame::Error {
        id,
        room: None,
        code: ErrorCode::BadToken,
        message: "no".into(),
        retry_after_ms: None,
    };
    assert!(bench.give(Input::Frame(refused)).is_empty());
    assert!(matches!(bench.pass(5 * SECOND)[..], [Action::FetchToken]));
    // A token that comes when its connection is gone is of no use: the next try fetches its own.
    bench.lose(Some(4100));
    assert!(bench.give(Input::Token(Ok("late".into()))).is_empty());
}

#[test]
fn an_ended_token_brings_the_client_back() {
    let mut bench = live_for(120 * SECOND);
    assert!(pause(&bench.lose(Some(4100))) > Duration::ZERO);
    bench.reconnect();
}

#[test]
fn a_refused_token_is_replaced_once() {
    let mut bench = Bench::new(with_token);
    bench.give(Input::Tick);
    assert!(pause(&bench.give(refused(RetryVerdict::ReplaceToken))) > Duration::ZERO);
    while !matches!(bench.wait()[..], [Action::Connect { .. }]) {}
    assert_eq!(closed_with(&bench.give(refused(RetryVerdict::ReplaceToken))), None);
    // A client without a source has no other.
    let mut bench = Bench::new(|_| {});
    bench.give(Input::Tick);
    assert_eq!(closed_with(&bench.give(refused(RetryVerdict::ReplaceToken))), None);
}
