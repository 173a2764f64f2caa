//! One message from a client: decoded, counted and dispatched; and how a connection is let in and
//! dismissed.

use std::rc::Rc;

use roomcast_protocol::{
    ClientFrame, CloseCode, ConnectionId, DecodeError, ErrorCode, FrameType, RequestId, RoomName,
    ServerFrame,
};
use tokio::time::Instant;

use super::Worker;
use super::heartbeat::Patience;
use super::rates::MessageFate;
use crate::connection::Connection;
use crate::hub::now_ms;

/// Malformed frames after which a connection is closed. Each of them is answered by an error.
const MAX_BAD_FRAMES: u8 = 32;

impl Worker {
    /// Handles one message from a client. Returns for how many requests it counts: a join counts once
    /// for each of its rooms, any other message once.
    pub(crate) fn handle(&self, connection: &Rc<Connection>, payload: &[u8]) -> usize {
        let begun = Instant::now();
        let mut requests = 1;
        let decoded = ClientFrame::decode(connection.encoding(), payload);
        let decoded = decoded.map(|frame| frame.of_user(connection.user.as_ref()));
        let fate = self.take_message(connection, decoded.as_ref().ok());
        let kind = decoded.as_ref().ok().map(ClientFrame::frame_type);
        // A `ping` shows that the client is alive, but not that it is in use.
        if kind.is_some_and(|kind| kind != FrameType::Ping) {
            connection.pulse.note_active();
        }
        match (decoded, fate) {
            (_, MessageFate::Close) => self.close_above(connection),
            (Ok(frame), MessageFate::Handle { free_joins }) => {
                if let ClientFrame::Join { rooms, .. } = &frame {
                    requests = rooms.len().max(1);
                }
                self.dispatch(connection, frame, free_joins);
            }
            (Ok(frame), MessageFate::Refuse(excess)) => {
                self.refuse_all_above(connection, &frame, excess);
            }
            (Err(error), MessageFate::Handle { .. }) => self.refuse_frame(connection, error),
            (Err(error), MessageFate::Refuse(excess)) => {
                self.refuse_above(connection, error.id, None, excess);
            }
        }
        self.metrics.traffic.frames_in[kind].inc();
        self.metrics.traffic.frame[kind].observe(begun.elapsed().as_secs_f64());
        requests
    }

    /// Answers a request with an error.
    pub(super) fn refuse(
        &self,
        connection: &Rc<Connection>,
        id: Option<RequestId>,
        room: Option<&RoomName>,
        (code, message): (ErrorCode, &str),
    ) {
        self.metrics.traffic.errors[code].inc();
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
        if connection.broken.get() >= MAX_BAD_FRAMES {
            self.close(connection, CloseCode::Policy);
        }
    }

    /// Connections of all nodes, as far as that is known.
    fn online(&self) -> Option<u64> {
        match self.bus.is_shared() {
            true => self.bus.online(),
            false => u64::try_from(self.metrics.connections.all_open()).ok(),
        }
    }

    /// Knows a connection from now on: its heartbeat begins.
    pub(crate) fn register(&self, connection: &Rc<Connection>) {
        self.connections.add(connection, Patience::of(&self.settings()));
    }

    /// Lets a connection in: its heartbeat begins, and it gets `connected`.
    pub(crate) fn greet(&self, connection: &Rc<Connection>) {
        let settings = self.settings();
        self.register(connection);
        self.watch_life(connection);
        connection.send(&ServerFrame::Connected {
            connection: connection.id,
            user: connection.user.clone(),
            node: self.node.clone(),
            time: now_ms(),
            expires: connection.life().map(|(life, _)| life.expires),
            online: self.online(),
            heartbeat: settings.heartbeat.told(),
            limits: settings.limits.told(),
        });
        self.move_latecomer(connection);
        self.join_own_room(connection, &settings);
        self.begin_by_orders(connection);
        self.write(connection);
    }

    /// The connection has ended.
    pub(crate) fn dismiss(&self, id: ConnectionId) {
        if let Some(connection) = self.connections.get(id) {
            self.forget_access(&connection);
            self.end_followed(&connection);
        }
        self.connections.remove(id);
    }
}
