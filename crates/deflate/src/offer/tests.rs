//! Offers and their answers.

use proptest::prelude::*;

use super::*;

const PLAIN: Option<DeflateAnswer> = Some(DeflateAnswer::Plain);
const WINDOW: Option<DeflateAnswer> = Some(DeflateAnswer::WithWindow);

#[track_caller]
fn check(headers: &[&str], expected: Option<DeflateAnswer>) {
    assert_eq!(DeflateAnswer::negotiate(headers.iter().copied()), expected, "{headers:?}");
}

#[test]
fn what_browsers_and_libraries_offer_is_accepted() {
    check(&["permessage-deflate"], PLAIN);
    check(&["permessage-deflate; client_max_window_bits"], PLAIN);
    check(&["permessage-deflate;client_max_window_bits=9"], PLAIN);
    check(&["permessage-deflate; server_no_context_takeover; client_no_context_takeover"], PLAIN);
    check(&["permessage-deflate; server_max_window_bits=15; client_max_window_bits=15"], WINDOW);
    check(&["  permessage-deflate ;\tserver_max_window_bits = \"15\" "], WINDOW);
    check(&[r#"permessage-deflate; server_max_window_bits="1\5""#], WINDOW);
}

#[test]
fn what_cannot_be_met_is_declined() {
    check(&[], None);
    check(&[""], None);
    check(&["x-webkit-deflate-frame"], None);
    for parameter in [
        "server_max_window_bits=14",
        "server_max_window_bits=8",
        "server_max_window_bits=16",
        "server_max_window_bits=015",
        "server_max_window_bits=+15",
        "server_max_window_bits=",
        "server_max_window_bits",
        "server_max_window_bits=\"15",
        "server_max_window_bits=\"15\"x",
        "client_max_window_bits=7",
        "client_max_window_bits=16",
        "client_max_window_bits=\"\"",
        "client_max_window_bits=99999999999999999999",
        "server_no_context_takeover=1",
        "client_no_context_takeover=",
        "server_no_context_takeover; server_no_context_takeover",
        "client_max_window_bits; client_max_window_bits=9",
        "mystery",
        "mystery=1",
        "",
    ] {
        check(&[&format!("permessage-deflate; {parameter}")], None);
    }
}

#[test]
fn the_first_offer_that_can_be_met_counts() {
    let small = "permessage-deflate; server_max_window_bits=10";
    check(&[small, "permessage-deflate"], PLAIN);
    check(&[&format!("{small}, permessage-deflate; server_max_window_bits=15")], WINDOW);
    check(&["foo; bar=\"a, permessage-deflate; b\", permessage-deflate"], PLAIN);
    check(&["foo; bar=\"permessage-deflate, permessage-deflate"], None);
    check(&[",, permessage-deflate ,"], PLAIN);
}

#[test]
fn the_answer_is_an_offer_that_is_accepted() {
    check(&[DeflateAnswer::Plain.header()], PLAIN);
    check(&[DeflateAnswer::WithWindow.header()], WINDOW);
}

proptest! {
    // More if PROPTEST_CASES asks for more.
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(5_000)))]

    #[test]
    fn no_header_panics(header in r#"(permessage-deflate|[a-z=; ,"\\]{0,40}|[é1;="]{0,9}){0,4}"#) {
        let _any = DeflateAnswer::negotiate([header.as_str()]);
    }
}
