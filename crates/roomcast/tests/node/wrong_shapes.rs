//! Bodies and queries of backends whose JSON has another shape than the route takes: each is refused
//! with its code, and in words that are no Rust.

use crate::support::{Backend, TestNode, read};
use serde_json::{Value, json};

/// Values of every kind of JSON.
fn values() -> [Value; 9] {
    [
        json!(null),
        json!(true),
        json!(5),
        json!(-1),
        json!(1.5),
        json!("text, expected u64"),
        json!([]),
        json!(["0000000000000001", 5, null]),
        json!({"x": 1}),
    ]
}

/// Parts of what Rust and its libraries call things.
const RUST: [&str; 11] =
    ["struct", "u64", "u32", "i64", "Option", "Cow", "sequence", "map", "tuple", "enum", "unit"];

#[tokio::test]
async fn every_wrong_shape_is_named_in_words_of_json() {
    let shop = Backend::new("shop");
    let key = shop.settings("publish read admin");
    let secret = "auth.hs_secret=a-secret-of-thirty-two-bytes-or-more";
    let more = [secret, "namespaces.default.receipts=true", "namespaces.default.state=true"];
    let settings: Vec<&str> = key.iter().map(String::as_str).chain(more).collect();
    let node = TestNode::start(&settings).await;
    let check = async |(method, path): (&str, &str), body: &str| {
        let response = shop.send(node.address(), (method, path), "", body).await;
        let (status, answer) = read(&response);
        // A value may fit: then there is no detail.
        let results = answer["results"].as_array().cloned().unwrap_or_default();
        for problem in results.iter().chain([&answer]) {
            let detail = problem["detail"].as_str().unwrap_or_default();
            let found = RUST.iter().find(|word| detail.contains(**word));
            assert_eq!(found, None, "{method} {path} {body}: {detail}");
        }
        (status, answer["code"].as_str().unwrap_or_default().to_owned())
    };
    let message = json!({"data": 1, "event": "e", "key": "k", "if_seq": 1, "if_key_seq": 1,
        "epoch": "00000000000000ff", "user": "u", "connection": "00000000000000ff", "echo": true,
        "state_key": "s", "ttl_ms": 1000, "remove": false, "receipts": false});
    let ticket = json!({"sub": "a", "rooms": {}, "info": 1, "seconds": 60});
    let member = "/v1/rooms/a/members/00000000000000ff";
    let routes = [
        (("POST", "/v1/rooms/a/messages"), message.clone()),
        (("POST", "/v1/users/ann/messages"), message.clone()),
        (
            ("POST", "/v1/users/messages"),
            json!({"users": ["a"], "data": 1, "event": "e", "key": "k"}),
        ),
        (("POST", "/v1/batch"), json!({"items": [message]})),
        (("POST", "/v1/rooms/a/signals"), json!({"event": "e", "data": 1, "user": "u"})),
        (("POST", "/v1/users/ann/signals"), json!({"event": "e", "data": 1})),
        (("PUT", member), json!({"presence": false, "info": 1, "since": {"time": 1}})),
        (("POST", "/v1/bans"), json!({"user": "u", "seconds": 1, "reason": "r"})),
        (("POST", "/v1/bans"), json!({"jti": "j", "network": "10.0.0.0/8", "seconds": 1})),
        (("POST", "/v1/disconnect"), json!({"user": "u", "renew": true})),
        (("POST", "/v1/disconnect"), json!({"connection": "00000000000000ff", "jti": "j"})),
        (("POST", "/v1/tickets"), ticket),
    ];
    for (route, good) in routes {
        // No other kind is a body, whatever is in it.
        for body in values().into_iter().filter(|value| !value.is_object()) {
            let answer = check(route, &body.to_string()).await;
            assert_eq!(answer, (400, "bad_body".to_owned()), "{route:?} {body}");
        }
        for name in good.as_object().unwrap().keys() {
            for value in values() {
                let mut body = good.clone();
                body[name] = value;
                check(route, &body.to_string()).await;
            }
        }
    }
    for since in [json!(5), json!(["00000000000000ff", 1, null]), json!("x"), json!(true)] {
        let answer = check(("PUT", member), &json!({ "since": since }).to_string()).await;
        assert_eq!(answer, (400, "bad_body".to_owned()), "{since}");
    }
    for member in ["epoch", "seq", "time"] {
        for value in values().into_iter().filter(|value| !value.is_null()) {
            let mut since = json!({"epoch": "00000000000000ff", "seq": 1});
            since[member] = value;
            let body = json!({ "since": since }).to_string();
            check(("PUT", "/v1/rooms/a/members/00000000000000ff"), &body).await;
        }
    }
    for item in values() {
        let body = json!({"items": [item, {"room": item, "data": 1}]}).to_string();
        assert_eq!(check(("POST", "/v1/batch"), &body).await.0, 200, "{body}");
        check(("POST", "/v1/users/messages"), &json!({"users": [item], "data": 1}).to_string())
            .await;
    }
    for (path, names) in [
        ("/v1/rooms/a/messages", &["after", "before", "limit"][..]),
        ("/v1/rooms/a/receipts", &["seq"]),
        ("/v1/rooms/a/state", &["page"]),
        ("/v1/rooms/a/members", &["page"]),
    ] {
        for name in names {
            for value in ["", "x", "-1", "1.5", "[]", "{}", "%7B%7D", "99999999999999999999"] {
                let path = format!("{path}?{name}={value}");
                assert_eq!(check(("GET", &path), "").await.0, 400, "{path}");
            }
        }
    }
    node.stop().await;
}
