//! The routes of backends on one node: what they do, and what they answer to bad requests.

use std::net::SocketAddr;

use crate::support::{Backend, RawClient, Response, TestNode, eventually, get, read, text};
use roomcast_protocol::{CloseCode, Encoding, ErrorCode, Publish};
use serde_json::{Value, json};

/// A node with one key that opens everything, and further settings.
async fn start(settings: &[&str]) -> (TestNode, Backend) {
    let shop = Backend::new("shop");
    let key = shop.settings("publish read admin");
    let key: Vec<&str> = key.iter().map(String::as_str).collect();
    (TestNode::start(&[&key[..], settings].concat()).await, shop)
}

#[tokio::test]
async fn a_backend_publishes_and_reads() {
    let (node, shop) = start(&[]).await;
    let mut member = node.json().await;
    member.join("chat:größe/1").await;
    let path = "/v1/rooms/chat:gr%C3%B6%C3%9Fe%2F1/messages";
    let (status, ack) = shop
        .post(
            node.address(),
            path,
            json!({"data": {"a": [1]}, "event": "note", "user": "ann", "key": "k"}),
        )
        .await;
    assert_eq!((status, &ack["seq"]), (200, &json!(1)), "{ack}");
    let message = member.message("chat:größe/1").await;
    assert_eq!((message.seq, message.time), (1, ack["time"].as_u64().unwrap()));
    assert_eq!(message.user.as_ref().unwrap().as_str(), "ann");
    assert_eq!(message.event.as_ref().unwrap().as_str(), "note");
    assert_eq!((text(&message.data).as_str(), message.connection), (r#"{"a":[1]}"#, None));

    let (status, page) = shop.get(node.address(), path).await;
    let expected = json!({
        "epoch": ack["epoch"], "more": false,
        "messages": [{"seq": 1, "time": ack["time"], "user": "ann", "event": "note", "data": {"a": [1]}}],
    });
    assert_eq!((status, page), (200, expected));
    for n in 2..=5 {
        member.publish("chat:größe/1", &n.to_string()).await;
    }
    for (query, seqs, more) in [
        ("?after=1&limit=2", vec![2, 3], true),
        ("?before=3", vec![1, 2], false),
        ("?limit=1", vec![5], true),
        ("?after=5", vec![], false),
    ] {
        let (_, page) = shop.get(node.address(), &format!("{path}{query}")).await;
        let found: Vec<_> =
            page["messages"].as_array().unwrap().iter().map(|m| &m["seq"]).collect();
        assert_eq!((json!(found), &page["more"]), (json!(seqs), &json!(more)), "{query}");
    }
    let none = json!({"epoch": "0000000000000000", "messages": [], "more": false});
    assert_eq!(shop.get(node.address(), "/v1/rooms/none/messages").await, (200, none));
    node.stop().await;
}

#[tokio::test]
async fn keys_and_conditions_hold() {
    let (node, shop) = start(&["namespaces.default.keys_per_user=1"]).await;
    let path = "/v1/rooms/a/messages";
    let publish = async |body: Value, headers: &str| {
        read(&shop.send(node.address(), ("POST", path), headers, &body.to_string()).await)
    };
    let (_, first) = publish(json!({"data": 1, "key": "k1"}), "").await;
    let again = publish(json!({"data": 1}), "Idempotency-Key: \"k1\"\r\n").await;
    assert_eq!(again, (200, first.clone()));
    let (status, problem) = publish(json!({"data": 2}), "Idempotency-Key: k1\r\n").await;
    assert_eq!((status, &problem["code"]), (409, &json!("key_conflict")));
    let (status, problem) =
        publish(json!({"data": 1, "key": "k2"}), "Idempotency-Key: k1\r\n").await;
    assert_eq!((status, &problem["code"]), (400, &json!("bad_body")));
    // The bound of one user is none of a backend's, whatever user it names.
    for key in ["k2", "k3"] {
        let (status, _) = publish(json!({"data": 1, "key": key, "user": "ann"}), "").await;
        assert_eq!(status, 200);
    }
    // A user's key of the same name is another one.
    let mut ann = node.user(Encoding::Json, "ann").await;
    let key = Some(roomcast_protocol::PublishKey::parse("k1").unwrap());
    let own = Publish { key, ..ann.publication("a", "7") };
    assert_eq!(ann.try_publish(own).await.unwrap().seq, 4);

    let at = |seq| json!({"data": 1, "if_seq": seq, "epoch": first["epoch"]});
    let (status, problem) = publish(at(3), "").await;
    assert_eq!((status, &problem["code"]), (409, &json!("seq_conflict")));
    let (status, ack) = publish(at(4), "").await;
    assert_eq!((status, &ack["seq"]), (200, &json!(5)));
    node.stop().await;
}

#[tokio::test]
async fn the_connection_that_a_backend_writes_for_gets_no_echo() {
    let (node, shop) = start(&[]).await;
    let (mut author, mut other) = (node.msgpack().await, node.json().await);
    author.join("a").await;
    other.join("a").await;
    let connection = author.id.to_string();
    let body = |n, echo| json!({"data": n, "connection": connection, "echo": echo});
    for (n, echo) in [(1, false), (2, true), (3, false)] {
        assert_eq!(shop.post(node.address(), "/v1/rooms/a/messages", body(n, echo)).await.0, 200);
    }
    let (_, ack) = shop.post(node.address(), "/v1/rooms/a/messages", json!({"data": 4})).await;
    assert_eq!(ack["seq"], 4);
    for seq in 1..=4 {
        assert_eq!(other.message("a").await.seq, seq);
    }
    for seq in [2, 4] {
        assert_eq!(author.message("a").await.seq, seq);
    }
    node.stop().await;
}

#[tokio::test]
async fn a_batch_has_an_outcome_for_each_item() {
    let (node, shop) = start(&["namespaces.small.message_bytes=4"]).await;
    let items = json!([
        {"room": "a", "data": 1},
        {"room": "$a", "data": 1},
        {"room": "a"},
        {"room": "small:1", "data": "too long"},
        {"data": 1},
        {"room": "a", "data": 2, "key": "k"},
        {"room": "a", "data": 2, "key": "k"},
        {"room": "a", "data": 3, "key": "k"},
    ]);
    let (status, answer) = shop.post(node.address(), "/v1/batch", json!({"items": items})).await;
    assert_eq!(status, 200);
    let told = |result: &Value| match result["code"].as_str() {
        Some(code) => code.to_owned(),
        None => result["seq"].to_string(),
    };
    let results: Vec<_> = answer["results"].as_array().unwrap().iter().map(told).collect();
    let wanted = ["1", "bad_room", "bad_body", "too_large", "bad_body", "2", "2", "key_conflict"];
    assert_eq!(results, wanted);
    let most = vec![json!({"room": "b", "data": 0}); 1_000];
    let (_, answer) = shop.post(node.address(), "/v1/batch", json!({"items": most})).await;
    assert_eq!(answer["results"][999]["seq"], 1_000);
    let more = vec![json!({"room": "b", "data": 0}); 1_001];
    let (status, problem) = shop.post(node.address(), "/v1/batch", json!({"items": more})).await;
    assert_eq!((status, &problem["code"]), (413, &json!("too_large")));
    node.stop().await;
}

/// Sends a request as it stands.
async fn raw(address: SocketAddr, request: &str) -> Response {
    let mut client = RawClient::connect(address).await;
    client.write(request.as_bytes()).await;
    client.response().await
}

#[tokio::test]
async fn who_may_not_is_refused() {
    let desk = Backend::new("desk");
    let settings = desk.settings("read");
    let (node, shop) = start(&settings.each_ref().map(String::as_str)).await;
    let address = node.address();
    for (authorization, code) in [
        ("", "no_token"),
        ("Authorization: Basic c2hvcDp4\r\n", "bad_token"),
        ("Authorization: Bearer shop.wrong\r\n", "bad_token"),
        ("Authorization: Bearer nobody.wrong\r\n", "bad_token"),
        ("Authorization: Bearer\r\n", "bad_token"),
    ] {
        for path in ["/v1/bans", "/v1/rooms/a/messages"] {
            let request = format!("GET {path} HTTP/1.1\r\nHost: node\r\n{authorization}\r\n");
            let response = raw(address, &request).await;
            assert_eq!(response.header("www-authenticate"), Some("bearer"), "{authorization}");
            let (status, problem) = read(&response);
            assert_eq!((status, &problem["code"]), (401, &json!(code)), "{authorization}");
        }
    }
    assert_eq!(desk.get(address, "/v1/rooms/a/messages").await.0, 200);
    for (method, path) in [
        ("POST", "/v1/rooms/a/messages"),
        ("POST", "/v1/batch"),
        ("POST", "/v1/bans"),
        ("GET", "/v1/bans"),
        ("DELETE", "/v1/bans/0000000000000001"),
        ("POST", "/v1/disconnect"),
        ("POST", "/v1/tickets"),
    ] {
        let (status, problem) = read(&desk.send(address, (method, path), "", "").await);
        assert_eq!((status, &problem["code"]), (403, &json!("forbidden")), "{method} {path}");
    }
    // A node without keys of tokens takes no tickets.
    let ticket = json!({"sub": "ann", "seconds": 60});
    let (status, problem) = shop.post(address, "/v1/tickets", ticket).await;
    assert_eq!((status, &problem["code"]), (401, &json!("bad_token")));
    let scrape = node.scrape().await;
    let denied = "roomcast_api_requests_total{outcome=\"denied\",route=\"ticket\"} 2\n";
    assert!(scrape.text().contains(denied), "{}", scrape.text());
    node.stop().await;
}

#[tokio::test]
async fn bad_requests_have_their_codes() {
    let (node, shop) = start(&["limits.body_bytes=1KiB", "http.body_timeout=100ms"]).await;
    let address = node.address();
    let send = async |method: &str, path: &str, headers: &str, body: &str| {
        let (status, problem) = read(&shop.send(address, (method, path), headers, body).await);
        assert_eq!(problem["status"], status, "{problem}");
        (status, problem["code"].as_str().unwrap().to_owned())
    };
    let messages = "/v1/rooms/a/messages";
    let large = format!("{{\"data\":\"{}\"}}", "x".repeat(1_024));
    for (method, path, headers, body, expected) in [
        ("GET", "/v1/none", "", "", (404, "not_found")),
        ("POST", "/v1/rooms//messages", "", "{}", (404, "not_found")),
        ("PUT", messages, "", "{}", (405, "method_not_allowed")),
        ("DELETE", "/v1/bans", "", "", (405, "method_not_allowed")),
        ("POST", messages, "Content-Type: text/plain\r\n", "{}", (415, "unsupported_media_type")),
        ("POST", messages, "", &large, (413, "too_large")),
        ("GET", messages, "", "x", (413, "too_large")),
        ("POST", messages, "", "", (400, "bad_body")),
        ("POST", messages, "", "{", (400, "bad_body")),
        ("POST", messages, "", "{\"data\":1,\"user\":\"a b\"}", (400, "bad_body")),
        ("POST", "/v1/rooms/$a/messages", "", "{\"data\":1}", (400, "bad_room")),
        ("POST", "/v1/rooms/@none/messages", "", "{\"data\":1}", (400, "bad_room")),
        ("POST", "/v1/rooms/@me/messages", "", "{\"data\":1}", (400, "bad_room")),
        ("POST", "/v1/rooms/%ff/messages", "", "{\"data\":1}", (400, "bad_room")),
        ("GET", "/v1/rooms/a%20b/messages", "", "", (400, "bad_room")),
        ("GET", "/v1/rooms/a/messages?limit=0", "", "", (400, "bad_query")),
        ("GET", "/v1/rooms/a/messages?after=1&before=2", "", "", (400, "bad_query")),
        ("POST", "/v1/batch", "", "{}", (400, "bad_body")),
        ("POST", "/v1/bans", "", "{\"seconds\":9}", (400, "bad_body")),
        ("POST", "/v1/bans", "", "{\"user\":\"a\",\"jti\":\"b\",\"seconds\":9}", (400, "bad_body")),
        ("POST", "/v1/bans", "", "{\"user\":\"a\",\"seconds\":0}", (400, "bad_body")),
        ("POST", "/v1/bans", "", "{\"user\":\"a\",\"seconds\":31536001}", (400, "bad_body")),
        ("POST", "/v1/bans", "", "{\"network\":\"1.2.3\",\"seconds\":9}", (400, "bad_body")),
        ("DELETE", "/v1/bans/x", "", "", (404, "not_found")),
        ("DELETE", "/v1/bans/0000000000000001", "", "", (404, "not_found")),
        ("POST", "/v1/disconnect", "", "{}", (400, "bad_body")),
        ("POST", "/v1/disconnect", "", "{\"connection\":\"1\"}", (400, "bad_body")),
    ] {
        let (status, code) = send(method, path, headers, body).await;
        assert_eq!((status, code.as_str()), expected, "{method} {path} {body}");
    }
    // A body that does not come.
    let key = shop.presented();
    let head = format!(
        "POST {messages} HTTP/1.1\r\nHost: node\r\nAuthorization: Bearer {key}\r\nContent-Length: 9\r\n\r\n{{"
    );
    let (status, problem) = read(&raw(address, &head).await);
    assert_eq!((status, &problem["code"]), (408, &json!("timeout")));
    node.stop().await;
}

#[tokio::test]
async fn a_removed_key_is_refused_after_a_reload() {
    let (mut node, shop) = start(&["node.id=n"]).await;
    assert_eq!(shop.get(node.address(), "/v1/bans").await, (200, json!({"bans": []})));
    let without = TestNode::config(&["node.id=n"]);
    assert_eq!(node.node.config().differences(&without).need_restart, [""; 0]);
    node.node.reload(&without).await;
    eventually("refused", async || shop.get(node.address(), "/v1/bans").await.0 == 401).await;
    node.stop().await;
}

#[tokio::test]
async fn backends_may_have_an_address_of_their_own() {
    let (node, shop) = start(&["http.admin_listen=127.0.0.1:0"]).await;
    let admin = node.node.admin_address().unwrap();
    let body = || json!({"data": 1});
    assert_eq!(shop.post(admin, "/v1/rooms/a/messages", body()).await.0, 200);
    for (method, path) in
        [("POST", "/v1/rooms/a/messages"), ("PUT", "/v1/bans"), ("GET", "/v1/bans")]
    {
        let response = shop.send(node.address(), (method, path), "", "").await;
        assert_eq!(response.status, 404, "{method} {path}");
    }
    for path in ["/", "/ws", "/metrics", "/health/ready"] {
        assert_eq!(get(admin, path).await.status, 404, "{path}");
    }
    assert_eq!(get(admin, "/v1/bans").await.status, 401);
    node.stop().await;
}

#[tokio::test]
async fn a_ban_ends_connections_and_refuses_handshakes() {
    let (node, shop) = start(&[]).await;
    let mut eve = node.user(Encoding::Json, "eve").await;
    let mut ann = node.user(Encoding::MsgPack, "ann").await;
    let ban = json!({"user": "eve", "seconds": 3600, "reason": "spam"});
    let (status, given) = shop.post(node.address(), "/v1/bans", ban).await;
    assert_eq!((status, &given["user"], &given["seconds"]), (200, &json!("eve"), &json!(3600)));
    assert!(given["end"].as_u64().unwrap() > 0 && given["reason"] == "spam");
    assert_eq!(eve.closed().await, CloseCode::Banned.code());
    ann.ping().await;
    let refused = get(node.address(), "/ws?user=eve").await;
    let (status, problem) = read(&refused);
    assert_eq!((status, &problem["code"]), (403, &json!("banned")));
    assert!(problem["detail"].as_str().unwrap().contains("spam"));
    assert_eq!(get(node.address(), "/ws?user=ann").await.status, 426);
    let (_, bans) = shop.get(node.address(), "/v1/bans").await;
    assert_eq!((&bans["bans"][0]["id"], &bans["bans"][0]["end"]), (&given["id"], &given["end"]));
    node.until("roomcast_bans", |bans| bans == 1.0).await;

    let path = format!("/v1/bans/{}", given["id"].as_str().unwrap());
    for _ in 0..2 {
        assert_eq!(shop.delete(node.address(), &path).await, 204);
    }
    assert_eq!(get(node.address(), "/ws?user=eve").await.status, 426);
    assert_eq!(shop.get(node.address(), "/v1/bans").await.1, json!({"bans": []}));

    // By network: the address of this machine.
    let ban = json!({"network": "127.0.0.0/8", "seconds": 60});
    assert_eq!(shop.post(node.address(), "/v1/bans", ban).await.0, 200);
    assert_eq!(ann.closed().await, CloseCode::Banned.code());
    assert_eq!(get(node.address(), "/ws").await.status, 403);
    node.stop().await;
}

#[tokio::test]
async fn a_ban_by_network_judges_the_forwarded_address() {
    let (node, shop) = start(&["http.trusted_proxies=127.0.0.0/8"]).await;
    for network in ["127.0.0.0/8", "192.0.2.0/24"] {
        let ban = json!({"network": network, "seconds": 60});
        assert_eq!(shop.post(node.address(), "/v1/bans", ban).await.0, 200);
    }
    for (forwarded, status) in [
        ("", 426),
        ("X-Forwarded-For: 192.0.2.7\r\n", 403),
        ("X-Forwarded-For: 192.0.2.7, 198.51.100.1\r\n", 426),
    ] {
        let request = format!("GET /ws HTTP/1.1\r\nHost: node\r\n{forwarded}\r\n");
        assert_eq!(raw(node.address(), &request).await.status, status, "{forwarded}");
    }
    node.stop().await;
}

#[tokio::test]
async fn a_backend_ends_connections() {
    let (node, shop) = start(&[]).await;
    let mut first = node.user(Encoding::Json, "eve").await;
    let mut second = node.user(Encoding::Json, "eve").await;
    let one = json!({"connection": first.id.to_string()});
    assert_eq!(shop.post(node.address(), "/v1/disconnect", one).await, (204, Value::Null));
    assert_eq!(first.closed().await, CloseCode::Disconnected.code());
    second.ping().await;
    let all = json!({"user": "eve", "renew": true});
    assert_eq!(shop.post(node.address(), "/v1/disconnect", all).await.0, 204);
    assert_eq!(second.closed().await, CloseCode::Expired.code());
    // It ends what was there; the client may come back.
    let mut third = node.user(Encoding::Json, "eve").await;
    third.join("a").await;
    assert_eq!(third.publish("a", "1").await.seq, 1);
    node.stop().await;
}

#[tokio::test]
async fn a_message_that_the_namespace_does_not_take_is_refused() {
    let (node, shop) = start(&["namespaces.default.message_bytes=8"]).await;
    let body = json!({"data": "nine bytes"});
    let (status, problem) = shop.post(node.address(), "/v1/rooms/a/messages", body).await;
    let code = ErrorCode::TooLarge.as_str();
    assert_eq!((status, &problem["code"]), (413, &json!(code)));
    node.stop().await;
}
