//! Who is let in: every credential has its answer, an identity ends in time, and a new token takes
//! its place.

use std::fs;

use crate::support::auth::{GUARDED, SECRET, now, token, token_until};
use crate::support::{RawClient, Response, TestNode, get, plain};
use roomcast_protocol::{ClientFrame, CloseCode, Encoding, ErrorCode, ServerFrame};

async fn ask(node: &TestNode, headers: &str) -> Response {
    let mut client = RawClient::connect(node.address()).await;
    let upgrade = crate::support::UPGRADE;
    client.write(format!("{upgrade}{headers}\r\n").as_bytes()).await;
    client.response().await
}

fn code(response: &Response) -> String {
    let body: serde_json::Value = serde_json::from_str(&response.body).unwrap_or_default();
    body["code"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn every_credential_has_its_answer_with_and_without_upgrade() {
    let node =
        TestNode::start(&[&GUARDED[..], &["auth.cookie=sid", "auth.leeway=0"]].concat()).await;
    let good = token("alice", "");
    let stranger = roomcast_access::token::sign(&[7; 32], r#"{"sub":"a","exp":99999999999}"#);
    let none = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIiwiZXhwIjo5OTk5OTk5OTk5OX0.";
    let rows = [
        (String::new(), 401, "no_token"),
        (format!("Authorization: Bearer {good}\r\n"), 101, ""),
        (format!("Origin: http://node\r\nCookie: a=b; sid={good}\r\n"), 101, ""),
        (format!("Origin: http://evil.example\r\nCookie: sid={good}\r\n"), 403, "bad_origin"),
        (format!("Sec-WebSocket-Protocol: roomcast.token.{good}, json\r\n"), 101, ""),
        (format!("Sec-WebSocket-Protocol: roomcast.token.{good}\r\n"), 400, ""),
        (format!("Authorization: Bearer {}\r\n", stranger.unwrap()), 401, "bad_token"),
        (format!("Authorization: Bearer {none}\r\n"), 401, "bad_token"),
        ("Authorization: Bearer x\r\n".to_owned(), 401, "bad_token"),
        (format!("Authorization: Bearer {}\r\n", token_until(1, "a", "")), 401, "expired_token"),
        (format!("Authorization: Bearer {good}\r\nAuthorization: Bearer {good}\r\n"), 101, ""),
        (format!("Authorization: Bearer {good}\r\nAuthorization: Bearer x\r\n"), 400, "bad_query"),
        (
            format!("Authorization: Bearer {good}\r\nCookie: sid={}\r\n", token("bob", "")),
            400,
            "bad_query",
        ),
        (format!("Authorization: Bearer {}\r\n", token("a", r#","aud":"else""#)), 401, "bad_token"),
        (
            format!("Authorization: Bearer {}\r\n", token("a", r#","room":"r","can":["join"]"#)),
            401,
            "bad_token",
        ),
    ];
    for (headers, status, expected) in rows {
        let upgraded = ask(&node, &headers).await;
        let mut plain = RawClient::connect(node.address()).await;
        plain.write(format!("GET /ws HTTP/1.1\r\nHost: node\r\n{headers}\r\n").as_bytes()).await;
        let asked = plain.response().await;
        assert_eq!(upgraded.status, status, "{headers} {upgraded:?}");
        assert_eq!(asked.status, if status == 101 { 426 } else { status }, "{headers}");
        assert_eq!(upgraded.header("www-authenticate").is_some(), status == 401, "{headers}");
        if !expected.is_empty() {
            assert_eq!((code(&upgraded), code(&asked)), (expected.to_owned(), expected.to_owned()));
        }
        // Nothing of a token is shown; where its subprotocol is chosen, its own is not.
        assert!(!upgraded.head.contains(&good.to_lowercase()), "{headers}");
        assert!(!upgraded.body.contains(&good), "{headers}");
    }
    let scrape = node.scrape().await;
    for (reason, least) in [("no_token", 2.0), ("bad_token", 10.0), ("expired_token", 2.0)] {
        let counted =
            scrape.with("roomcast_connections_refused_total", &format!("reason=\"{reason}\""));
        assert!(counted >= least, "{reason}: {counted}");
    }
    node.stop().await;
}

#[tokio::test]
async fn without_keys_a_token_is_refused_and_a_name_is_taken() {
    let node = TestNode::start(&["auth.query_token=true"]).await;
    let refused = get(node.address(), &format!("/ws?token={}", token("alice", ""))).await;
    assert_eq!((refused.status, code(&refused)), (401, "bad_token".to_owned()));
    assert!(refused.body.contains("auth.hs_secret"), "{}", refused.body);
    let mut client = node.user(Encoding::Json, "alice").await;
    let id = Some(client.next_id());
    let refresh = ClientFrame::Refresh { id, token: token("alice", "").into() };
    match client.ask(&refresh).await {
        ServerFrame::Error { code: ErrorCode::BadToken, .. } => {}
        other => panic!("{other:?}"),
    }
    drop(client);
    node.stop().await;
}

#[tokio::test]
async fn anonymous_connections_are_let_in_where_the_configuration_says_so() {
    let settings = ["auth.anonymous=true", "namespaces.lobby.allow_join=public"];
    let node = TestNode::start(&[&GUARDED[..], &settings].concat()).await;
    let mut client = node.user(Encoding::MsgPack, "alice").await;
    match &client.connected {
        ServerFrame::Connected { user: None, expires: None, .. } => {}
        other => panic!("{other:?}"),
    }
    client.join("lobby:1").await;
    let publish = client.publication("lobby:1", "1");
    assert_eq!(client.try_publish(publish).await, Err(ErrorCode::Forbidden));
    // It never becomes a user.
    let id = Some(client.next_id());
    let refresh = ClientFrame::Refresh { id, token: token("alice", "").into() };
    match client.ask(&refresh).await {
        ServerFrame::Error { code: ErrorCode::BadToken, .. } => {}
        other => panic!("{other:?}"),
    }
    client.ping().await;
    let refused = get(node.address(), "/ws?token=x").await;
    assert_eq!((refused.status, code(&refused)), (401, "bad_token".to_owned()));
    drop(client);
    node.stop().await;
}

#[tokio::test]
async fn a_connection_ends_with_its_token() {
    let node = TestNode::start(&[&GUARDED[..], &["auth.leeway=0"]].concat()).await;
    for encoding in Encoding::ALL {
        let exp = now() + 2;
        let mut client = node.with_token(encoding, &token_until(exp, "alice", "")).await;
        match &client.connected {
            ServerFrame::Connected { user, expires, .. } => {
                assert_eq!(user.as_ref().unwrap().as_str(), "alice");
                assert_eq!(*expires, Some(exp * 1_000));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(client.closed().await, CloseCode::Expired.code());
        assert!(now() >= exp, "not before its end");
    }
    // Counted when a socket is let go, which is after its Close.
    node.until("roomcast_connections", |count| count == 0.0).await;
    let scrape = node.scrape().await;
    let expired = scrape.with("roomcast_connections_closed_total", "reason=\"expired\"");
    assert_eq!(expired, 2.0);
    node.stop().await;
}

#[tokio::test]
async fn a_new_token_moves_the_end_and_replaces_what_the_old_one_gave() {
    let node = TestNode::start(&[&GUARDED[..], &["auth.leeway=0"]].concat()).await;
    let exp = now() + 3;
    let both = r#","rooms":{"a":["join","publish"],"b":["join"]}"#;
    let mut client = node.with_token(Encoding::Json, &token_until(exp, "alice", both)).await;
    client.join("a").await;
    client.join("b").await;
    client.publish("a", "1").await;

    // Another user's token changes nothing.
    let id = Some(client.next_id());
    let stolen = token("bob", r#","rooms":{"*":["join"]}"#).into();
    match client.ask(&ClientFrame::Refresh { id, token: stolen }).await {
        ServerFrame::Error { code: ErrorCode::BadToken, .. } => {}
        other => panic!("{other:?}"),
    }
    client.publish("a", "2").await;

    let later = now() + 3_600;
    let less = token_until(later, "alice", r#","rooms":{"a":["join"]}"#);
    let id = client.next_id();
    client.send(&ClientFrame::Refresh { id: Some(id), token: less.into() }).await;
    let (mut refreshed, mut left) = (None, None);
    while refreshed.is_none() || left.is_none() {
        match client.frame().await {
            ServerFrame::Refreshed { id: answered, expires, time } => {
                assert!(time / 1_000 >= now() - 60);
                refreshed = Some((answered, expires));
            }
            ServerFrame::Left { id: None, room, reason } => {
                left = Some((room.as_str().to_owned(), reason.unwrap()));
            }
            ServerFrame::Message { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(refreshed, Some((Some(id), later * 1_000)));
    assert_eq!(left, Some(("b".to_owned(), "forbidden".into())));
    let publish = client.publication("a", "3");
    assert_eq!(client.try_publish(publish).await, Err(ErrorCode::Forbidden));

    // The first end passes: another connection with that end is closed, this one goes on.
    let mut witness = node.with_token(Encoding::Json, &token_until(exp + 1, "w", "")).await;
    assert_eq!(witness.closed().await, CloseCode::Expired.code());
    assert!(now() > exp);
    client.ping().await;
    drop(client);
    node.stop().await;
}

/// Files are read at a reload although no key changed; a bad file changes nothing; connections stay.
#[tokio::test]
async fn secrets_are_replaced_at_a_reload() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secrets");
    fs::write(&path, format!("{SECRET}\n")).unwrap();
    let setting = format!("auth.hs_secret_file={}", path.display());
    let settings = ["node.id=n", &*setting, "auth.query_token=true"];
    let mut node = TestNode::start(&settings).await;
    let old = token("alice", "");
    let mut client = node.with_token(Encoding::Json, &old).await;
    let refused = async |node: &TestNode, token: &str| {
        get(node.address(), &format!("/ws?token={token}")).await.status == 401
    };
    assert!(!refused(&node, &old).await);

    fs::write(&path, "short\n").unwrap();
    node.node.reload(&TestNode::config(&settings)).await;
    assert!(!refused(&node, &old).await, "a bad file changes nothing");

    let other = "another-secret-of-thirty-two-bytes";
    fs::write(&path, format!("{other}\n")).unwrap();
    node.node.reload(&TestNode::config(&settings)).await;
    assert!(refused(&node, &old).await);
    let claims = format!(r#"{{"sub":"bob","exp":{}}}"#, now() + 60);
    let new = roomcast_access::token::sign(other.as_bytes(), &claims).unwrap();
    assert!(!refused(&node, &new).await);
    client.ping().await;
    drop(client);
    node.stop().await;
}

/// A connection by cookie cannot send `refresh` of its own: it is asked to come back.
#[tokio::test]
async fn a_connection_by_cookie_is_asked_to_come_back() {
    let settings = [&GUARDED[..], &["auth.cookie=sid", "auth.leeway=0"]].concat();
    let node = TestNode::start(&settings).await;
    let cookie =
        format!("Origin: http://node\r\nCookie: sid={}\r\n", token_until(now() + 22, "alice", ""));
    let mut client = RawClient::upgraded(node.address(), &cookie).await;
    let mut seen = String::new();
    while !seen.contains("reconnect") {
        let frame = client.frame().await.expect("the connection goes on");
        seen = String::from_utf8_lossy(&frame.payload).into_owned();
    }
    assert!(seen.contains(r#""reason":"expiry""#), "{seen}");
    drop(client);
    node.stop().await;
}

#[tokio::test]
async fn one_bad_room_does_not_keep_others_from_being_joined() {
    let node = TestNode::start(&GUARDED).await;
    let token = token("alice", r#","rooms":{"a":["join"],"inbox:{sub}":["join"]}"#);
    let mut client = node.with_token(Encoding::Json, &token).await;
    let rooms = ["a", "b", "inbox:alice", "inbox:bob"].map(plain).to_vec();
    client.send(&ClientFrame::Join { id: Some(9), rooms }).await;
    let (mut joined, mut refused) = (Vec::new(), Vec::new());
    while joined.len() + refused.len() < 4 {
        match client.frame().await {
            ServerFrame::Joined { room, .. } => joined.push(room.as_str().to_owned()),
            ServerFrame::Error { room, code: ErrorCode::Forbidden, message, .. } => {
                assert!(message.contains("\"join\""), "{message}");
                refused.push(room.unwrap().as_str().to_owned());
            }
            other => panic!("{other:?}"),
        }
    }
    joined.sort();
    refused.sort();
    assert_eq!(joined, ["a", "inbox:alice"]);
    assert_eq!(refused, ["b", "inbox:bob"]);
    drop(client);
    node.stop().await;
}
