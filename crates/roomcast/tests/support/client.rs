//! A client that speaks the protocol: typed frames in either encoding.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use roomcast_protocol::{
    ClientFrame, ConnectionId, Data, Encoding, Epoch, ErrorCode, JoinRoom, Message, Position,
    Publish, RequestId, Seq, ServerFrame,
};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message as WsMessage};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::{room, soon};

/// What came from the node.
#[derive(Debug)]
pub enum Incoming {
    Frame(ServerFrame),
    /// A WebSocket ping; it is answered when something is read or written next.
    Ping,
    /// A Close frame with its code and reason.
    Closed(u16, String),
    /// The socket ended without one.
    Gone,
}

/// What `joined` told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Joined {
    pub at: Position,
    pub recovered: Option<bool>,
}

/// One connection.
pub struct TestClient {
    pub socket: WebSocketStream<TcpStream>,
    pub encoding: Encoding,
    /// The connection's id, as the node named it.
    pub id: ConnectionId,
    /// The first frame of the connection.
    pub connected: ServerFrame,
    /// Frames that came while an answer was waited for.
    stash: VecDeque<ServerFrame>,
    last_id: RequestId,
}

impl TestClient {
    /// Connects and waits for `connected`.
    pub async fn connect(address: SocketAddr, encoding: Encoding, query: &str) -> Self {
        let socket = soon("connect", TcpStream::connect(address)).await.unwrap();
        Self::over(socket, encoding, query).await
    }

    /// A client whose kernel takes little before it has to read.
    pub async fn narrow(address: SocketAddr, encoding: Encoding) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.set_send_buffer_size(4096).unwrap();
        let socket = soon("connect", socket.connect(address)).await.unwrap();
        Self::over(socket, encoding, "").await
    }

    /// The same over a socket with options of its own.
    pub async fn over(socket: TcpStream, encoding: Encoding, query: &str) -> Self {
        socket.set_nodelay(true).unwrap();
        let mut request = format!("ws://node/ws?{query}").into_client_request().unwrap();
        let protocol = HeaderValue::from_static(encoding.subprotocol());
        request.headers_mut().insert("sec-websocket-protocol", protocol);
        let (socket, _) = soon("handshake", client_async(request, socket)).await.unwrap();
        let mut client = Self {
            socket,
            encoding,
            id: ConnectionId(0),
            connected: ServerFrame::Pong { id: None, time: 0 },
            stash: VecDeque::new(),
            last_id: 0,
        };
        client.connected = client.frame().await;
        let ServerFrame::Connected { connection, .. } = &client.connected else {
            panic!("the first frame is {:?}", client.connected)
        };
        client.id = *connection;
        client
    }

    /// The next number for a request.
    pub fn next_id(&mut self) -> RequestId {
        self.last_id += 1;
        self.last_id
    }

    /// Sends a frame.
    pub async fn send(&mut self, frame: &ClientFrame) {
        let mut bytes = Vec::new();
        frame.encode(self.encoding, &mut bytes);
        self.send_bytes(bytes).await;
    }

    /// Sends a message of the encoding's kind, whatever is in it.
    pub async fn send_bytes(&mut self, bytes: Vec<u8>) {
        let message = match self.encoding {
            Encoding::Json => WsMessage::text(String::from_utf8(bytes).unwrap()),
            Encoding::MsgPack => WsMessage::binary(bytes),
        };
        soon("send", self.socket.send(message)).await.unwrap();
    }

    /// What comes next from the socket.
    pub async fn incoming(&mut self) -> Incoming {
        loop {
            let next = soon("something from the node", self.socket.next()).await;
            return match next {
                Some(Ok(WsMessage::Text(text))) => self.decode(text.as_bytes()),
                Some(Ok(WsMessage::Binary(bytes))) => self.decode(&bytes),
                Some(Ok(WsMessage::Ping(_))) => Incoming::Ping,
                Some(Ok(WsMessage::Close(Some(CloseFrame { code, reason })))) => {
                    Incoming::Closed(code.into(), reason.to_string())
                }
                Some(Ok(WsMessage::Close(None))) => Incoming::Closed(1005, String::new()),
                Some(Ok(_)) => continue,
                None | Some(Err(Error::ConnectionClosed | Error::Io(_) | Error::Protocol(_))) => {
                    Incoming::Gone
                }
                Some(Err(error)) => panic!("{error}"),
            };
        }
    }

    fn decode(&self, bytes: &[u8]) -> Incoming {
        Incoming::Frame(ServerFrame::decode(self.encoding, bytes).unwrap())
    }

    /// The next frame; fails if the connection ends instead.
    pub async fn frame(&mut self) -> ServerFrame {
        match self.stash.pop_front() {
            Some(frame) => frame,
            None => self.fresh().await,
        }
    }

    async fn fresh(&mut self) -> ServerFrame {
        loop {
            match self.incoming().await {
                Incoming::Frame(frame) => return frame,
                Incoming::Ping => {}
                other => panic!("a frame was expected, not {other:?}"),
            }
        }
    }

    /// The code of the Close frame that comes after whatever else comes; 1006 without one.
    pub async fn closed(&mut self) -> u16 {
        loop {
            match self.incoming().await {
                Incoming::Frame(_) | Incoming::Ping => {}
                Incoming::Closed(code, _) => return code,
                Incoming::Gone => return 1006,
            }
        }
    }

    /// Sends a request and waits for the frame that carries its id. What else comes is kept for
    /// later.
    pub async fn ask(&mut self, frame: &ClientFrame) -> ServerFrame {
        let id = frame.id().expect("a request that is waited for has an id");
        self.send(frame).await;
        self.answer(id).await
    }

    /// Waits for the frame with this id.
    pub async fn answer(&mut self, id: RequestId) -> ServerFrame {
        if let Some(at) = self.stash.iter().position(|frame| id_of(frame) == Some(id)) {
            return self.stash.remove(at).unwrap();
        }
        loop {
            let frame = self.fresh().await;
            if id_of(&frame) == Some(id) {
                return frame;
            }
            self.stash.push_back(frame);
        }
    }

    /// Joins a room at its end.
    pub async fn join(&mut self, name: &str) -> Joined {
        self.join_with(JoinRoom { ..plain(name) }).await
    }

    /// Resumes a room.
    pub async fn resume(&mut self, name: &str, since: Position) -> Joined {
        self.join_with(JoinRoom { since: Some(since.into()), ..plain(name) }).await
    }

    /// Joins a room.
    pub async fn join_with(&mut self, join: JoinRoom) -> Joined {
        let id = self.next_id();
        match self.ask(&ClientFrame::Join { id: Some(id), rooms: vec![join] }).await {
            ServerFrame::Joined { epoch, seq, recovered, .. } => {
                Joined { at: Position { epoch, seq }, recovered }
            }
            other => panic!("joined was expected, not {other:?}"),
        }
    }

    /// Leaves a room.
    pub async fn leave(&mut self, name: &str) {
        let id = self.next_id();
        match self.ask(&ClientFrame::Leave { id: Some(id), room: room(name) }).await {
            ServerFrame::Left { .. } => {}
            other => panic!("left was expected, not {other:?}"),
        }
    }

    /// A publication of a JSON text, with an id; MessagePack clients send it transcoded.
    pub fn publication(&mut self, name: &str, json: &str) -> Publish {
        let id = Some(self.next_id());
        let json = Data::json(Bytes::copy_from_slice(json.as_bytes())).unwrap();
        Publish { id, ..publish_of(name, json) }
    }

    /// Publishes and waits for the ack.
    pub async fn publish(&mut self, name: &str, json: &str) -> Position {
        let publish = self.publication(name, json);
        self.try_publish(publish).await.unwrap()
    }

    /// Publishes and waits for the answer.
    pub async fn try_publish(&mut self, publish: Publish) -> Result<Position, ErrorCode> {
        match self.ask(&ClientFrame::Publish(publish)).await {
            ServerFrame::Ack { epoch, seq, .. } => Ok(Position { epoch, seq }),
            ServerFrame::Error { code, .. } => Err(code),
            other => panic!("an ack or an error was expected, not {other:?}"),
        }
    }

    /// The next message, which must be of this room.
    pub async fn message(&mut self, name: &str) -> Arc<Message> {
        match self.frame().await {
            ServerFrame::Message { room, message } if room.as_str() == name => message,
            other => panic!("a message of {name} was expected, not {other:?}"),
        }
    }

    /// The next `count` messages of a room; nothing else may come between them.
    pub async fn messages(&mut self, name: &str, count: usize) -> Vec<Arc<Message>> {
        let mut messages = Vec::with_capacity(count);
        for _ in 0..count {
            messages.push(self.message(name).await);
        }
        messages
    }

    /// Proves that the node has handled all that was sent; returns what came before the pong.
    /// Answers overtake frames of rooms, so that messages may still be under way.
    pub async fn ping(&mut self) -> Vec<ServerFrame> {
        let id = self.next_id();
        self.send(&ClientFrame::Ping { id: Some(id) }).await;
        let mut before: Vec<_> = std::mem::take(&mut self.stash).into();
        loop {
            match self.fresh().await {
                ServerFrame::Pong { id: Some(known), .. } if known == id => return before,
                other => before.push(other),
            }
        }
    }
}

/// A join at the end of a room.
pub fn plain(name: &str) -> JoinRoom {
    JoinRoom::new(room(name))
}

/// A publication without an id.
pub fn publish_of(name: &str, data: Data) -> Publish {
    Publish::new(room(name), data)
}

/// The id of the request that a frame answers.
pub fn id_of(frame: &ServerFrame) -> Option<RequestId> {
    frame.id()
}

/// A payload as JSON text.
pub fn text(data: &Data) -> String {
    let mut out = Vec::new();
    data.write_json(&mut out);
    String::from_utf8(out).unwrap()
}

/// Seqs of messages.
pub fn seqs(messages: &[Arc<Message>]) -> Vec<Seq> {
    messages.iter().map(|message| message.seq).collect()
}

/// A position no node ever gave.
pub fn foreign(seq: Seq) -> Position {
    Position { epoch: Epoch(0xfee1_dead), seq }
}
