//! What attackers send, as bytes.

use crate::wire;

/// Each with a number between its pieces.
pub(super) const PUBLISH: &[&str] =
    &[r#"{"type":"publish","id":"#, r#","room":"attacked","data":"x"}"#];
pub(super) const PUBLISH_ROOM: &[&str] =
    &[r#"{"type":"publish","id":"#, r#","room":"attacked-"#, r#"","data":"x"}"#];
pub(super) const JOIN: &[&str] =
    &[r#"{"type":"join","id":"#, r#","rooms":[{"room":"attacked-"#, r#""}]}"#];
pub(super) const LEAVE: &[&str] = &[r#"{"type":"leave","id":"#, r#","room":"attacked-"#, r#""}"#];
pub(super) const HISTORY: &[&str] =
    &[r#"{"type":"history","id":"#, r#","room":"attacked","limit":100}"#];

/// Tokens that no key of the node made: without a signature, with another secret's, with the name of
/// an algorithm that the node has no key for, and no token at all.
const FORGED: [&str; 4] = [
    "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ.",
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c",
    "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c",
    "x.y.z",
];

/// Bytes of a message whose last byte is no UTF-8.
const LATE: usize = 512 << 10;
/// Bytes of a head that is too large.
const HUGE: usize = 64 << 10;
/// Bytes that a slow body promises.
const SLOW_BODY: usize = 100_000;

/// A whole frame.
pub(super) fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    wire::push_client_frame(opcode, payload, &mut out);
    out
}

/// A frame after which its message goes on.
pub(super) fn fragment(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = frame(opcode, payload);
    out[0] &= 0x7f;
    out
}

/// A long text that ends with a byte that no UTF-8 has.
pub(super) fn late_utf8() -> Vec<u8> {
    let mut text = vec![b'a'; LATE];
    text[LATE - 1] = 0xff;
    frame(wire::TEXT, &text)
}

/// All of a message of 1 MiB but its last byte.
pub(super) fn unfinished() -> Vec<u8> {
    let mut out = frame(wire::TEXT, &vec![b'a'; 1 << 20]);
    out.pop();
    out
}

/// A handshake from this address, with more header lines.
pub(super) fn upgrade(from: &str, more: &str) -> Vec<u8> {
    head("/ws", from, more)
}

/// Handshakes with tokens that are none.
pub(super) fn forged(from: &str) -> Vec<Vec<u8>> {
    let handshake = |token| upgrade(from, &format!("Authorization: Bearer {token}\r\n"));
    FORGED.into_iter().map(handshake).collect()
}

/// A handshake with a ticket of the right form.
pub(super) fn ticket(from: &str) -> Vec<u8> {
    head(&format!("/ws?ticket={}", "A".repeat(43)), from, "")
}

/// A handshake with a head that is too large.
pub(super) fn huge_head(from: &str) -> Vec<u8> {
    upgrade(from, &format!("Cookie: a={}\r\n", "a".repeat(HUGE)))
}

/// A request for a ticket whose body does not come.
pub(super) fn slow_body(from: &str) -> Vec<u8> {
    let head = format!(
        "POST /v1/tickets HTTP/1.1\r\nHost: node\r\nX-Forwarded-For: {from}\r\n\
         Content-Type: application/json\r\nContent-Length: {SLOW_BODY}\r\n\r\n"
    );
    [head.into_bytes(), vec![b' '; SLOW_BODY]].concat()
}

fn head(path: &str, from: &str, more: &str) -> Vec<u8> {
    let mut head = wire::upgrade_request("node", path, Some("roomcast.v1.json"));
    head.truncate(head.len() - 2);
    head.extend_from_slice(format!("X-Forwarded-For: {from}\r\n{more}\r\n").as_bytes());
    head
}
