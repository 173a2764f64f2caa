//! Tickets: a short-lived text that gives an identity to one connection; and what a ban of a token
//! id ends.

use crate::support::auth::{GUARDED, now, token, token_until};
use crate::support::{Backend, RawClient, Response, TestClient, TestNode, get, plain, read, room};
use roomcast_access::ticket::TICKET_LIFE_MS;
use roomcast_protocol::{ClientFrame, CloseCode, Encoding, ErrorCode, JoinRoom, ServerFrame};
use serde_json::{Value, json};
use std::net::SocketAddr;

/// The settings of a node that takes tokens and has a backend, and the backend.
fn guarded() -> (Backend, Vec<String>) {
    let shop = Backend::new("shop");
    let keys = shop.settings("publish admin");
    (shop, GUARDED.iter().map(|one| one.to_string()).chain(keys).collect())
}

async fn start(settings: &[String]) -> TestNode {
    TestNode::start(&settings.iter().map(String::as_str).collect::<Vec<_>>()).await
}

/// Asks for a ticket as a client does: without a key.
async fn ask(address: SocketAddr, body: &str, headers: &str) -> Response {
    let mut client = RawClient::connect(address).await;
    let length = body.len();
    let request = format!(
        "POST /v1/tickets HTTP/1.1\r\nHost: node\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    );
    client.write(request.as_bytes()).await;
    client.response().await
}

async fn ticket_for(address: SocketAddr, token: &str) -> (u16, Value) {
    read(&ask(address, &json!({ "token": token }).to_string(), "").await)
}

fn code((status, body): &(u16, Value)) -> (u16, &str) {
    (*status, body["code"].as_str().unwrap_or_default())
}

/// The user that a connection has, and the end of its identity.
fn identity(client: &TestClient) -> (String, u64) {
    match &client.connected {
        ServerFrame::Connected { user: Some(user), expires: Some(expires), .. } => {
            (user.to_string(), *expires)
        }
        other => panic!("{other:?}"),
    }
}

/// What a handshake with this query gets, without an upgrade.
async fn handshake(node: &TestNode, query: &str) -> (u16, Value) {
    read(&get(node.address(), &format!("/ws?{query}")).await)
}

#[tokio::test]
async fn a_ticket_lets_one_connection_in() {
    let (shop, settings) = guarded();
    let node = start(&settings).await;
    let address = node.address();
    let exp = now() + 3_600;
    let (status, given) = ticket_for(address, &token_until(exp, "ann", "")).await;
    assert_eq!(status, 200, "{given}");
    let left = given["expires"].as_u64().unwrap().abs_diff(now() * 1_000 + TICKET_LIFE_MS);
    assert!(left < 10_000, "{given}");
    let query = format!("ticket={}", given["ticket"].as_str().unwrap());
    // Looking does not spend it.
    assert_eq!(code(&handshake(&node, &query).await), (426, "upgrade_required"));
    let ann = TestClient::connect(address, Encoding::Json, &query).await;
    assert_eq!(identity(&ann), ("ann".to_owned(), exp * 1_000));
    for _ in 0..2 {
        assert_eq!(code(&handshake(&node, &query).await), (401, "spent_ticket"));
    }

    // A backend names the identity itself.
    let body = json!({"sub": "bob", "seconds": 60, "rooms": {"dm:{sub}": ["join"]}});
    let (status, given) = shop.post(address, "/v1/tickets", body).await;
    assert_eq!(status, 200, "{given}");
    let query = format!("ticket={}", given["ticket"].as_str().unwrap());
    let mut bob = TestClient::connect(address, Encoding::MsgPack, &query).await;
    assert!(identity(&bob).1.abs_diff((now() + 60) * 1_000) < 10_000);
    bob.join("dm:bob").await;
    let other = bob.ask(&ClientFrame::Join { id: Some(7), rooms: vec![plain("dm:ann")] }).await;
    assert!(matches!(other, ServerFrame::Error { code: ErrorCode::Forbidden, .. }), "{other:?}");
    node.stop().await;
}

/// Many handshakes at once with one ticket: one gets in.
#[tokio::test]
async fn a_stolen_ticket_is_good_for_one() {
    let (_, settings) = guarded();
    let node = start(&settings).await;
    let (_, given) = ticket_for(node.address(), &token("ann", "")).await;
    let headers = crate::support::UPGRADE.replacen(
        "/ws",
        &format!("/ws?ticket={}", given["ticket"].as_str().unwrap()),
        1,
    );
    let attempts = (0..20).map(|_| async {
        let mut client = RawClient::connect(node.address()).await;
        client.write(format!("{headers}\r\n").as_bytes()).await;
        client.response().await.status
    });
    let statuses = futures_util::future::join_all(attempts).await;
    let count = |status| statuses.iter().filter(|one| **one == status).count();
    assert_eq!((count(101), count(401)), (1, 19), "{statuses:?}");
    node.stop().await;
}

#[tokio::test]
async fn what_gives_no_ticket_has_its_code() {
    let (shop, settings) = guarded();
    let node = start(&settings).await;
    let address = node.address();
    let cases = [
        (token_until(1, "a", ""), (401, "expired_token")),
        ("x".to_owned(), (401, "bad_token")),
        (token("a", r#","room":"r","can":["join"]"#), (401, "bad_token")),
    ];
    for (token, expected) in cases {
        assert_eq!(code(&ticket_for(address, &token).await), expected, "{token}");
    }
    for body in ["", "[\"x\"]", "{}", "{\"token\":1}"] {
        assert_eq!(code(&read(&ask(address, body, "").await)), (400, "bad_body"), "{body}");
    }
    let identity = "{\"sub\":\"ann\",\"seconds\":60}";
    assert_eq!(code(&read(&ask(address, identity, "").await)), (401, "no_token"));
    let key = format!("Authorization: Bearer {}x\r\n", shop.presented());
    assert_eq!(code(&read(&ask(address, identity, &key).await)), (401, "bad_token"));
    // What is asked is in the body, whatever else is sent.
    let (good, bearer) = (token("ann", ""), "Authorization: Bearer other\r\n");
    let good = json!({ "token": good }).to_string();
    assert_eq!(ask(address, &good, bearer).await.status, 200);
    assert_eq!(
        shop.post(address, "/v1/tickets", json!({ "token": token("ann", "") })).await.0,
        200
    );
    let long = json!({ "token": "x".repeat(40_000) }).to_string();
    assert_eq!(code(&read(&ask(address, &long, "").await)), (413, "too_large"));
    let text = ask(address, "{}", "Content-Type: text/plain\r\n").await;
    assert_eq!(code(&read(&text)), (415, "unsupported_media_type"));
    for body in [json!({"sub": "a", "seconds": 59}), json!({"sub": "a b", "seconds": 60})] {
        assert_eq!(code(&shop.post(address, "/v1/tickets", body).await), (400, "bad_body"));
    }
    let body = json!({"sub": "a", "seconds": 60, "info": "x".repeat(2_000)});
    assert_eq!(code(&shop.post(address, "/v1/tickets", body).await), (413, "too_large"));
    // A ticket beside another credential, or one that cannot be one.
    let query = format!("ticket=x&token={}", token("a", ""));
    assert_eq!(code(&handshake(&node, &query).await), (400, "bad_query"));
    assert_eq!(code(&handshake(&node, "ticket=x").await), (401, "spent_ticket"));
    node.stop().await;

    // Without keys of tokens there is nothing to give or to check.
    let keys = shop.settings("admin");
    let node = start(&keys).await;
    assert_eq!(code(&ticket_for(node.address(), &token("a", "")).await), (401, "bad_token"));
    let body = json!({"sub": "a", "seconds": 60});
    assert_eq!(code(&shop.post(node.address(), "/v1/tickets", body).await), (401, "bad_token"));
    assert_eq!(code(&handshake(&node, "ticket=x").await), (401, "bad_token"));
    node.stop().await;
}

/// Clients ask on the public address, backends on theirs; pages may ask, if their origin may.
#[tokio::test]
async fn each_form_has_its_listener() {
    let (shop, mut settings) = guarded();
    settings.extend(
        ["http.admin_listen=127.0.0.1:0", "http.origins=https://app.example"].map(String::from),
    );
    let node = start(&settings).await;
    let admin = node.node.admin_address().unwrap();
    let body = json!({"sub": "a", "seconds": 60});
    assert_eq!(shop.post(admin, "/v1/tickets", body.clone()).await.0, 200);
    assert_eq!(code(&shop.post(node.address(), "/v1/tickets", body).await), (404, "not_found"));
    let good = json!({ "token": token("a", "") }).to_string();
    assert_eq!(code(&read(&ask(admin, &good, "").await)), (401, "no_token"));
    let body = json!({ "token": token("a", "") });
    assert_eq!(code(&shop.post(admin, "/v1/tickets", body).await), (404, "not_found"));
    let answer = ask(node.address(), &good, "Origin: https://app.example\r\n").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example"));
    let answer = ask(node.address(), &good, "Origin: https://evil.example\r\n").await;
    assert_eq!(code(&read(&answer)), (403, "bad_origin"));
    node.stop().await;
}

#[tokio::test]
async fn a_banned_token_ends_what_it_gave() {
    let (shop, settings) = guarded();
    let node = start(&settings).await;
    let address = node.address();
    let (bad, good) = (
        r#","jti":"t1","rooms":{"*":["join"]}"#,
        r#","jti":"t2","rooms":{"a":["join","publish"]}"#,
    );
    let mut eve = node.with_token(Encoding::Json, &token("eve", bad)).await;
    let mut ann = node.with_token(Encoding::Json, &token("ann", good)).await;
    ann.join("a").await;
    let pass = token("ann", r#","jti":"t1","room":"b","can":["join"]"#);
    let by_pass = JoinRoom { token: Some(pass.clone().into()), ..plain("b") };
    ann.join_with(by_pass.clone()).await;
    let ban = json!({"jti": "t1", "seconds": 60, "reason": "stolen"});
    assert_eq!(shop.post(address, "/v1/bans", ban).await.0, 200);
    assert_eq!(eve.closed().await, CloseCode::Banned.code());
    // Only the membership that the token gave ends.
    match ann.frame().await {
        ServerFrame::Left { room: left, reason, .. } => {
            assert_eq!((left, reason.as_deref()), (room("b"), Some("banned")));
        }
        other => panic!("{other:?}"),
    }
    for frame in [
        ClientFrame::Join { id: Some(1), rooms: vec![by_pass] },
        ClientFrame::Refresh { id: Some(1), token: token("ann", r#","jti":"t1""#).into() },
    ] {
        let answer = ann.ask(&frame).await;
        assert!(
            matches!(answer, ServerFrame::Error { code: ErrorCode::BadToken, .. }),
            "{answer:?}"
        );
    }
    ann.publish("a", "1").await;
    let banned = (403, "banned");
    let query = format!("token={}", token("eve", bad));
    let answer = handshake(&node, &query).await;
    assert_eq!(code(&answer), banned);
    assert!(answer.1["detail"].as_str().unwrap().contains("stolen"));
    assert_eq!(code(&ticket_for(address, &token("eve", bad)).await), banned);
    let other = format!("token={}", token("eve", ""));
    assert_eq!(code(&handshake(&node, &other).await), (426, "upgrade_required"));
    node.stop().await;
}
