//! One HTTP request to a server, with its answer read to the end: for health, metrics and the like.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Result;

use crate::door::Door;

/// The answer to a GET, head and body, at most so many bytes of it.
///
/// Fails if the server does not answer within this time.
pub(crate) fn get(
    door: &Door,
    addr: SocketAddr,
    path: &str,
    (within, most): (Duration, u64),
) -> Result<String> {
    let stream = TcpStream::connect_timeout(&addr, within)?;
    stream.set_read_timeout(Some(within))?;
    match door.tls()? {
        Some(tls) => ask(tls.over(addr, stream)?, (addr, path), most),
        None => ask(stream, (addr, path), most),
    }
}

fn ask(
    mut stream: impl Read + Write,
    (addr, path): (SocketAddr, &str),
    most: u64,
) -> Result<String> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    match stream.take(most).read_to_end(&mut answer) {
        // A server may end a connection without TLS's goodbye: the answer's length says enough.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {}
        done => drop(done?),
    }
    Ok(String::from_utf8(answer)?)
}
