//! A first look at a server that is said to run already: one handshake, as a client of the load
//! makes it. A run is not begun where it fails: clients would try again until they give up.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::peer::{Bookmark, Peer};
use crate::door::Door;
use crate::wire;

/// How long a server may take to answer a handshake.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Bytes of an answer that are read: its head, and the beginning of what a refusal says.
const ANSWER_BYTES: usize = 8 << 10;
/// The user that a probe comes as.
const PROBE: &str = "load-probe";
/// Characters of a refusal that are shown.
const SHOWN: usize = 200;

/// Fails, in words, unless a server there takes clients.
pub(super) fn probe(url: &str, addr: SocketAddr, peer: Peer, door: &Door) -> Result<()> {
    let stream = TcpStream::connect_timeout(&addr, ANSWER_WITHIN);
    let stream = stream.with_context(|| format!("no server answers at {url}"))?;
    let request = peer.request(addr, 0, &Bookmark::default());
    let socket = stream.try_clone()?;
    let dressed = door.dressed(&request, PROBE)?;
    let request = dressed.as_deref().unwrap_or(&request);
    let answer = match door.tls()? {
        Some(tls) => exchange(tls.over(addr, stream)?, &socket, request),
        None => exchange(stream, &socket, request),
    };
    let answer = answer.with_context(|| format!("the server at {url} does not answer"))?;
    match judge(&answer) {
        Ok(()) => Ok(()),
        Err(said) => bail!("the server at {url} takes no WebSocket of {}: {said}", peer.title()),
    }
}

/// Sends the request; the answer's beginning. `socket` is below the stream.
fn exchange(
    mut stream: impl Read + Write,
    socket: &TcpStream,
    request: &[u8],
) -> std::io::Result<Vec<u8>> {
    let deadline = Instant::now() + ANSWER_WITHIN;
    socket.set_write_timeout(Some(ANSWER_WITHIN))?;
    stream.write_all(request)?;
    let (mut answer, mut part) = (Vec::new(), [0; 1024]);
    while answer.len() < ANSWER_BYTES && !is_whole(&answer) {
        let rest = deadline.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        socket.set_read_timeout(Some(rest))?;
        match stream.read(&mut part) {
            Ok(0) => break,
            Ok(read) => answer.extend_from_slice(&part[..read]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            // What has come of a refusal's text says enough.
            Err(_) if wire::head_end(&answer).is_some() => break,
            Err(error) => return Err(error),
        }
    }
    Ok(answer)
}

/// Whether enough has come to judge: the head, and with a refusal the body that it announces.
fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = wire::head_end(answer) else { return false };
    let head = String::from_utf8_lossy(&answer[..end]);
    let body = wire::field(&head, "content-length").and_then(|bytes| bytes.parse().ok());
    judge(answer).is_ok() || answer.len() >= end + body.unwrap_or(0)
}

/// What the answer says, if it is not the one that begins a WebSocket.
fn judge(answer: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(answer);
    let first = text.lines().next().unwrap_or_default();
    let mut words = first.splitn(3, ' ');
    let (version, status) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if !version.starts_with("HTTP/1.") {
        let nothing = if answer.is_empty() { "it closed the connection" } else { "no HTTP" };
        return Err(nothing.to_owned());
    }
    if status == "101" {
        return Ok(());
    }
    let body = wire::head_end(answer).map_or("".into(), |end| {
        String::from_utf8_lossy(&answer[end..]).split_whitespace().collect::<Vec<_>>().join(" ")
    });
    let said = format!("{first} {body}");
    let said = said.trim().chars().filter(|letter| !letter.is_control()).take(SHOWN);
    Err(said.collect())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// A server that says this to its first client, and what the probe makes of it.
    fn found(answer: &'static str) -> Result<(), String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let serving = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            assert!(stream.read(&mut request).unwrap() > 0);
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let found = probe("ws://there", addr, Peer::Roomcast, &Door::default());
        serving.join().unwrap();
        found.map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn a_server_is_taken_by_its_answer() {
        found("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n").unwrap();
        let refused = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 22\r\n\r\n\
                       {\"error\":\"not_ready\"}\r\n";
        for (answer, words) in [
            (refused, "of Roomcast: HTTP/1.1 503 Service Unavailable {\"error\":\"not_ready\"}"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ": HTTP/1.1 200 OK"),
            ("SSH-2.0-OpenSSH\r\n", ": no HTTP"),
            ("", "closed the connection"),
        ] {
            let error = found(answer).unwrap_err();
            assert!(error.contains("ws://there") && error.contains(words), "{error}");
        }
    }

    #[test]
    fn where_nothing_listens_it_fails_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        drop(listener);
        let begun = Instant::now();
        let error = probe("ws://there", addr, Peer::Roomcast, &Door::default()).unwrap_err();
        assert!(format!("{error:#}").contains("no server answers at ws://there"), "{error:#}");
        assert!(begun.elapsed() < ANSWER_WITHIN / 2, "{:?}", begun.elapsed());
    }
}
