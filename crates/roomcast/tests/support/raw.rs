//! A client that may break every rule: bytes over TCP, with just enough HTTP and WebSocket to read
//! the answers.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::soon;

/// The request of a correct handshake, up to the headers one may add.
pub const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: node\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// Opcodes of RFC 6455 section 5.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    Continue = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

/// One frame from the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawFrame {
    /// The first byte: FIN, RSV and opcode.
    pub first: u8,
    pub payload: Vec<u8>,
}

impl RawFrame {
    pub fn is(&self, opcode: Opcode) -> bool {
        self.first & 0x0f == opcode as u8
    }

    /// The code of a Close frame.
    pub fn close_code(&self) -> Option<u16> {
        let [high, low, ..] = self.payload[..] else { return None };
        self.is(Opcode::Close).then(|| u16::from_be_bytes([high, low]))
    }
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    /// Status line and headers, in lower case.
    pub head: String,
    pub body: String,
}

impl Response {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(known, _)| *known == name).map(|(_, value)| value.trim())
    }
}

/// A TCP connection to a node.
pub struct RawClient {
    pub socket: TcpStream,
    read: Vec<u8>,
}

impl RawClient {
    /// Connects; nothing is sent yet.
    pub async fn connect(address: SocketAddr) -> Self {
        let socket = soon("connect", TcpStream::connect(address)).await.unwrap();
        socket.set_nodelay(true).unwrap();
        Self { socket, read: Vec::new() }
    }

    /// Connects and does the handshake, with headers of one's own (each with its line end).
    pub async fn upgraded(address: SocketAddr, headers: &str) -> Self {
        let mut client = Self::connect(address).await;
        client.write(format!("{UPGRADE}{headers}\r\n").as_bytes()).await;
        let response = client.response().await;
        assert_eq!(response.status, 101, "{response:?}");
        client
    }

    /// Does the handshake at a path with its query, or returns the refusal.
    pub async fn try_upgrade(address: SocketAddr, path: &str) -> Result<Self, Response> {
        let mut client = Self::connect(address).await;
        let head = UPGRADE.replacen("/ws", path, 1);
        client.write(format!("{head}\r\n").as_bytes()).await;
        let response = client.response().await;
        if response.status == 101 { Ok(client) } else { Err(response) }
    }

    /// Whether the node still answers on this connection.
    pub async fn is_open(&mut self) -> bool {
        self.send(0x80 | Opcode::Ping as u8, b"").await;
        while let Some(frame) = self.frame().await {
            if frame.is(Opcode::Pong) {
                return true;
            }
        }
        false
    }

    /// The same, on the MessagePack subprotocol.
    pub async fn msgpack(address: SocketAddr) -> Self {
        Self::upgraded(address, "Sec-WebSocket-Protocol: roomcast.v1.msgpack\r\n").await
    }

    /// Sends bytes. An error is none of the test's: the node may have closed already.
    pub async fn write(&mut self, bytes: &[u8]) {
        let _closed_already = soon("write", self.socket.write_all(bytes)).await;
    }

    /// Sends one frame, masked with zeros: `first` holds FIN, RSV and opcode.
    pub async fn send(&mut self, first: u8, payload: &[u8]) {
        self.write(&frame(first, payload)).await;
    }

    /// Sends a text frame.
    pub async fn send_text(&mut self, text: &str) {
        self.send(0x80 | Opcode::Text as u8, text.as_bytes()).await;
    }

    /// Reads an HTTP answer with its body.
    pub async fn response(&mut self) -> Response {
        let end = loop {
            if let Some(at) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                break at;
            }
            assert!(self.fill().await, "the answer ends early: {:?}", self.read);
        };
        let head = String::from_utf8(self.read[..end].to_vec()).unwrap().to_lowercase();
        self.read.drain(..end + 4);
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut response = Response { status, head, body: String::new() };
        let length = response.header("content-length").map_or(0, |n| n.parse().unwrap());
        while self.read.len() < length {
            assert!(self.fill().await, "the body ends early");
        }
        response.body = String::from_utf8(self.read.drain(..length).collect()).unwrap();
        response
    }

    /// The next frame, whatever it is; `None` if the socket ends first.
    pub async fn frame(&mut self) -> Option<RawFrame> {
        loop {
            if let Some(frame) = self.parse() {
                return Some(frame);
            }
            if !self.fill().await {
                return None;
            }
        }
    }

    /// The code of the Close frame that comes after whatever else comes; `None` if the socket ends
    /// without one.
    pub async fn closed(&mut self) -> Option<u16> {
        while let Some(frame) = self.frame().await {
            if frame.is(Opcode::Close) {
                return frame.close_code();
            }
        }
        None
    }

    /// Reads until the node has closed the socket.
    pub async fn ended(&mut self) {
        while self.fill().await {}
    }

    /// Everything that comes until the node has closed the socket.
    pub async fn rest(&mut self) -> String {
        self.ended().await;
        String::from_utf8_lossy(&self.read).into_owned()
    }

    /// Whether the node closes the socket without another byte.
    pub async fn ends_unanswered(&mut self) -> bool {
        self.ended().await;
        self.read.is_empty()
    }

    /// Reads more; false at the end of the stream. A reset is an end.
    async fn fill(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        match soon("bytes from the node", self.socket.read(&mut buffer)).await {
            Ok(0) | Err(_) => false,
            Ok(count) => {
                self.read.extend_from_slice(&buffer[..count]);
                true
            }
        }
    }

    fn parse(&mut self) -> Option<RawFrame> {
        let [first, second, ..] = self.read[..] else { return None };
        assert_eq!(second & 0x80, 0, "a node's frames are not masked");
        let (header, length) = match second {
            126 => (4, be(self.read.get(2..4)?)),
            127 => (10, be(self.read.get(2..10)?)),
            short => (2, usize::from(short)),
        };
        let payload = self.read.get(header..header + length)?.to_vec();
        self.read.drain(..header + length);
        Some(RawFrame { first, payload })
    }
}

/// A frame's bytes, masked with zeros.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        short @ 0..=125 => bytes.push(0x80 | short as u8),
        middle @ 126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(middle as u16).to_be_bytes());
        }
        long => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(payload);
    bytes
}

fn be(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |number, &byte| number << 8 | usize::from(byte))
}

/// One GET on a connection of its own.
pub async fn get(address: SocketAddr, path: &str) -> Response {
    let mut client = RawClient::connect(address).await;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    client.write(request.as_bytes()).await;
    client.response().await
}
