//! The rules of the section "Origin" of the documents, one by one.

use super::*;
use proptest::prelude::*;

const WITH: Authentication = Authentication::Configured;
const WITHOUT: Authentication = Authentication::NotConfigured;

fn request<'a>(origin: &'a str, host: &'a str) -> OriginRequest<'a> {
    let text = |text: &'a str| (!text.is_empty()).then_some(text);
    OriginRequest {
        origin: text(origin),
        host: text(host),
        cookie: CookieUse::NotUsed,
        target: OriginTarget::Upgrade,
    }
}

fn by_cookie<'a>(origin: &'a str, host: &'a str) -> OriginRequest<'a> {
    OriginRequest { cookie: CookieUse::Credential, ..request(origin, host) }
}

fn page(host: &str) -> OriginRequest<'_> {
    OriginRequest { target: OriginTarget::Page, ..request("", host) }
}

#[track_caller]
fn check(list: &str, authentication: Authentication, request: OriginRequest<'_>, expected: bool) {
    let list = OriginList::parse(list).unwrap();
    let judged = judge_origin(&list, authentication, request);
    assert_eq!(judged.is_ok(), expected, "{request:?}: {judged:?}");
    if let Err(refusal) = judged {
        let text = refusal.to_string();
        assert!(
            text.contains("http.origins") && text.contains("Origin ") && text.contains("Host ")
        );
        assert!(text.contains(request.origin.unwrap_or("none")), "{text}");
        assert!(text.contains(request.host.unwrap_or("none")), "{text}");
    }
}

#[test]
fn with_an_empty_list_the_pages_host_is_the_requests() {
    check("", WITH, request("https://a.com", "a.com"), true);
    check("", WITH, request("http://a.com:3000", "A.com:8080"), true);
    check("", WITH, request("https://b.com", "a.com"), false);
    check("", WITH, request("https://sub.a.com", "a.com"), false);
    check("", WITH, request("http://localhost:3000", "127.0.0.1:8080"), true);
    check("", WITH, request("null", "a.com"), false);
    check("", WITH, request("https://a.com", ""), false);
    check("", WITH, request("https://a.com https://a.com", "a.com"), false);
    check("", WITH, by_cookie("https://a.com", "a.com"), true);
    check("", WITH, by_cookie("https://b.com", "a.com"), false);
}

#[test]
fn without_authentication_only_local_hosts_count() {
    check("", WITHOUT, request("http://localhost:3000", "127.0.0.1:8080"), true);
    check("", WITHOUT, request("http://10.0.0.1", "10.0.0.1:8080"), true);
    check("", WITHOUT, request("http://10.0.0.1", "10.0.0.2:8080"), false);
    check("", WITHOUT, request("http://evil.com", "evil.com"), false);
    check("", WITHOUT, request("http://localhost:3000", "evil.com"), false);
    check("", WITHOUT, request("null", "localhost"), false);
    check("", WITHOUT, request("", "evil.com"), true);
    check("", WITHOUT, page("localhost:8080"), true);
    check("", WITHOUT, page("[::1]:8080"), true);
    check("", WITHOUT, page("192.168.1.2"), true);
    check("", WITHOUT, page("evil.com"), false);
    check("", WITHOUT, page(""), false);
    check("", WITH, page("evil.com"), true);
    check("https://a.com", WITHOUT, page("evil.com"), true);
}

#[test]
fn where_the_list_is_set_only_the_list_counts() {
    check("https://a.com", WITH, request("https://a.com", "other.com"), true);
    check("https://a.com", WITH, request("http://a.com", "a.com"), false);
    check("https://a.com", WITH, request("https://a.com:8443", "a.com"), false);
    check("https://a.com", WITH, request("https://b.com", "b.com"), false);
    check("https://a.com", WITHOUT, request("https://a.com", "evil.com"), true);
    check("https://a.com", WITHOUT, request("http://localhost", "localhost"), false);
    check("https://a.com https://*.b.com", WITH, by_cookie("https://x.b.com", "other.com"), true);
    check("https://a.com", WITH, by_cookie("https://b.com", "b.com"), false);
    check("https://a.com", WITH, request("https://a.com", ""), true);
}

#[test]
fn a_star_does_not_count_for_the_cookie() {
    check("*", WITH, request("https://b.com", "a.com"), true);
    check("*", WITH, request("null", "a.com"), true);
    check("*", WITHOUT, request("https://b.com", "a.com"), true);
    check("*", WITH, by_cookie("https://b.com", "a.com"), false);
    check("*", WITH, by_cookie("https://a.com", "a.com"), true);
    check("*", WITH, by_cookie("null", "a.com"), false);
    check("* https://b.com", WITH, by_cookie("https://b.com", "a.com"), true);
    check("* https://b.com", WITH, by_cookie("https://c.com", "a.com"), false);
}

#[test]
fn an_upgrade_by_cookie_needs_an_origin() {
    for list in ["", "*", "https://a.com"] {
        check(list, WITH, by_cookie("", "a.com"), false);
        check(list, WITH, request("", "a.com"), true);
        let plain = OriginRequest { target: OriginTarget::Other, ..by_cookie("", "a.com") };
        check(list, WITH, plain, true);
    }
}

#[test]
fn credentials_go_to_origins_from_which_the_cookie_is_taken() {
    let credentials = |list: &str, cookie, origin, host| {
        let list = OriginList::parse(list).unwrap();
        let request = OriginRequest { cookie, ..request(origin, host) };
        let grant = judge_origin(&list, WITH, request).unwrap().unwrap();
        assert_eq!(grant.origin, origin);
        grant.credentials
    };
    use CookieUse::{Credential, NotUsed, Off};
    assert!(credentials("https://a.com", NotUsed, "https://a.com", "b.com"));
    assert!(credentials("https://a.com", Credential, "https://a.com", "b.com"));
    assert!(!credentials("https://a.com", Off, "https://a.com", "b.com"));
    assert!(!credentials("*", NotUsed, "https://a.com", "b.com"));
    assert!(credentials("*", NotUsed, "https://b.com", "b.com"));
    assert!(credentials("", NotUsed, "https://b.com", "b.com"));
}

#[test]
fn a_list_of_other_words_is_refused_with_the_word() {
    let error = OriginList::parse("https://a.com b.com").unwrap_err();
    assert_eq!(error, OriginListError("b.com".to_owned()));
    assert!(OriginList::parse("  ").unwrap().is_empty());
}

#[test]
fn a_refusal_shows_headers_without_control_characters_and_bounded() {
    let odd = format!("https://a\u{1b}[31m{}", "x".repeat(10_000));
    let refusal = judge_origin(&OriginList::default(), WITH, request(&odd, "a")).unwrap_err();
    let text = refusal.to_string();
    assert!(!text.contains('\u{1b}') && text.len() < 600, "{text}");
}

#[test]
fn a_page_with_a_secret_is_served_by_known_names_only() {
    for (list, host, expected) in [
        ("", "localhost:8080", true),
        ("", "app.localhost", true),
        ("", "192.0.2.7:80", true),
        ("", "[::1]:8080", true),
        ("", "evil.example", false),
        ("", "", false),
        ("", "a b", false),
        ("*", "evil.example", false),
        ("https://a.com", "A.com:8443", true),
        ("https://a.com", "evil.a.com", false),
        ("https://a.com https://*.b.com", "x.b.com", true),
        ("https://*.b.com", "b.com", false),
        ("https://*.b.com", "evilb.com", false),
    ] {
        let origins = OriginList::parse(list).unwrap();
        assert_eq!(is_host_trusted(&origins, host), expected, "{list:?} {host:?}");
    }
}

proptest! {
    /// No request by cookie from a foreign page is let in unless its origin is named.
    #[test]
    fn the_cookie_is_never_taken_from_a_foreign_page(
        origin in "(null|https?://[abl.]{1,4}(:8)?)", host in "[abl.]{1,4}(:8)?", star: bool,
    ) {
        let list = OriginList::parse(if star { "*" } else { "" }).unwrap();
        let judged = judge_origin(&list, WITH, by_cookie(&origin, &host));
        let bare = |text: &str| {
            let text = text.rsplit("://").next().unwrap_or(text);
            text.split(':').next().unwrap_or(text).trim_end_matches('.').to_owned()
        };
        if judged.is_ok() {
            prop_assert_eq!(bare(&origin), bare(&host));
        }
    }
}
