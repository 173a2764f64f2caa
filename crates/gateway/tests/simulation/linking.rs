//! Clients and their connections: accepted, served, read, cut and noticed.

use std::rc::Rc;
use std::time::Duration;

use roomcast_protocol::{ClientFrame, ConnectionId, Position, Publish, ServerFrame};

use super::client::{Up, Wire};
use super::pipe::Pipe;
use super::room_index;
use super::state::Change;
use super::stream::Item;
use super::wire::number;
use super::world::World;
use crate::connection::Connection;
use crate::form::{Form, FrameExtension};
use crate::identity::Hello;
use crate::socket::Socket;

impl World {
    /// A node takes a client's connection.
    pub(super) fn accept(&mut self, client: usize, worker: usize) -> bool {
        let Some(node) = self.clients[client].is_opening() else { return false };
        // Each client has its own order of the nodes.
        let node = (node + client) % self.nodes.len();
        self.connections += 1;
        let (id, pipe) = (ConnectionId(self.connections), Pipe::new(self.climate.capacity));
        let encoding = self.clients[client].encoding;
        let socket = Socket::Memory(pipe.clone());
        let connection = Rc::new(Connection::new(
            id,
            Hello::default(),
            Form::websocket(encoding, FrameExtension::None),
            socket,
            &Rc::default(),
        ));
        self.nodes[node].desks[worker].worker.greet(&connection);
        self.clients[client].accepted((node, worker), connection, pipe);
        true
    }

    /// A node handles a client's next frames.
    pub(super) fn serve(&mut self, client: usize, count: usize) -> bool {
        let mut any = false;
        for _ in 0..count {
            let Wire::Up(up) = &mut self.clients[client].wire else { return any };
            let node = &mut self.nodes[up.node];
            let worker = node.desks[up.worker].worker.clone();
            if !up.connection.is_open() || !worker.may_read(&up.connection) {
                break;
            }
            let Some(frame) = up.to_node.pop_front() else { break };
            any = true;
            match frame {
                ClientFrame::Publish(publish) => {
                    let index = room_index(&publish.room);
                    let change = Change::said(&publish, index, self.climate.keeps_state());
                    let Publish { id, room, data, key, echo, .. } = publish;
                    if key.is_some() || !echo {
                        worker.note_author(&up.connection, &room);
                    }
                    let connection = Some(up.connection.id);
                    let item = Item { id: number(&data), key, connection, echo, change };
                    let asker = id.map(|id| (up.connection.id, id));
                    node.publishers[index].submit(item, asker);
                }
                frame => worker.dispatch(&up.connection, frame, usize::MAX),
            }
            worker.write(&up.connection);
            node.after_worker(up.worker);
        }
        any
    }

    /// Bytes leave the socket for the client, and the node writes what has space now.
    pub(super) fn drain(&mut self, client: usize, bytes: usize) -> bool {
        let any = self.clients[client].read(bytes * self.climate.scale());
        let Wire::Up(up) = &self.clients[client].wire else { return any };
        let worker = self.nodes[up.node].desks[up.worker].worker.clone();
        if !up.connection.is_open() {
            worker.leave_all(&up.connection);
            up.connection.drop_rooms();
            up.connection.unblock();
            up.connection.write_own();
        } else if up.connection.is_blocked() {
            up.connection.unblock();
            worker.write(&up.connection);
        }
        self.nodes[up.node].after_worker(up.worker);
        any
    }

    pub(super) fn hear(&mut self, client: usize, count: usize) -> bool {
        let any = self.clients[client].hear(count, &self.truth);
        self.after_client(client, false);
        any
    }

    pub(super) fn pass(&mut self, time: Duration) {
        for client in 0..self.clients.len() {
            self.clients[client].pass(time, &self.truth);
            self.after_client(client, false);
        }
    }

    /// A node asks a client to move, after so many ms.
    pub(super) fn hint(&mut self, client: usize, after_ms: u64) {
        let Some(up) = self.clients[client].wire.up() else { return };
        up.connection.send(&ServerFrame::Reconnect { after_ms, reason: "drain".into() });
        self.nodes[up.node].desks[up.worker].worker.write_soon(&up.connection);
    }

    /// The client may have let go of its connection.
    pub(super) fn after_client(&mut self, client: usize, unnoticed: bool) {
        let Some(up) = self.clients[client].dropped.take() else { return };
        if unnoticed {
            self.ghosts.push(up);
        } else {
            self.bury(up);
        }
    }

    /// A node notices that a connection is gone.
    pub(super) fn bury(&mut self, up: Up) {
        let worker = &self.nodes[up.node].desks[up.worker].worker;
        up.connection.fail();
        worker.leave_all(&up.connection);
        worker.dismiss(up.connection.id);
        self.nodes[up.node].after_worker(up.worker);
    }

    /// A client joins from where it left, from nowhere, or from a place that may never have been.
    pub(super) fn join(&mut self, client: usize, room: usize, since: u64, history: u64) {
        let last = self.clients[client].last(room);
        let made_up = Position { epoch: self.truth.some_epoch(since / 4), seq: history % 24 };
        let since = match since % 4 {
            0 | 1 => last,
            2 => None,
            _ => Some(made_up),
        };
        let history = (since.is_none() && history.is_multiple_of(3)).then_some(history as u32 % 12);
        self.clients[client].join(room, since, history, &self.truth);
    }
}
