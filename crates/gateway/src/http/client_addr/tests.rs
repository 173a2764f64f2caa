//! Which address counts as the client's behind proxies.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use hyper::header::HeaderValue;
use proptest::prelude::*;

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn the_last_hop_that_is_no_proxy_is_the_client() {
    let check = |peer: &str, lines: &[&str], client: &str| {
        let trusted = Networks::read("10.0.0.0/8 fd00::/8").unwrap();
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, HeaderValue::from_str(line).unwrap());
        }
        assert_eq!(forwarded(ip(peer), &headers, &trusted), ip(client), "{peer} {lines:?}");
    };
    check("192.0.2.1", &[], "192.0.2.1");
    check("192.0.2.1", &["198.51.100.7"], "192.0.2.1");
    check("10.0.0.1", &[], "10.0.0.1");
    check("10.0.0.1", &["198.51.100.7"], "198.51.100.7");
    check("::ffff:10.0.0.1", &["::ffff:198.51.100.7"], "198.51.100.7");
    check("10.0.0.1", &["203.0.113.9, 198.51.100.7"], "198.51.100.7");
    check("10.0.0.1", &["203.0.113.9, 198.51.100.7,10.2.0.1 , fd00::1"], "198.51.100.7");
    check("10.0.0.1", &["203.0.113.9", "198.51.100.7", "10.2.0.1"], "198.51.100.7");
    check("10.0.0.1", &["10.3.0.1, 10.2.0.1"], "10.3.0.1");
    check("10.0.0.1", &["198.51.100.7, unknown, 10.2.0.1"], "10.2.0.1");
    check("10.0.0.1", &[""], "10.0.0.1");
    // With a port, as some proxies write it.
    check("10.0.0.1", &["198.51.100.7:40000"], "198.51.100.7");
    check("10.0.0.1", &["[2001:db8::7]:40000"], "2001:db8::7");
    check("10.0.0.1", &["[2001:db8::7]"], "2001:db8::7");
    check("10.0.0.1", &["[::ffff:198.51.100.7]:1"], "198.51.100.7");
    check("10.0.0.1", &["203.0.113.9, 198.51.100.7:1, 10.2.0.1:443,[fd00::1]:2"], "198.51.100.7");
    check("10.0.0.1", &["198.51.100.7:0"], "198.51.100.7");
    for none in ["198.51.100.7:", "198.51.100.7:65536", "[198.51.100.7]", "[2001:db8::7", "::1]:1"]
    {
        check("10.0.0.1", &[none], "10.0.0.1");
    }
}

fn v2_head(command: v2::Command, more: usize) -> Vec<u8> {
    let from = (([198, 51, 100, 7], 40_000).into(), ([10, 0, 0, 1], 443).into());
    let addresses: (std::net::SocketAddr, std::net::SocketAddr) = from;
    let head =
        v2::Builder::with_addresses(v2::Version::Two | command, v2::Protocol::Stream, addresses);
    head.write_payload(vec![0_u8; more].as_slice()).unwrap().build().unwrap()
}

#[test]
fn heads_tell_the_client() {
    let check = |head: &[u8], told: Option<&str>| {
        let with_more = [head, b"GET / HTTP/1.1\r\n"].concat();
        assert_eq!(read(&with_more).unwrap(), Some((head.len(), told.map(ip))));
        for cut in 1..head.len() {
            assert_eq!(read(&head[..cut]).unwrap(), None, "the first {cut} bytes");
        }
    };
    check(b"PROXY TCP4 198.51.100.7 10.0.0.1 40000 443\r\n", Some("198.51.100.7"));
    check(b"PROXY TCP6 2001:db8::7 fd00::1 40000 443\r\n", Some("2001:db8::7"));
    check(b"PROXY UNKNOWN\r\n", None);
    check(&v2_head(v2::Command::Proxy, 0), Some("198.51.100.7"));
    check(&v2_head(v2::Command::Local, 0), None);
}

#[test]
fn what_is_no_head_is_refused() {
    for bytes in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"PROXY TCP4 198.51.100.7 10.0.0.1 40000\r\n",
        b"PROXY UDP4 198.51.100.7 10.0.0.1 40000 443\r\n",
        &[b"PROXY UNKNOWN ", &[b'x'; MAX_V1_BYTES][..]].concat(),
        &v2_head(v2::Command::Proxy, 2_000)[..MAX_HEAD_BYTES],
    ] {
        assert!(read(bytes).is_err(), "{}", bytes.escape_ascii());
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        first in prop_oneof![
            Just(Vec::new()),
            Just(b"PROXY ".to_vec()),
            Just(v2::PROTOCOL_PREFIX.to_vec()),
        ],
        bytes in prop::collection::vec(any::<u8>(), 1..300),
    ) {
        let bytes = [first, bytes].concat();
        if let Ok(Some((length, _))) = read(&bytes) {
            prop_assert!(length <= bytes.len());
        }
    }
}
