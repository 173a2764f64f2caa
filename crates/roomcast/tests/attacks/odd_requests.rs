//! Requests and frames made of odd pieces, against a whole node: every route, every kind of body and
//! frame. It answers or ends each, panics at none, and keeps nothing of them.
//! `PROPTEST_CASES` says how many.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use tokio::io::AsyncWriteExt;

use crate::support::auth::{GUARDED, token};
use crate::support::{Backend, RawClient, TestNode, UPGRADE, frame};

/// What the second half of the cases may add to the process's memory: what an allocator keeps.
const MOST_GROWTH_BYTES: f64 = 32.0 * 1024.0 * 1024.0;

fn one_of(pieces: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(pieces).prop_map(str::to_owned)
}

/// A part of a path or a query.
fn segment() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => one_of(&["ws", "v1", "rooms", "a", "messages", "batch", "bans", "tickets", "disconnect",
            "health", "live", "metrics", "..", ".", "", "%2F", "%00", "%zz", "%", "$node", "@all",
            "%F0%9F", "demo.js"]),
        1 => "[ -~]{0,12}",
    ]
}

fn path() -> impl Strategy<Value = String> {
    let whole = one_of(&[
        "/ws",
        "/",
        "/v1/rooms/a/messages",
        "/v1/batch",
        "/v1/tickets",
        "/v1/bans",
        "/v1/bans/0000000000000000",
        "/v1/disconnect",
        "/metrics",
        "/health/ready",
        "*",
        "http://a/ws",
    ]);
    let made =
        prop::collection::vec(segment(), 0..5).prop_map(|parts| format!("/{}", parts.join("/")));
    let query = prop_oneof![
        Just(String::new()),
        prop::collection::vec(
            (
                one_of(&[
                    "user", "client", "attempt", "tries", "token", "ticket", "after", "before",
                    "limit", ""
                ]),
                prop_oneof![
                    one_of(&[
                        "",
                        "1",
                        "-1",
                        "99999999999999999999",
                        "0000000000000000:1",
                        "%ff",
                        "a+b"
                    ]),
                    "[!-~]{0,20}"
                ]
            ),
            0..4,
        )
        .prop_map(|pairs| {
            let pairs: Vec<_> =
                pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("?{}", pairs.join("&"))
        }),
    ];
    (prop_oneof![3 => whole, 1 => made], query).prop_map(|(path, query)| path + &query)
}

/// JSON that is nearly what a route or a frame takes.
fn json() -> impl Strategy<Value = String> {
    let names = &[
        "type",
        "id",
        "room",
        "rooms",
        "data",
        "event",
        "key",
        "if_seq",
        "epoch",
        "user",
        "connection",
        "echo",
        "items",
        "token",
        "sub",
        "info",
        "seconds",
        "jti",
        "network",
        "reason",
        "renew",
        "since",
        "history",
        "limit",
        "x",
    ];
    let value = prop_oneof![
        3 => one_of(&["1", "-1", "0", "60", "1e999", "18446744073709551616", "null", "true", "\"\"", "\"a\"",
            "\"publish\"", "\"join\"", "\"leave\"", "\"history\"", "\"ping\"", "\"refresh\"", "\"signal\"",
            "\"10.0.0.0/8\"", "\"::/0\"", "\"0000000000000000\"", "\"\\ud800\"", "\"\\u0000\"", "[]", "{}",
            "[\"a\"]", "[{\"room\":\"a\"}]", "[{\"room\":\"a\",\"data\":1}]",
            "{\"epoch\":\"0000000000000000\",\"seq\":0}", "[[[[[[[[[[]]]]]]]]]]", "{\"$bin\":\"AA==\"}"]),
        1 => "\"[ !#-~]{0,30}\"",
        1 => "[ -~]{0,10}",
    ];
    prop::collection::vec((prop::sample::select(&names[..]), value), 0..7).prop_map(|members| {
        let members: Vec<_> =
            members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", members.join(","))
    })
}

fn header(credentials: Vec<String>) -> impl Strategy<Value = String> {
    prop_oneof![
        2 => prop::sample::select(credentials),
        3 => one_of(&["Connection: Upgrade\r\nUpgrade: websocket\r\n", "Sec-WebSocket-Version: 13\r\n",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "Sec-WebSocket-Key: x\r\n",
            "Sec-WebSocket-Protocol: json, msgpack\r\n", "Sec-WebSocket-Protocol: ,,,\r\n",
            "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=8\r\n",
            "Origin: null\r\n", "Origin: https://[::1\r\n", "Host: b\r\n", "Content-Type: text/html\r\n",
            "Transfer-Encoding: chunked\r\n", "Expect: 100-continue\r\n", "Idempotency-Key: k\r\n",
            "traceparent: 00-0-0-0\r\n", "X-Forwarded-For: 1.2.3.4, , [::1]:80, x\r\n",
            "Cookie: sid=; sid=\"; =\r\n", "If-None-Match: *\r\n"]),
        1 => "[A-Za-z-]{1,10}: [ -~]{0,20}\r\n",
        1 => "[ -~]{0,20}\r\n",
    ]
}

/// A request's bytes, whole or broken.
fn request(credentials: Vec<String>) -> impl Strategy<Value = Vec<u8>> {
    let method =
        one_of(&["GET", "POST", "DELETE", "OPTIONS", "HEAD", "PUT", "CONNECT", "PRI", "get"]);
    let version = prop_oneof![8 => Just("HTTP/1.1"), 1 => Just("HTTP/1.0"), 1 => Just("HTTP/2.0"), 1 => Just("HTTP")];
    let headers = prop::collection::vec(header(credentials), 0..6);
    let body = prop_oneof![
        Just(String::new()),
        json(),
        json().prop_map(|text| format!("{:x}\r\n{text}\r\n0\r\n\r\n", text.len()))
    ];
    let length = prop_oneof![6 => Just(None), 1 => Just(Some("0")), 1 => Just(Some("99999999999")), 1 => Just(Some("x"))];
    let damage = prop::option::weighted(0.1, (any::<prop::sample::Index>(), any::<u8>()));
    (method, path(), version, headers, body, (length, damage)).prop_map(
        |(method, path, version, headers, body, (length, damage))| {
            let length = length.map_or_else(|| body.len().to_string(), str::to_owned);
            let head =
                format!("{method} {path} {version}\r\nHost: node\r\nContent-Length: {length}\r\n");
            let mut bytes = format!("{head}{}\r\n{body}", headers.concat()).into_bytes();
            if let Some((at, byte)) = damage {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes
        },
    )
}

/// What a client sends after its handshake.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop_oneof![
        4 => json().prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..60),
    ];
    let one = (prop_oneof![6 => Just(0x81_u8), 2 => Just(0x82), 1 => any::<u8>()], payload)
        .prop_map(|(first, payload)| frame(first, &payload));
    let raw = prop::collection::vec(any::<u8>(), 0..40);
    prop::collection::vec(prop_oneof![6 => one, 1 => raw], 0..8).prop_map(|frames| frames.concat())
}

/// Sends bytes, says that nothing more comes, and reads to the end.
async fn outcome(mut client: RawClient, bytes: &[u8]) {
    client.write(bytes).await;
    // The node may have closed already.
    let _ = client.socket.shutdown().await;
    client.ended().await;
}

#[tokio::test]
async fn no_request_and_no_frame_is_too_odd() {
    let shop = Backend::new("shop");
    let keys = shop.settings("publish read admin");
    let more = ["auth.cookie=sid", "http.trusted_proxies=127.0.0.0/8", "limits.created_rooms=0"];
    let settings = [&GUARDED[..], &more, &keys.each_ref().map(String::as_str)].concat();
    let node = TestNode::start(&settings).await;
    let rooms = r#","rooms":{"*":["join","publish","signal","history","presence"]}"#;
    let good = format!("Authorization: Bearer {}\r\n", token("odd", rooms));
    let credentials = vec![
        format!("Authorization: Bearer {}\r\n", shop.presented()),
        format!("Authorization: Bearer {}\r\n", shop.presented()),
        good.clone(),
        format!("Cookie: sid={}\r\n", token("odd", rooms)),
        "Authorization: Bearer shop.x\r\n".to_owned(),
        "Authorization: \r\n".to_owned(),
    ];
    let upgrade = format!("{UPGRADE}{good}\r\n").into_bytes();
    let (requests, frames) = (request(credentials), frames());
    let cases = Config::default().cases;
    let mut runner = TestRunner::deterministic();
    let mut resident_half = 0.0;
    for case in 0..cases {
        if case == cases / 2 {
            resident_half = node.scrape().await.sum("process_resident_memory_bytes");
        }
        let bytes = requests.new_tree(&mut runner).unwrap().current();
        outcome(RawClient::connect(node.address()).await, &bytes).await;
        let bytes = [&upgrade[..], &frames.new_tree(&mut runner).unwrap().current()].concat();
        outcome(RawClient::connect(node.address()).await, &bytes).await;
    }
    node.until("roomcast_connections", |count| count == 0.0).await;
    node.until("roomcast_members", |count| count == 0.0).await;
    let scrape = node.scrape().await;
    assert_eq!(scrape.sum("roomcast_panics_total"), 0.0);
    assert!(scrape.sum("roomcast_connections_opened_total") >= f64::from(cases) / 2.0);
    let grown = scrape.sum("process_resident_memory_bytes") - resident_half;
    eprintln!(
        "{cases} requests, {cases} streams of frames; grown by {grown} bytes in the second half"
    );
    assert!(grown < MOST_GROWTH_BYTES, "{grown}");
    node.stop().await;
}
