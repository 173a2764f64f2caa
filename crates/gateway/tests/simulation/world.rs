//! The world: servers, nodes and clients, and what each step does to them. One thread, no clock of
//! its own, no task: the same schedule always goes the same way.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use roomcast_metrics::Metrics;

use super::client::{Client, Up, Wire};
use super::node::Node;
use super::publisher::Flight;
use super::redis::Redis;
use super::step::Step;
use super::stream::Group;
use super::truth::Truth;
use super::{Climate, ROOMS};
use crate::connection::Connection;
use crate::settings::Settings;

pub(super) struct World {
    pub(super) climate: Climate,
    pub(super) redis: Redis,
    pub(super) truth: Truth,
    pub(super) nodes: Vec<Node>,
    pub(super) clients: Vec<Client>,
    /// Connections whose clients are gone and whose nodes do not know it.
    pub(super) ghosts: Vec<Up>,
    /// Groups that were given up and may still come to their server.
    pub(super) late: VecDeque<(usize, usize, Group)>,
    runs: u64,
    pub(super) connections: u64,
    settings: Arc<Settings>,
    metrics: Metrics,
}

impl World {
    pub(super) fn new(climate: Climate, settings: Arc<Settings>, metrics: &Metrics) -> Self {
        let mut world = Self {
            climate,
            redis: Redis::new(climate),
            truth: Truth::new(!climate.conflate),
            nodes: Vec::new(),
            clients: Vec::new(),
            ghosts: Vec::new(),
            late: VecDeque::new(),
            runs: 0,
            connections: 0,
            settings,
            metrics: metrics.clone(),
        };
        for _ in 0..climate.nodes {
            let node = world.start();
            world.nodes.push(node);
        }
        for index in 0..climate.clients {
            world.clients.push(Client::new(index, climate, &world.truth));
        }
        world
    }

    fn start(&mut self) -> Node {
        self.runs += 1;
        let mut node = Node::new(self.runs, self.climate, self.settings.clone(), &self.metrics);
        node.lane.connect(&self.redis);
        node.lane.listen(&self.redis);
        node
    }

    /// Does one step.
    pub(super) fn step(&mut self, step: Step) {
        let Climate { nodes, workers, clients, .. } = self.climate;
        let n = |node: u8| node as usize % nodes;
        let r = |room: u8| room as usize % ROOMS;
        let c = |client: u8| client as usize % clients;
        let w = |worker: u8| worker as usize % workers;
        match step {
            Step::Publish(node, room, count) => {
                (0..count).for_each(|_| self.submit(n(node), r(room)));
            }
            Step::Ask(client, room, how) => {
                let how = (how & 1 != 0, how & 2 == 0);
                let climate = self.climate;
                self.clients[c(client)].publish(r(room), how, climate, &mut self.truth);
            }
            Step::Execute(node, room) => drop(self.execute(n(node), r(room))),
            Step::Answer(node, room) => drop(self.answer(n(node), r(room))),
            Step::LoseAnswer(node, room) => {
                if let Some(flight) = &mut self.nodes[n(node)].publishers[r(room)].flight {
                    flight.answer = None;
                }
            }
            Step::GiveUp(node, room) => self.give_up(n(node), r(room)),
            Step::Late => self.arrive_late(),
            Step::FailOver(lost) => {
                self.truth.is_calm = false;
                self.redis.fail_over(lost.into());
                self.notice_deaths();
            }
            Step::StopOld => {
                self.redis.stop_all_but(1);
                self.notice_deaths();
            }
            Step::Wipe => {
                self.truth.is_calm = false;
                self.redis.wipe();
                self.notice_deaths();
            }
            Step::Trim(room, count) => self.redis.trim(r(room), count.into(), &mut self.truth),
            Step::Unlink(node) => self.nodes[n(node)].lane.link = None,
            Step::Link(node) => self.nodes[n(node)].lane.connect(&self.redis),
            Step::Deafen(node) => self.nodes[n(node)].lane.deafen(),
            Step::Listen(node) => self.nodes[n(node)].lane.listen(&self.redis),
            Step::Subscribe(node) => self.nodes[n(node)].lane.subscribe(),
            Step::Receive(node, count) => {
                self.nodes[n(node)].lane.receive(count.into());
            }
            Step::Garble(node, at, how) => {
                let twice = how == 1;
                self.truth.is_leaky |= self.nodes[n(node)].lane.garble(at.into(), twice) && !twice;
            }
            Step::Overflow(node, room, kept) => {
                self.nodes[n(node)].lane.overflow(r(room), kept.into());
            }
            Step::Reply(node) => drop(self.reply(n(node))),
            Step::Read(node, at, how) => drop(self.nodes[n(node)].lane.read(at.into(), how == 1)),
            Step::Compare(node, how) => drop(self.nodes[n(node)].lane.compare(how == 1)),
            Step::Tick(node) => self.nodes[n(node)].lane.tick(),
            Step::Feed(node) => drop(self.nodes[n(node)].feed()),
            Step::Command(node, count) => drop(self.nodes[n(node)].command(count.into())),
            Step::Upkeep(node, late) => self.nodes[n(node)].look_at_queues(late == 1),
            Step::Expire(node, room, age) => {
                let oldest = self.redis.clock().saturating_sub(age.into());
                self.nodes[n(node)].expire(r(room), oldest);
            }
            Step::Close(node) => self.nodes[n(node)].close_idle(),
            Step::Page(node, at, how) => drop(self.page(n(node), at.into(), how == 1)),
            Step::State(node, at, how) => drop(self.state(n(node), at.into(), how == 1)),
            Step::End(node) => self.end_values(n(node)),
            Step::Standing(node, at, how) => {
                self.nodes[n(node)].standing(at.into(), how == 1);
            }
            Step::TakeIn(node, worker, count) => {
                self.take_in(n(node), w(worker), count.into());
            }
            Step::Turn(node, worker) => drop(self.turn(n(node), w(worker))),
            Step::Refuse(node, worker) => self.nodes[n(node)].refuse_late(w(worker)),
            Step::Accept(client, worker) => drop(self.accept(c(client), w(worker))),
            Step::Serve(client, count) => drop(self.serve(c(client), count.into())),
            Step::Drain(client, bytes) => drop(self.drain(c(client), bytes.into())),
            Step::Hear(client, count) => drop(self.hear(c(client), count.into())),
            Step::Cut(client, how) => {
                self.clients[c(client)].lost(None, &self.truth);
                self.after_client(c(client), how == 1);
            }
            Step::Reap => {
                for ghost in std::mem::take(&mut self.ghosts) {
                    self.bury(ghost);
                }
            }
            Step::Join(client, room, since, history) => {
                self.join(c(client), r(room), since.into(), history.into());
            }
            Step::Leave(client, room) => self.clients[c(client)].leave(r(room), &self.truth),
            Step::Pass(time) => self.pass(Duration::from_millis(100) * time.into()),
            Step::Hint(client, time) => self.hint(c(client), u64::from(time) * 100),
            Step::Crash(node) => self.crash(n(node)),
            Step::Rest => self.heal(),
            Step::Flow(rounds) => {
                for _ in 0..rounds {
                    self.reconnect();
                    self.flow(3, 300);
                }
                self.pass(Duration::from_millis(300));
            }
        }
    }

    /// Nodes whose links are lost have them again.
    pub(super) fn reconnect(&mut self) {
        for node in &mut self.nodes {
            node.lane.connect(&self.redis);
            node.lane.listen(&self.redis);
        }
    }

    fn notice_deaths(&mut self) {
        let redis = &self.redis;
        self.nodes.iter_mut().for_each(|node| node.lane.notice_deaths(redis));
    }

    /// A worker takes up to `count` events of the hub.
    pub(super) fn take_in(&mut self, node: usize, worker: usize, count: usize) -> bool {
        let mut any = false;
        for _ in 0..count {
            let here: Vec<(Rc<Connection>, bool)> = (self.clients.iter())
                .filter_map(|client| client.wire.up().map(|up| (up.node, up.worker, up)))
                .filter(|&(at, of, _)| (at, of) == (node, worker))
                .map(|(_, _, up)| &up.connection)
                .map(|it| (it.clone(), self.nodes[node].has_written_all(worker, it)))
                .collect();
            if !self.nodes[node].take_in(worker) {
                break;
            }
            any = true;
            for (connection, had_all) in here {
                // P6: only its own lag makes a member slow.
                assert!(connection.is_open() || !had_all, "{connection} had everything");
            }
        }
        any
    }

    pub(super) fn turn(&mut self, node: usize, worker: usize) -> bool {
        let any = self.nodes[node].desks[worker].worker.turn();
        self.nodes[node].after_worker(worker);
        any
    }

    /// All connections of a node end.
    fn empty(&mut self, node: usize) {
        for client in 0..self.clients.len() {
            if matches!(&self.clients[client].wire, Wire::Up(up) if up.node == node) {
                self.clients[client].lost(None, &self.truth);
                self.after_client(client, false);
            }
        }
        let (dead, others) =
            std::mem::take(&mut self.ghosts).into_iter().partition(|ghost| ghost.node == node);
        self.ghosts = others;
        Vec::into_iter(dead).for_each(|ghost| self.bury(ghost));
    }

    /// A node dies with all it has, and another begins in its place.
    fn crash(&mut self, node: usize) {
        self.empty(node);
        for (room, publisher) in self.nodes[node].publishers.iter_mut().enumerate() {
            if let Some(Flight { sent: Some(server), group, .. }) = publisher.flight.take() {
                self.late.push_back((server, room, group));
            }
        }
        self.nodes[node] = self.start();
    }

    /// Ends every connection, after which the nodes hold nothing.
    pub(super) fn end(&mut self) {
        for node in 0..self.nodes.len() {
            self.empty(node);
            self.nodes[node].wind_down();
        }
    }
}
