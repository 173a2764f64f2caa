//! How the world comes to rest: everything that can moves, nothing fails any more, and in the end
//! everybody has what there is.

use std::collections::BTreeMap;
use std::time::Duration;

use roomcast_client::PublishFailure;
use roomcast_protocol::{Position, Seq};

use super::client::{Asked, Wire};
use super::step::Step;
use super::truth::Id;
use super::world::World;
use super::{ROOMS, room_name};

/// Rounds in which the world must have come to rest, and how long each takes. A client's longest
/// pause is 20 s.
const MAX_ROUNDS: usize = 40;
const ROUND: Duration = Duration::from_secs(2);
/// Moves of everything in one round: each reads one page at most.
const MAX_FLOWS: usize = 300;

impl World {
    /// Everything that can moves: `count` things at each place, `bytes` at each socket.
    pub(super) fn flow(&mut self, count: usize, bytes: usize) -> bool {
        let mut any = false;
        for node in 0..self.nodes.len() {
            for room in 0..ROOMS {
                any |= self.execute(node, room);
                any |= self.answer(node, room);
            }
            self.nodes[node].lane.subscribe();
            any |= self.nodes[node].lane.receive(count);
            any |= self.reply(node);
            let it = &mut self.nodes[node];
            any |= it.lane.read(0, false);
            any |= it.lane.compare(false);
            any |= self.page(node, 0, false);
            let it = &mut self.nodes[node];
            any |= it.state(0, false);
            any |= it.standing(0, false);
            any |= it.feed();
            any |= it.command(count);
            it.look_at_queues(false);
            for worker in 0..self.climate.workers {
                any |= self.take_in(node, worker, count);
                any |= self.turn(node, worker);
            }
        }
        for client in 0..self.clients.len() {
            any |= self.accept(client, client % self.climate.workers);
            any |= self.serve(client, count);
            any |= self.drain(client, bytes);
            any |= self.hear(client, count);
        }
        any
    }

    /// From now on nothing fails; everybody must come to the end.
    pub(super) fn heal(&mut self) {
        self.step(Step::StopOld);
        self.step(Step::Reap);
        // Sweeps are for what is lost in silence: everything else is found without them.
        if !self.comes_to_rest(false) {
            let is_leaky =
                self.truth.is_leaky || self.nodes.iter().any(|node| node.lane.is_leaky());
            assert!(is_leaky, "only a sweep would help: {}", self.unsettled(false));
        }
        self.truth.is_leaky = false;
        assert!(self.comes_to_rest(true), "no rest: {}", self.unsettled(true));
    }

    fn comes_to_rest(&mut self, sweeps: bool) -> bool {
        for _ in 0..MAX_ROUNDS {
            self.reconnect();
            if sweeps {
                self.nodes.iter_mut().for_each(|node| node.lane.tick());
            }
            for _ in 0..MAX_FLOWS {
                if !self.flow(100, 100_000) {
                    break;
                }
            }
            if self.has_settled(sweeps) {
                return true;
            }
            self.pass(ROUND);
        }
        false
    }

    fn has_settled(&self, sweeps: bool) -> bool {
        let quiet = self.nodes.iter().all(|node| {
            node.lane.is_quiet() && node.publishers.iter().all(|publisher| publisher.is_idle())
        });
        quiet
            && self.clients.iter().all(|client| client.is_quiet())
            && self.unsettled(sweeps).is_empty()
    }

    /// Who has not come to the end. A new epoch in which nothing was published, and a room that is
    /// lost and that nobody touched, are found by sweeps only.
    fn unsettled(&self, sweeps: bool) -> String {
        let mut all = String::new();
        for (index, client) in self.clients.iter().enumerate() {
            if !matches!(client.wire, Wire::Up(_)) {
                all += &format!("client {index} has no connection; ");
            }
            for (room, reader) in client.readers.iter().enumerate().filter(|(_, r)| r.wanted) {
                let end = self.redis.end(room);
                let reached = end.map_or(!sweeps, |end| {
                    let is_current = !sweeps || reader.at.is_some_and(|at| at.epoch == end.epoch);
                    is_current && reader.has_reached(end, client.own, &self.truth)
                });
                if !reached {
                    let name = room_name(room);
                    all +=
                        &format!("client {index} is at {:?} of {name}, not {end:?}; ", reader.at);
                }
            }
        }
        all
    }

    /// What must hold when the world is at rest.
    pub(super) fn check(&mut self) {
        for (index, client) in self.clients.iter_mut().enumerate() {
            assert_eq!(client.duplicates(), 0, "client {index} was told something twice");
            let readers = client.readers.iter_mut().enumerate();
            for (room, reader) in readers.filter(|(_, reader)| reader.wanted) {
                let end = self.redis.end(room).expect("it was reached");
                reader.check_known(end.epoch, &self.truth);
                reader.check_end(client.own, &self.truth);
            }
        }
        let stored: Vec<BTreeMap<Id, Vec<Seq>>> =
            (0..ROOMS).map(|room| self.stored(room)).collect();
        for asked in self.clients.iter().flat_map(|client| client.asked.values()) {
            let end = self.redis.end(asked.room);
            let seqs = stored[asked.room].get(&asked.id).map_or(&[][..], Vec::as_slice);
            self.check_outcome(asked, end, seqs);
        }
    }

    /// Where each message of a room stands in the end.
    fn stored(&self, room: usize) -> BTreeMap<Id, Vec<Seq>> {
        let mut all = BTreeMap::<Id, Vec<Seq>>::new();
        let Some(Position { epoch, seq: last }) = self.redis.end(room) else { return all };
        for seq in 1..=last {
            let id = self.truth.at(Position { epoch, seq }).expect("seqs have no holes");
            all.entry(id).or_default().push(seq);
        }
        all
    }

    /// P3: what was acked is there, unless Redis lost it; what was refused is not.
    fn check_outcome(&self, asked: &Asked, end: Option<Position>, seqs: &[Seq]) {
        let Asked { id, keyed, outcome, .. } = asked;
        assert!(!keyed || seqs.len() <= 1, "{id} has a key and is stored at {seqs:?}");
        match outcome.as_ref().expect("everything is answered") {
            Ok(ack) => {
                let at = ack.position;
                assert_eq!(self.truth.at(at), Some(*id), "the ack of {id}");
                // Else it was lost with a server.
                let is_kept =
                    end.is_some_and(|end| at.seq <= end.seq && self.truth.admits(end.epoch, at));
                assert!(!is_kept || seqs.contains(&at.seq), "{id} was acked and is gone");
            }
            Err(PublishFailure::Unknown) => {}
            Err(failure) => assert!(seqs.is_empty(), "{id} is stored, but: {failure}"),
        }
    }
}
