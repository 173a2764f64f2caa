//! One frame from a client: read, counted, and handed to what it asks for.

use std::rc::Rc;

use roomcast_metrics::{ErrorWord, FrameType, Label};
use roomcast_protocol::{
    ClientFrame, CloseCode, ConnectionId, DecodeError, ErrorCode, RequestId, RoomName, ServerFrame,
};
use tokio::time::Instant;

use super::Worker;
use crate::connection::Connection;
use crate::hub::now_ms;

/// Broken frames after which a connection is closed: a client that errs is told each time, one
/// that does nothing else is ended.
const MAX_BROKEN: u8 = 32;

impl Worker {
    /// Handles one message from a client. Returns how many requests it is: a list of joins is one
    /// for each room, anything else is one.
    pub(crate) fn handle(&self, connection: &Rc<Connection>, payload: &[u8]) -> usize {
        let begun = Instant::now();
        let mut requests = 1;
        let kind = match ClientFrame::decode(connection.encoding(), payload) {
            Ok(frame) => {
                if let ClientFrame::Join { rooms, .. } = &frame {
                    requests = rooms.len().max(1);
                }
                let kind = kind_of(&frame);
                // A `ping` shows that a client lives, not that it has anything to do.
                if kind != FrameType::Ping {
                    connection.pulse.note_active();
                }
                self.dispatch(connection, frame);
                kind
            }
            Err(error) => {
                self.refuse_frame(connection, error);
                FrameType::Bad
            }
        };
        self.metrics.traffic.frames_in[kind].inc();
        self.metrics.traffic.frame[kind].observe(begun.elapsed().as_secs_f64());
        requests
    }

    pub(crate) fn dispatch(&self, connection: &Rc<Connection>, frame: ClientFrame) {
        match frame {
            ClientFrame::Join { id, rooms } => {
                for join in rooms {
                    self.join(connection, id, join);
                }
            }
            ClientFrame::Leave { id, room } => self.leave(connection, id, room),
            ClientFrame::Publish(publish) => self.publish(connection, publish),
            ClientFrame::History(query) => self.history(connection, query),
            ClientFrame::Ping { id } => {
                connection.send(&ServerFrame::Pong { id, time: now_ms() });
            }
            ClientFrame::Signal { id, room, .. }
            | ClientFrame::Typing { id, room, .. }
            | ClientFrame::Members { id, room, .. }
            | ClientFrame::Presence { id, room, .. } => {
                let reason = (ErrorCode::Unsupported, "this node does not serve such frames");
                self.refuse(connection, id, Some(&room), reason);
            }
            ClientFrame::Refresh { id, .. } => {
                let reason = (ErrorCode::Unsupported, "this node knows no tokens");
                self.refuse(connection, id, None, reason);
            }
            _ => {
                let reason = (ErrorCode::Unsupported, "this node does not serve such frames");
                self.refuse(connection, None, None, reason);
            }
        }
    }

    /// Answers a request with an error.
    pub(super) fn refuse(
        &self,
        connection: &Rc<Connection>,
        id: Option<RequestId>,
        room: Option<&RoomName>,
        (code, message): (ErrorCode, &str),
    ) {
        if let Some(word) = ErrorWord::parse(code.as_str()) {
            self.metrics.traffic.errors[word].inc();
        }
        let retry_after_ms = match code {
            ErrorCode::Overloaded | ErrorCode::BusUnavailable => Some(1_000),
            _ => None,
        };
        connection.send(&ServerFrame::Error {
            id,
            room: room.cloned(),
            code,
            message: message.into(),
            retry_after_ms,
        });
    }

    fn refuse_frame(&self, connection: &Rc<Connection>, error: DecodeError) {
        tracing::debug!(%connection, code = error.code.as_str(), "bad frame: {error}");
        let room = error.room.as_deref().and_then(|name| RoomName::parse(name).ok());
        self.refuse(connection, error.id, room.as_ref(), (error.code, &error.message));
        connection.broken.set(connection.broken.get().saturating_add(1));
        if connection.broken.get() >= MAX_BROKEN {
            self.close(connection, CloseCode::Policy);
        }
    }

    /// Lets a connection in: its first frame, its place in the wheel.
    pub(crate) fn greet(&self, connection: &Rc<Connection>) {
        let settings = self.settings();
        self.connections.borrow_mut().insert(connection.id, connection.clone());
        self.watch(connection);
        connection.send(&ServerFrame::Connected {
            connection: connection.id,
            user: connection.user.clone(),
            node: self.node.clone(),
            time: now_ms(),
            online: None,
            heartbeat: settings.heartbeat.told(),
            limits: settings.limits.told(),
        });
        self.move_latecomer(connection);
        self.write(connection);
    }

    /// The connection has ended.
    pub(crate) fn dismiss(&self, id: ConnectionId) {
        if let Some(connection) = self.connections.borrow_mut().remove(&id) {
            self.forget(&connection);
        }
    }
}

fn kind_of(frame: &ClientFrame) -> FrameType {
    match frame {
        ClientFrame::Join { .. } => FrameType::Join,
        ClientFrame::Leave { .. } => FrameType::Leave,
        ClientFrame::Publish(_) => FrameType::Publish,
        ClientFrame::Signal { .. } => FrameType::Signal,
        ClientFrame::Typing { .. } => FrameType::Typing,
        ClientFrame::History(_) => FrameType::History,
        ClientFrame::Members { .. } => FrameType::Members,
        ClientFrame::Presence { .. } => FrameType::Presence,
        ClientFrame::Refresh { .. } => FrameType::Refresh,
        ClientFrame::Ping { .. } => FrameType::Ping,
        _ => FrameType::Bad,
    }
}
