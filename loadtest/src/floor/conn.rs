//! One connection of the floor.

use std::io::{self, Read, Write};

use mio::event::Event;
use mio::net::TcpStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::reader::{Depth, Reader};
use crate::wire;

/// No request of the load is longer.
const MAX_HEAD: usize = 8 << 10;
/// Rooms are numbered below this.
const MAX_ROOMS: usize = 1 << 20;
/// What stands before the number in the name of every room of the load.
const ROOM: &[u8] = b"load-";

/// What a client asks of the floor.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// Be a member of this room.
    Join(usize),
    /// Deliver one frame to this room.
    Publish(usize),
}

/// One connection.
pub(super) struct Conn {
    stream: TcpStream,
    open: bool,
    reader: Reader,
    /// A request that came in pieces.
    head: Vec<u8>,
    /// What the socket did not take yet.
    unsent: Vec<u8>,
    /// Its room and its slot in it.
    pub(super) place: Option<(usize, usize)>,
}

impl Conn {
    pub(super) fn new(stream: TcpStream) -> Self {
        let (head, unsent) = (Vec::new(), Vec::new());
        Self { stream, open: false, reader: Reader::default(), head, unsent, place: None }
    }

    /// Writes or keeps; false if the connection is broken.
    pub(super) fn write(&mut self, bytes: &[u8]) -> bool {
        if !self.unsent.is_empty() {
            self.unsent.extend_from_slice(bytes);
            return true;
        }
        match self.stream.write(bytes) {
            Ok(written) => self.unsent.extend_from_slice(&bytes[written..]),
            Err(error) if would_block(&error) => self.unsent.extend_from_slice(bytes),
            Err(_) => return false,
        }
        true
    }

    /// Writes what was kept; false if the connection is broken.
    pub(super) fn flush(&mut self) -> bool {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(written) => drop(self.unsent.drain(..written)),
                Err(error) if would_block(&error) => return true,
                Err(_) => return false,
            }
        }
        self.unsent = Vec::new();
        true
    }

    /// Reads until the socket is empty; false if the connection is over.
    pub(super) fn read(
        &mut self,
        event: &Event,
        buffer: &mut [u8],
        requests: &mut Vec<Request>,
    ) -> bool {
        loop {
            let read = match self.stream.read(buffer) {
                Ok(0) => return false,
                Ok(read) => read,
                Err(error) if would_block(&error) => return true,
                Err(_) => return false,
            };
            if !self.receive(&buffer[..read], requests) {
                return false;
            }
            // A short read has emptied the socket, unless its end stands behind it.
            if read < buffer.len() && !event.is_read_closed() {
                return true;
            }
        }
    }

    fn receive(&mut self, input: &[u8], requests: &mut Vec<Request>) -> bool {
        if self.open {
            return self.frames(input, requests);
        }
        if self.head.is_empty()
            && let Some(end) = wire::head_end(input)
        {
            return self.upgrade(&input[..end], requests) && self.frames(&input[end..], requests);
        }
        self.head.extend_from_slice(input);
        let Some(end) = wire::head_end(&self.head) else { return self.head.len() <= MAX_HEAD };
        let head = std::mem::take(&mut self.head);
        self.upgrade(&head[..end], requests) && self.frames(&head[end..], requests)
    }

    fn upgrade(&mut self, head: &[u8], requests: &mut Vec<Request>) -> bool {
        let Ok(head) = std::str::from_utf8(head) else { return false };
        let Some(key) = wire::field(head, "sec-websocket-key") else { return false };
        let accept = derive_accept_key(key.as_bytes());
        let chosen = wire::field(head, "sec-websocket-protocol")
            .map(|name| format!("Sec-WebSocket-Protocol: {name}\r\n"))
            .unwrap_or_default();
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n{chosen}\r\n"
        );
        requests.extend(room_of_path(head).map(Request::Join));
        self.open = true;
        self.write(answer.as_bytes())
    }

    fn frames(&mut self, input: &[u8], requests: &mut Vec<Request>) -> bool {
        let mut alive = true;
        let read = self.reader.feed(input, Depth::Whole, |frame| match frame.header.opcode {
            wire::TEXT | wire::BINARY => {
                let mut payload = frame.payload.to_vec();
                wire::unmask(&mut payload, frame.header.mask.unwrap_or_default());
                requests.extend(room_of_payload(&payload).map(Request::Publish));
            }
            wire::CLOSE => alive = false,
            _ => {}
        });
        read.is_ok() && alive
    }
}

fn would_block(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// The number in `GET /ws?room=7 HTTP/1.1`.
fn room_of_path(head: &str) -> Option<usize> {
    let path = head.lines().next()?.split(' ').nth(1)?;
    path.split_once("room=")?.1.parse().ok().filter(|&room| room < MAX_ROOMS)
}

/// The number of the first room named in a publish frame, in whichever encoding.
fn room_of_payload(payload: &[u8]) -> Option<usize> {
    let at = payload.windows(ROOM.len()).position(|window| window == ROOM)? + ROOM.len();
    let digits = payload[at..].iter().take_while(|byte| byte.is_ascii_digit());
    digits.map(|byte| usize::from(byte - b'0')).reduce(|sum, digit| sum * 10 + digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_are_read_from_paths_and_payloads() {
        assert_eq!(room_of_path("GET /ws?room=12 HTTP/1.1\r\n\r\n"), Some(12));
        assert_eq!(room_of_path("GET /ws HTTP/1.1\r\n\r\n"), None);
        assert_eq!(room_of_payload(br#"{"type":"publish","room":"load-407","data":1}"#), Some(407));
        assert_eq!(room_of_payload(b"\xa6load-3\xa4data"), Some(3));
        assert_eq!(room_of_payload(b"{}"), None);
    }
}
