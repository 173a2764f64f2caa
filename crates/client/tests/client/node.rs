//! A scripted node: it accepts one connection after the other and speaks in plain JSON values, so
//! that the tests also say what the wire looks like. Everything waits with a deadline.

use std::future::Future;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use http::HeaderValue;
use http::header::SEC_WEBSOCKET_PROTOCOL;
use roomcast_client::{Backoff, Client, Event, JoinOptions, Options};
use roomcast_protocol::{Data, Encoding, Publish, PublishKey, RoomName, Subprotocol};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

/// Far beyond what anything here takes.
const SOON: Duration = Duration::from_secs(10);

pub(crate) const EPOCH: &str = "00000000000000e1";

pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(SOON, future).await.unwrap_or_else(|_| panic!("{what} did not happen in time"))
}

pub(crate) struct Node {
    listener: TcpListener,
}

impl Node {
    pub(crate) async fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/ws", self.listener.local_addr().unwrap())
    }

    /// Options for this node, with pauses short enough for tests.
    pub(crate) fn options(&self) -> Options {
        let mut options = Options::new([self.url()]);
        let (min, max) = (Duration::from_millis(1), Duration::from_millis(5));
        options.backoff = Backoff { min, max, ..Backoff::default() };
        options
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.options()).unwrap()
    }

    async fn accept_stream(&self) -> TcpStream {
        soon("a connection", self.listener.accept()).await.unwrap().0
    }

    /// The next connection, greeted.
    pub(crate) async fn accept(&self) -> Link {
        self.accept_with(json!({"interval_ms": 25000, "timeout_ms": 60000})).await
    }

    pub(crate) async fn accept_with(&self, heartbeat: Value) -> Link {
        let stream = self.accept_stream().await;
        let (mut query, mut encoding) = (String::new(), Encoding::Json);
        #[allow(clippy::result_large_err, reason = "tungstenite's own signature")]
        let read = |request: &Request, mut response: Response| {
            query = request.uri().query().unwrap_or_default().to_owned();
            let offered = request.headers()[SEC_WEBSOCKET_PROTOCOL].to_str().unwrap();
            encoding = Subprotocol::negotiate([offered]).unwrap().encoding;
            let taken = HeaderValue::from_static(encoding.subprotocol());
            response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, taken);
            Ok(response)
        };
        let socket = soon("the handshake", accept_hdr_async(stream, read)).await.unwrap();
        let mut link = Link { socket, encoding, query };
        link.send(json!({
            "type": "connected", "connection": "000000000000000a", "node": "n1", "time": 1,
            "heartbeat": heartbeat, "limits": {"message_bytes": 4096, "rooms": 8},
        }))
        .await;
        link
    }

    /// Answers the next handshake with this status.
    pub(crate) async fn refuse(&self, status: &str) {
        let mut stream = self.accept_stream().await;
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
    }
}

/// One connection, from the node's side. Dropping it cuts the connection without a goodbye.
pub(crate) struct Link {
    socket: WebSocketStream<TcpStream>,
    encoding: Encoding,
    pub(crate) query: String,
}

impl Link {
    pub(crate) async fn send(&mut self, frame: Value) {
        let message = match self.encoding {
            Encoding::Json => Message::text(frame.to_string()),
            Encoding::MsgPack => Message::binary(rmp_serde::to_vec(&frame).unwrap()),
        };
        soon("sending", self.socket.send(message)).await.unwrap();
    }

    /// The next frame of the client, which must be of this type.
    pub(crate) async fn expect(&mut self, kind: &str) -> Value {
        let message = soon(kind, self.socket.next()).await.expect("a frame").unwrap();
        let frame: Value = match message {
            Message::Text(text) if self.encoding == Encoding::Json => {
                serde_json::from_str(&text).unwrap()
            }
            Message::Binary(bytes) if self.encoding == Encoding::MsgPack => {
                rmp_serde::from_slice(&bytes).unwrap()
            }
            other => panic!("no {kind} but {other:?}"),
        };
        assert_eq!(frame["type"], kind, "{frame}");
        frame
    }

    /// Waits for the client's Close and tells its code.
    pub(crate) async fn expect_close(&mut self) -> u16 {
        match soon("a close", self.socket.next()).await {
            Some(Ok(Message::Close(Some(frame)))) => frame.code.into(),
            other => panic!("no close but {other:?}"),
        }
    }

    pub(crate) async fn close(mut self, code: u16) {
        let frame = CloseFrame { code: code.into(), reason: "because".into() };
        self.socket.close(Some(frame)).await.unwrap();
        while let Some(Ok(_)) = soon("the end", self.socket.next()).await {}
    }

    /// Takes a join of one room and lets it stand at `seq`.
    pub(crate) async fn admit(&mut self, seq: u64) -> Value {
        let join = self.expect("join").await;
        let room = join["rooms"].get(0).unwrap_or(&join).clone();
        let mut joined = json!({
            "type": "joined", "id": join["id"], "room": room["room"], "epoch": EPOCH, "seq": seq,
        });
        if !room["since"].is_null() {
            joined["recovered"] = json!(true);
        }
        self.send(joined).await;
        room
    }

    pub(crate) async fn tell(&mut self, seq: u64) {
        self.send(json!({
            "type": "message", "room": "lobby", "seq": seq, "time": 1,
            "connection": "000000000000000b", "data": {"n": seq},
        }))
        .await;
    }
}

pub(crate) fn lobby() -> RoomName {
    RoomName::parse("lobby").unwrap()
}

pub(crate) async fn join(client: &Client) {
    client.join(lobby(), JoinOptions::default()).await.unwrap();
}

pub(crate) fn message(text: &str, key: Option<&str>) -> Publish {
    Publish {
        id: None,
        room: lobby(),
        data: Data::Json(json!(text).to_string().into_bytes().into()),
        event: None,
        key: key.map(|key| PublishKey::parse(key).unwrap()),
        if_seq: None,
        echo: true,
        traceparent: None,
        if_key_seq: None,
        state_key: None,
        ttl_ms: None,
        remove: false,
        receipts: false,
    }
}

/// The next event that is not about the connection alone, as a short text.
pub(crate) async fn told(client: &Client) -> String {
    loop {
        match soon("an event", client.next()).await.expect("an event") {
            Event::Connected { .. } | Event::Disconnected { .. } => {}
            Event::Joined { position, recovered, .. } => {
                return format!("joined {} {recovered:?}", position.seq);
            }
            Event::Message { message, .. } => return format!("message {}", message.seq),
            Event::Gap { from, to, .. } => return format!("gap {from}-{to}"),
            Event::Reset { position, lost, .. } => {
                return format!("reset {} lost {lost}", position.seq);
            }
            Event::Left { .. } => return "left".into(),
            Event::Closed { code, .. } => return format!("closed {code:?}"),
            other => return format!("{other:?}"),
        }
    }
}
