//! The demo: where it is served and to whom it shows its key, the client library beside it, its
//! namespaces, and the figures of the node.

use std::sync::Arc;

use crate::support::auth::GUARDED;
use crate::support::{
    Backend, RawClient, Response, TestClient, TestNode, eventually, get, plain, text,
};
use roomcast_protocol::{Encoding, ErrorCode, JoinRoom, Message, Publish, ServerFrame, StateKey};
use serde_json::{Value, json};

/// A request by this host, with headers of one's own (each with its line end).
async fn ask(node: &TestNode, path: &str, host: &str, headers: &str) -> Response {
    let mut client = RawClient::connect(node.address()).await;
    client.write(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n").as_bytes()).await;
    client.response().await
}

/// The statuses of the page, its two files, and the client library.
async fn statuses(node: &TestNode) -> [u16; 4] {
    let mut found = [0; 4];
    for (status, path) in found.iter_mut().zip(["/", "/demo.js", "/demo.css", "/client.js"]) {
        *status = get(node.address(), path).await.status;
    }
    found
}

/// The key in the page; empty if it shows none.
fn key_in(page: &Response) -> &str {
    assert_eq!(page.status, 200);
    let (_, rest) = page.body.split_once("name=\"roomcast-demo-key\" content=\"").unwrap();
    rest.split('"').next().unwrap()
}

/// The status of a publish to the own room of a user, as the page's `curl` line sends it.
async fn notify(node: &TestNode, key: &str, user: &str) -> u16 {
    let body = r#"{"data":{"text":"Your order has shipped"}}"#;
    let mut client = RawClient::connect(node.address()).await;
    let length = body.len();
    let request = format!(
        "POST /v1/users/{user}/messages HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    client.write(request.as_bytes()).await;
    client.response().await.status
}

#[tokio::test]
async fn it_is_served_where_the_configuration_says_so() {
    let on = [200; 4];
    let off = [404, 404, 404, 200];
    let guarded_on = [&GUARDED[..], &["http.demo=on"]].concat();
    for (settings, expected) in [
        (&[][..], on),
        (&["http.demo=off"], off),
        (&GUARDED, off),
        (&guarded_on, on),
        (&["http.listen=0.0.0.0:0", "insecure=true"], off),
        (&["http.listen=0.0.0.0:0", "insecure=true", "http.demo=on"], on),
    ] {
        let node = TestNode::start(settings).await;
        assert_eq!(statuses(&node).await, expected, "{settings:?}");
        node.stop().await;
    }
}

#[tokio::test]
async fn a_reload_ends_and_begins_it() {
    let mut node = TestNode::start(&["node.id=n"]).await;
    let key = key_in(&get(node.address(), "/").await).to_owned();
    assert_eq!(notify(&node, &key, "ann").await, 200);
    for (demo, page, published) in [("off", 404, 401), ("on", 200, 200)] {
        let new = TestNode::config(&["node.id=n", &format!("http.demo={demo}")]);
        node.node.reload(&new).await;
        assert_eq!(node.node.config().has_demo(), demo == "on");
        // Each worker takes it over on its own thread, and the node's own key is the same as before.
        let in_force = async || {
            let answer = get(node.address(), "/").await;
            answer.status == page
                && (page == 404 || key_in(&answer) == key)
                && notify(&node, &key, "ann").await == published
        };
        for _ in 0..4 {
            eventually("the new setting", &in_force).await;
        }
    }
    node.stop().await;
}

#[tokio::test]
async fn only_a_known_host_is_shown_the_key() {
    let node = TestNode::start(&[]).await;
    let key = key_in(&ask(&node, "/", "localhost:8080", "").await).to_owned();
    assert!(key.starts_with("demo."), "{key}");
    for host in ["127.0.0.1", "[::1]:8080", "192.0.2.7"] {
        assert_eq!(key_in(&ask(&node, "/", host, "").await), key, "{host}");
    }
    for (host, headers) in [("evil.example", ""), ("localhost", "Origin: https://evil.example\r\n")]
    {
        let refused = ask(&node, "/", host, headers).await;
        assert_eq!(refused.status, 403, "{host}");
        assert!(!refused.body.contains(&key));
    }
    for path in ["/demo.js", "/demo.css", "/client.js", "/metrics", "/health/ready", "/ws"] {
        let answer = ask(&node, path, "localhost", "").await;
        assert!(
            !answer.body.contains(&key) && !answer.head.contains(&key.to_lowercase()),
            "{path}"
        );
    }
    node.stop().await;

    // Where authentication or a list of origins lets other hosts in, they see no key.
    let shop = Backend::new("shop");
    let [digest, scopes] = shop.settings("publish");
    let shown = format!("http.demo_key={}", shop.presented());
    let origins = "http.origins=https://app.example.com";
    let own = [&GUARDED[..], &["http.demo=on", origins, &digest, &scopes, &shown]].concat();
    for settings in [&own[..], &[origins, &digest, &scopes, &shown]] {
        let node = TestNode::start(settings).await;
        for (host, expected) in [
            ("app.example.com", shop.presented()),
            ("evil.example", ""),
            ("10.0.0.1", shop.presented()),
        ] {
            assert_eq!(key_in(&ask(&node, "/", host, "").await), expected, "{host}");
        }
        assert_eq!(notify(&node, shop.presented(), "ann").await, 200);
        node.stop().await;
    }
    // The page shows no configured key, unless `http.demo_key` names one.
    let node = TestNode::start(&[&digest, &scopes]).await;
    assert_eq!(key_in(&get(node.address(), "/").await), "");
    assert_eq!(notify(&node, &key, "ann").await, 401);
    node.stop().await;
}

#[tokio::test]
async fn the_client_library_is_for_pages_of_all_origins() {
    let node = TestNode::start(&GUARDED).await;
    let foreign = "Origin: https://shop.example\r\n";
    for (host, headers) in [("localhost", ""), ("node.example", foreign)] {
        let file = ask(&node, "/client.js", host, headers).await;
        assert_eq!(file.status, 200);
        let header = |name| file.header(name).unwrap_or_default().to_owned();
        assert_eq!(header("content-type"), "text/javascript; charset=utf-8");
        assert_eq!(header("access-control-allow-origin"), "*");
        assert_eq!(file.header("access-control-allow-credentials"), None);
        assert_eq!(header("cache-control"), "no-cache");
        assert!(file.body.contains("export"), "it is a module");
        for secure_only in ["randomUUID", "crypto.subtle", "eval(", "new Function"] {
            assert!(!file.body.contains(secure_only), "{secure_only}");
        }
        let known = format!("{headers}If-None-Match: {}\r\n", header("etag"));
        let again = ask(&node, "/client.js", host, &known).await;
        assert_eq!((again.status, &*again.body), (304, ""));
        assert_eq!(again.header("access-control-allow-origin"), Some("*"));
        assert_eq!(again.header("etag"), file.header("etag"));
    }
    node.stop().await;
}

#[tokio::test]
async fn its_rooms_have_presence_receipts_and_state() {
    let node = TestNode::start(&[]).await;
    let mut ann = node.user(Encoding::Json, "ann").await;
    ann.join_with(JoinRoom { presence: true, ..plain("demo:lobby") }).await;
    let mut bob = node.user(Encoding::Json, "bob").await;
    bob.join("demo:lobby").await;
    while !matches!(ann.frame().await, ServerFrame::UserJoined { .. }) {}
    let state_key = StateKey::parse("k").ok();
    for (room, expected) in [("board:mine", None), ("demo:lobby", Some(ErrorCode::Unsupported))] {
        let publish = Publish { state_key: state_key.clone(), ..bob.publication(room, "1") };
        assert_eq!(bob.try_publish(publish).await.err(), expected, "{room}");
    }
    node.stop().await;
}

#[tokio::test]
async fn the_curl_line_of_the_page_notifies() {
    let node = TestNode::start(&[]).await;
    let key = key_in(&get(node.address(), "/").await).to_owned();
    let mut ann = node.user(Encoding::Json, "ann").await;
    ann.join("@me").await;
    assert_eq!(notify(&node, &key, "ann").await, 200);
    let message = next_message(&mut ann).await;
    assert_eq!(text(&message.data), r#"{"text":"Your order has shipped"}"#);
    // It may publish, and nothing else.
    let mut client = RawClient::connect(node.address()).await;
    let bans = format!("GET /v1/bans HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\n\r\n");
    client.write(bans.as_bytes()).await;
    assert_eq!(client.response().await.status, 403);
    node.stop().await;
}

/// The next message, whatever comes before it.
async fn next_message(client: &mut TestClient) -> Arc<Message> {
    loop {
        if let ServerFrame::Message { message, .. } = client.frame().await {
            return message;
        }
    }
}

/// The next figures: whose they are, and what they say.
async fn figures(client: &mut TestClient) -> (String, Value) {
    let message = next_message(client).await;
    let key = message.state_key.as_ref().unwrap().as_str().to_owned();
    (key, serde_json::from_str(&text(&message.data)).unwrap())
}

#[tokio::test]
async fn figures_appear_while_someone_looks() {
    let desk = Backend::new("desk");
    let key = desk.settings("read");
    let node = TestNode::start(&["node.id=n", &key[0], &key[1]]).await;
    let seq = async || {
        let (_, room) = desk.get(node.address(), "/v1/rooms/board:nodes").await;
        room["seq"].as_u64().unwrap()
    };
    let mut ann = node.user(Encoding::Json, "ann").await;
    let _again = node.user(Encoding::Json, "ann").await;
    assert_eq!(seq().await, 0, "nobody looks");
    ann.join("board:nodes").await;
    let (node_name, first) = figures(&mut ann).await;
    assert_eq!((&*node_name, &first["users"]), ("n", &json!(1)));
    // Something is done, and some of it wrong, until it is seen.
    loop {
        let no_state = ann.publication("demo:lobby", "1");
        let no_state = Publish { state_key: StateKey::parse("k").ok(), ..no_state };
        assert_eq!(ann.try_publish(no_state).await, Err(ErrorCode::Unsupported));
        let (_, more) = figures(&mut ann).await;
        for part in ["errors", "memory"] {
            let value = more[part].as_f64().unwrap();
            assert!((0.0..=100.0).contains(&value), "{part} in {more}");
        }
        assert!(more["memory"].as_f64().unwrap() > 0.0, "{more}");
        assert!(more["cpu"].is_number() && more["response_ms"].as_f64().is_none_or(|ms| ms > 0.0));
        if more["requests"].as_f64().unwrap() > 0.0 && more["errors"].as_f64().unwrap() > 0.0 {
            break;
        }
    }
    ann.leave("board:nodes").await;
    eventually("no more figures", async || {
        let before = seq().await;
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        seq().await == before
    })
    .await;
    node.stop().await;
}
