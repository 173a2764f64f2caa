//! Which credential gives which identity, and by which problem it is refused.

use hyper::Request;
use hyper::header::RETRY_AFTER;
use roomcast_access::token::sign;
use roomcast_protocol::UserName;

use super::super::query;
use super::*;
use crate::auth::{KeySources, wall_ms};
use crate::config::Config;
use crate::tests::settings;

const SECRET: &str = "a-secret-of-thirty-two-bytes-or-more";

fn token(user: &str, seconds: u64) -> String {
    let exp = wall_ms() / 1_000 + seconds;
    sign(SECRET.as_bytes(), &format!(r#"{{"sub":"{user}","exp":{exp}}}"#)).unwrap()
}

/// The user that a head is identified as, or status and code.
async fn identified(
    changes: &[&str],
    uri: &str,
    headers: &[(&'static str, &str)],
) -> Result<Option<String>, (u16, &'static str)> {
    let keys = Arc::new(TokenKeys::default());
    keys.configure(KeySources::read(&Config::from_settings(changes).unwrap().auth).unwrap());
    let mut request = Request::get(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let head = request.body(()).unwrap().into_parts().0;
    let query = query::parse(head.uri.query().unwrap_or_default()).unwrap();
    let bus = Bus::memory(roomcast_bus::MemoryOptions::default()).0;
    let settings = settings(changes);
    match identify(&head.headers, query, &settings.auth, (&keys, &bus)).await {
        Ok(Admitted { hello, .. }) => {
            let is_proved = hello.verified.is_some();
            Ok(hello.user.map(|user| format!("{}{user}", if is_proved { "" } else { "?" })))
        }
        Err(problem) => {
            let challenge = problem.header(WWW_AUTHENTICATE).is_some();
            assert_eq!(challenge, problem.status == StatusCode::UNAUTHORIZED);
            Err((problem.status.as_u16(), problem.code))
        }
    }
}

#[tokio::test]
async fn a_token_comes_by_every_way() {
    let secret = format!("auth.hs_secret={SECRET}");
    let all = [&*secret, "auth.cookie=sid", "auth.query_token=true"];
    let good = token("alice", 60);
    let (bearer, cookie) = (format!("Bearer {good}"), format!("a=b; sid={good}"));
    let offered = format!("roomcast.token.{good}, json");
    let by_query = format!("/ws?user=bob&token={good}");
    let alice = Ok(Some("alice".to_owned()));
    for (uri, headers) in [
        ("/ws?user=bob", vec![("authorization", &*bearer)]),
        ("/ws", vec![("sec-websocket-protocol", &*offered)]),
        ("/ws", vec![("sec-websocket-protocol", "json"), ("sec-websocket-protocol", &*offered)]),
        ("/ws", vec![("cookie", &*cookie)]),
        (&*by_query, vec![]),
        (&*by_query, vec![("authorization", &*bearer), ("cookie", &*cookie)]),
    ] {
        assert_eq!(identified(&all, uri, &headers).await, alice, "{uri} {headers:?}");
    }
    let two = [("authorization", &*bearer), ("cookie", "sid=other")];
    assert_eq!(identified(&all, "/ws", &two).await, Err((400, "bad_query")));
    let beside = [("authorization", &*bearer)];
    assert_eq!(identified(&all, "/ws?ticket=x", &beside).await, Err((400, "bad_query")));
    assert_eq!(identified(&[&secret], &by_query, &[]).await, Err((400, "bad_query")));
}

#[tokio::test]
async fn what_is_not_good_is_refused_and_never_anonymous() {
    let secret = format!("auth.hs_secret={SECRET}");
    for all in [
        vec![&*secret],
        vec![&*secret, "auth.anonymous=true"],
        vec![&*secret, "insecure=true"],
        vec![&*secret, "auth.leeway=0"],
    ] {
        for (presented, refused) in
            [("Bearer a.b.c", Err((401, "bad_token"))), ("Bearer ", Err((401, "bad_token")))]
        {
            let headers = [("authorization", presented)];
            assert_eq!(identified(&all, "/ws", &headers).await, refused, "{all:?} {presented}");
        }
        assert_eq!(identified(&all, "/ws?ticket=x", &[]).await, Err((401, "spent_ticket")));
    }
    let ended = format!("Bearer {}", token("alice", 0));
    let strict = [&*secret, "auth.leeway=0"];
    let headers = [("authorization", &*ended)];
    assert_eq!(identified(&strict, "/ws", &headers).await, Err((401, "expired_token")));
    assert_eq!(identified(&[&secret], "/ws?user=bob", &[]).await, Err((401, "no_token")));
    let open = [&*secret, "auth.anonymous=true"];
    assert_eq!(identified(&open, "/ws?user=bob", &[]).await, Ok(None));
    assert_eq!(identified(&open, "/ws?user=", &[]).await, Ok(None), "it is not even read");
}

#[tokio::test]
async fn without_keys_every_credential_is_refused() {
    let headers = [("authorization", "Bearer x")];
    assert_eq!(identified(&[], "/ws", &headers).await, Err((401, "bad_token")));
    assert_eq!(identified(&[], "/ws?ticket=x", &[]).await, Err((401, "bad_token")));
    assert_eq!(identified(&[], "/ws?user=bob", &[]).await, Ok(Some("?bob".to_owned())));
    assert_eq!(identified(&[], "/ws?user=", &[]).await, Err((400, "bad_query")));
    let refused = without_credential(
        Ok(Some(UserName::parse("bob").unwrap())),
        (None, None),
        &settings(&["auth.hs_secret=a-secret-of-thirty-two-bytes-or-more"]).auth,
    );
    assert_eq!(refused.unwrap_err().code, "no_token");
}

#[test]
fn a_key_that_has_not_come_says_when_to_come_back() {
    let kind = RefusedToken::NotReady { retry_after_ms: 7_001 };
    let problem = token_problem(&TokenRefusal { kind, detail: "wait".to_owned() });
    assert_eq!((problem.status.as_u16(), problem.code), (503, "not_ready"));
    assert_eq!(problem.header(RETRY_AFTER).unwrap(), "8");
}
