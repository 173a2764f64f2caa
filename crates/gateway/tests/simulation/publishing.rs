//! Publications on their way: from a node to its server, to the subscribers, and back to who asked.

use roomcast_protocol::{ErrorCode, ServerFrame};

use super::client::{Client, Wire, ack};
use super::node::Node;
use super::publisher::{Asker, Flight};
use super::redis::Refused;
use super::room_name;
use super::state::Change;
use super::stream::{Item, Push};
use super::world::World;

impl World {
    pub(super) fn submit(&mut self, node: usize, room: usize) {
        let id = self.truth.next_id();
        let change = Change::of(room, self.climate.keeps_state(), id);
        let item = Item { id, key: None, connection: None, echo: true, change };
        self.nodes[node].publishers[room].submit(item, None);
    }

    /// A node sends its next group, and the server does it.
    pub(super) fn execute(&mut self, node: usize, room: usize) -> bool {
        let Node { lane, publishers, run, .. } = &mut self.nodes[node];
        let (Some(server), Some(flight)) = (lane.link, publishers[room].next(*run)) else {
            return false;
        };
        flight.sent = Some(server);
        let result = self.redis.publish(server, room, &flight.group, &mut self.truth);
        match result {
            Ok((answer, push)) => {
                flight.answer = Some(answer);
                self.push(server, room, push);
            }
            Err(Refused::Away) => {}
            Err(Refused::Stale) => panic!("a node sends its groups in order"),
        }
        true
    }

    /// A server pushes what it did to its subscribers.
    fn push(&mut self, server: usize, room: usize, push: Option<Push>) {
        let Some(push) = push else { return };
        self.nodes.iter_mut().for_each(|node| node.lane.publish(server, room, &push));
    }

    /// The answer to a group arrives: acks.
    pub(super) fn answer(&mut self, node: usize, room: usize) -> bool {
        let flight = &mut self.nodes[node].publishers[room].flight;
        let Some(Flight { askers, answer: Some(answer), .. }) =
            flight.take_if(|flight| flight.answer.is_some())
        else {
            return false;
        };
        for (asker, at) in askers.into_iter().zip(answer) {
            self.tell_asker(asker, |id| ack(id, room_name(room), at));
        }
        true
    }

    /// Nobody knows what became of a group; perhaps it comes to the server later.
    pub(super) fn give_up(&mut self, node: usize, room: usize) {
        let Some(flight) = self.nodes[node].publishers[room].flight.take() else { return };
        if let Some(server) = flight.sent {
            self.late.push_back((server, room, flight.group));
        }
        for asker in flight.askers {
            self.tell_asker(asker, |id| ServerFrame::Error {
                id: Some(id),
                room: Some(room_name(room)),
                code: ErrorCode::PublishUnknown,
                message: "unknown".into(),
                retry_after_ms: None,
            });
        }
    }

    pub(super) fn arrive_late(&mut self) {
        let Some((server, room, group)) = self.late.pop_front() else { return };
        if let Ok((_, push)) = self.redis.publish(server, room, &group, &mut self.truth) {
            self.push(server, room, push);
        }
    }

    fn tell_asker(&mut self, asker: Asker, frame: impl FnOnce(u64) -> ServerFrame) {
        let Some((connection, id)) = asker else { return };
        let of_it = |client: &&Client| matches!(&client.wire, Wire::Up(up) if up.connection.id == connection);
        let Some(Client { wire: Wire::Up(up), .. }) = self.clients.iter().find(of_it) else {
            return;
        };
        up.connection.send(&frame(id));
        self.nodes[up.node].desks[up.worker].worker.write_soon(&up.connection);
    }

    /// A page arrives at a hub; one that gave up tells gaps that Redis has no reason for.
    pub(super) fn page(&mut self, node: usize, at: usize, fails: bool) -> bool {
        let gave_up = self.nodes[node].page(at, fails);
        self.truth.is_strict &= gave_up != Some(true);
        gave_up.is_some()
    }

    /// A read of state arrives at a hub; whether the hub is content with it.
    pub(super) fn state(&mut self, node: usize, at: usize, fails: bool) -> bool {
        self.nodes[node].state(at, fails)
    }

    /// A node removes the values that have an end.
    pub(super) fn end_values(&mut self, node: usize) {
        for (room, change) in self.nodes[node].ends() {
            let (id, change) = (self.truth.next_id(), Some(change));
            let item = Item { id, key: None, connection: None, echo: true, change };
            self.nodes[node].publishers[room].submit(item, None);
        }
    }

    pub(super) fn reply(&mut self, node: usize) -> bool {
        let feed = self.nodes[node].lane.answer(&mut self.redis, &mut self.truth);
        self.nodes[node].answer(&mut self.redis, &mut self.truth) || feed
    }
}
