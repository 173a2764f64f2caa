//! Limits by address: what one address may do, whose address counts, and which networks are exempt.

use crate::support::{RawClient, Response, TestNode, UPGRADE, eventually, get};

const NO_EXEMPTION: &str = "limits.exempt_networks=none";
const TRUSTED: &str = "http.trusted_proxies=127.0.0.0/8";

/// An upgrade with these headers, each with its line end: the socket and the answer.
async fn upgrade(node: &TestNode, headers: &str) -> (RawClient, Response) {
    let mut client = RawClient::connect(node.address()).await;
    client.write(format!("{UPGRADE}{headers}\r\n").as_bytes()).await;
    let answer = client.response().await;
    (client, answer)
}

async fn limits(node: &TestNode, limit: &str, action: &str) -> f64 {
    let text = node.scrape().await.text().to_owned();
    let series = format!("roomcast_limits_total{{action=\"{action}\",limit=\"{limit}\"}} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&series)).expect("a series");
    line.parse().unwrap()
}

#[tokio::test]
async fn handshakes_of_one_address_have_a_rate() {
    let node = TestNode::start(&[NO_EXEMPTION, "limits.address_handshakes=1"]).await;
    let mut refused = 0;
    for _ in 0..20 {
        let (_client, answer) = upgrade(&node, "").await;
        if answer.status == 101 {
            continue;
        }
        refused += 1;
        assert_eq!(answer.status, 429);
        assert!(answer.body.contains("\"rate_limited\"") && !answer.body.contains("proxies"));
        let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=2).contains(&wait), "{wait}");
    }
    assert!(refused > 0);
    // A question without upgrade is a handshake too; health is none.
    eventually("a refusal without upgrade", async || {
        get(node.address(), "/ws").await.status == 429
    })
    .await;
    assert_eq!(get(node.address(), "/health/ready").await.status, 200);
    assert!(limits(&node, "address_handshakes", "refused").await > f64::from(refused));
    let reason = "reason=\"rate_limited\"";
    assert!(node.scrape().await.with("roomcast_connections_refused_total", reason) > 0.0);
    node.stop().await;
}

#[tokio::test]
async fn connections_of_one_address_are_counted_until_they_end() {
    let node = TestNode::start(&[NO_EXEMPTION, "limits.address_connections=2"]).await;
    let (first, _second) = (upgrade(&node, "").await, upgrade(&node, "").await);
    let (_, answer) = upgrade(&node, "").await;
    assert_eq!(answer.status, 429);
    assert!(answer.body.contains("\"too_many_connections\""), "{}", answer.body);
    assert_eq!(answer.header("retry-after"), Some("10"));
    drop(first);
    eventually("space again", async || upgrade(&node, "").await.1.status == 101).await;
    assert!(limits(&node, "address_connections", "refused").await >= 1.0);
    node.stop().await;
}

#[tokio::test]
async fn behind_a_proxy_the_forwarded_address_counts() {
    let settings = [NO_EXEMPTION, TRUSTED, "limits.address_connections=1"];
    let node = TestNode::start(&settings).await;
    let of = |address: &str| format!("X-Forwarded-For: {address}\r\n");
    let (_one, answer) = upgrade(&node, &of("203.0.113.1")).await;
    assert_eq!(answer.status, 101);
    assert_eq!(upgrade(&node, &of("203.0.113.1")).await.1.status, 429);
    let (_other, answer) = upgrade(&node, &of("203.0.113.2")).await;
    assert_eq!(answer.status, 101, "another address");
    // Where the proxy tells no client, the limits by address do not hold.
    assert_eq!(limits(&node, "address_connections", "not_applied").await, 0.0);
    let (_third, answer) = upgrade(&node, "").await;
    assert_eq!(answer.status, 101);
    let (_fourth, answer) = upgrade(&node, "").await;
    assert_eq!(answer.status, 101);
    assert_eq!(limits(&node, "address_connections", "not_applied").await, 2.0);
    assert_eq!(limits(&node, "address_handshakes", "not_applied").await, 2.0);
    node.stop().await;
}

#[tokio::test]
async fn a_request_with_a_forwarding_header_is_never_exempt() {
    let node = TestNode::start(&["limits.address_connections=1"]).await;
    let (_direct, answer) = upgrade(&node, "").await;
    assert_eq!(answer.status, 101);
    let (_same, answer) = upgrade(&node, "").await;
    assert_eq!(answer.status, 101, "this machine is exempt by default");
    let forwarded = "X-Forwarded-For: 203.0.113.1\r\n";
    let (_proxied, answer) = upgrade(&node, forwarded).await;
    assert_eq!(answer.status, 101);
    let (_, answer) = upgrade(&node, forwarded).await;
    assert_eq!(answer.status, 429);
    assert!(answer.body.contains("http.trusted_proxies"), "{}", answer.body);
    assert_eq!(node.scrape().await.sum("roomcast_untrusted_forwards_total"), 2.0);
    node.stop().await;
}
