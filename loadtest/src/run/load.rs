//! The clients of one load process: members that receive and publishers that send by the clock, on
//! one epoll. It is driven in turns by `worker`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::account::{Account, Tally};
use super::agenda::Agenda;
use super::clock::Clock;
use super::delays::Delays;
use super::line::Line;
use super::member::LoadMember;
use super::publisher::{Press, Publisher};
use super::talk::{Found, Outage, Share};
use crate::engine::{Engine, EngineBatch, Wait, What};
use crate::pace::Pace;
use crate::random::Random;

mod come;
mod hear;
mod plan;

/// Connections under way at once where no storm says otherwise.
const AT_ONCE: usize = 64;
/// `SO_RCVBUF` of a member that will stop reading: small, and the same for all peers.
const SLOW_BUFFER: usize = 8 << 10;
/// Different reasons for ended connections that are kept.
const REASONS: usize = 20;
/// Names of nodes that are kept.
const NODES: usize = 64;

/// What a client is for.
enum Role {
    Member(Box<LoadMember>),
    Publisher(Publisher),
}

/// One client.
struct Client {
    line: Line,
    role: Role,
}

/// Sums of a second, or of all.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) sent: u64,
    pub(super) received: u64,
}

/// All clients of this process.
pub(super) struct Load {
    share: Share,
    press: Press,
    pub(super) clock: Clock,
    engine: Engine,
    batch: EngineBatch,
    random: Random,
    agenda: Agenda,
    /// Members first, then publishers.
    clients: Vec<Client>,
    members: usize,
    /// The client of each link, by its id.
    owners: Vec<Option<usize>>,
    /// Clients whose moment has come while too many were under way.
    queue: VecDeque<usize>,
    under_way: usize,
    at_once: usize,
    /// Members that are live.
    live: usize,
    /// The fewest that were since that was last asked.
    fewest: usize,
    /// Clients that are live, publishers too.
    pub(super) here: usize,
    pace: Option<Pace>,
    published: u64,
    /// Messages of each stream that went from here.
    pub(super) sent: Vec<u32>,
    pub(super) counts: Counts,
    /// Delays and rates count messages that were to go from here on, in ns.
    count_from: u64,
    count_until: u64,
    delays: Delays,
    connects: Delays,
    lateness: Delays,
    /// When a message came last.
    pub(super) last_receipt: Instant,
    outages: Vec<Outage>,
    counted: u64,
    repeats: u64,
    ends: BTreeMap<String, u64>,
    /// What nodes called themselves.
    nodes: BTreeSet<String>,
}

impl Load {
    /// The clients of a share; none is connected yet.
    pub(super) fn new(share: Share) -> Result<Self> {
        let scenario = &share.scenario;
        let rooms = scenario.rooms;
        let (first_room, payload) = (share.first_room, scenario.payload);
        let press = Press { peer: share.peer, first_room, rooms, payload };
        let mut clients = Vec::new();
        for client in (share.number..scenario.clients).step_by(share.of) {
            let room = client % rooms;
            let from_start = !scenario.is_late(client);
            let account = Account::new(scenario.streams_of(room), from_start);
            let mut member = Box::new(LoadMember::new(room, account));
            member.slow = scenario.is_slow(client);
            let line = Line::new(scenario.node_of(client, share.addrs.len()));
            clients.push(Client { line, role: Role::Member(member) });
        }
        let members = clients.len();
        let streams = scenario.streams();
        let publishers = share.peer.publishers(scenario);
        // The node that will be killed has none.
        let nodes = share.addrs.len() - usize::from(scenario.kill.is_some());
        for publisher in (share.number..publishers).step_by(share.of) {
            let own = (publisher..streams).step_by(publishers).collect();
            let line = Line::new(publisher % nodes);
            clients.push(Client { line, role: Role::Publisher(Publisher::new(own)) });
        }
        Ok(Self {
            press,
            clock: Clock::new(),
            engine: Engine::new(&Arc::new(share.door.clone()))?,
            batch: EngineBatch::default(),
            random: Random::new(share.number as u64 + 1),
            agenda: Agenda::default(),
            clients,
            members,
            owners: Vec::new(),
            queue: VecDeque::new(),
            under_way: 0,
            at_once: AT_ONCE,
            live: 0,
            fewest: 0,
            here: 0,
            pace: None,
            published: 0,
            sent: vec![0; streams],
            counts: Counts::default(),
            count_from: u64::MAX,
            count_until: u64::MAX,
            delays: Delays::new()?,
            connects: Delays::new()?,
            lateness: Delays::new()?,
            last_receipt: Instant::now(),
            outages: Vec::new(),
            counted: 0,
            repeats: 0,
            ends: BTreeMap::new(),
            nodes: BTreeSet::new(),
            share,
        })
    }

    /// Links that it will hold.
    pub(super) fn links(&self) -> usize {
        self.clients.len()
    }

    /// One turn: what is due, then what came. Sleeps at most so long.
    pub(super) fn turn(&mut self, longest: Duration) -> Result<()> {
        self.publish_due()?;
        self.perform_due()?;
        let now = Instant::now();
        let mut rest = longest;
        if let Some(pace) = self.pace.filter(|pace| !pace.is_over()) {
            rest = rest.min(pace.rest(now));
        }
        if let Some(next) = self.agenda.next() {
            rest = rest.min(next.saturating_duration_since(now));
        }
        self.engine.turn(Wait::precisely(rest), &mut self.batch)?;
        let batch = std::mem::take(&mut self.batch);
        for arrival in &batch.arrivals {
            let Some(client) = self.owners.get(arrival.link).copied().flatten() else { continue };
            if self.clients[client].line.link != Some(arrival.link) {
                continue;
            }
            match &arrival.what {
                What::Upgraded => self.upgraded(client)?,
                What::Frame { payload, .. } => {
                    self.heard(client, &batch.bytes[payload.clone()], arrival.at)?;
                }
                What::Ended(why) => {
                    self.note_end(why);
                    self.lost(client, arrival.at);
                }
                What::Counted { .. } => {}
            }
        }
        self.batch = batch;
        Ok(())
    }

    fn publish_due(&mut self) -> Result<()> {
        let Some(mut pace) = self.pace else { return Ok(()) };
        while let Some(intended) = pace.due(Instant::now()) {
            let publishers = self.clients.len() - self.members;
            let number = self.members + self.published as usize % publishers;
            // Unique in the run, and ascending.
            let id = self.published * self.share.of as u64 + self.share.number as u64 + 1;
            self.published += 1;
            self.counts.sent += 1;
            let Role::Publisher(publisher) = &mut self.clients[number].role else { continue };
            let stream = publisher.next_stream();
            self.sent[stream] += 1;
            let intended = self.clock.nanos(intended);
            let stamp = super::stamp::Stamp { stream, number: self.sent[stream], intended };
            publisher.push(id, stamp);
            if intended >= self.count_from {
                let now = self.clock.nanos(Instant::now());
                self.lateness.record(now.saturating_sub(intended));
            }
            self.send(number, id)?;
        }
        self.pace = Some(pace);
        Ok(())
    }

    /// Whether all is published, and acknowledged where it is to be.
    pub(super) fn is_published(&self) -> bool {
        self.is_due_over() && self.backlog() == 0
    }

    /// Whether the last message was due.
    pub(super) fn is_due_over(&self) -> bool {
        self.pace.is_none_or(|pace| pace.is_over())
    }

    /// How long members may take for the rest once all is published.
    pub(super) fn settle_within(&self) -> Duration {
        Duration::from_secs_f64(self.share.scenario.settle)
    }

    /// The fewest members that were live since this was last asked.
    pub(super) fn take_fewest(&mut self) -> usize {
        std::mem::replace(&mut self.fewest, self.live)
    }

    fn backlog(&self) -> usize {
        let backlog = |client: &Client| match &client.role {
            Role::Publisher(publisher) => publisher.backlog(),
            Role::Member(_) => 0,
        };
        self.clients[self.members..].iter().map(backlog).sum()
    }

    /// Whether every member has all that was sent, or knows of what it lacks.
    pub(super) fn is_settled(&self, sent: &[u32]) -> bool {
        self.members().all(|member| member.account.is_settled(|it| self.sent_of(sent, member, it)))
    }

    fn sent_of(&self, sent: &[u32], member: &LoadMember, stream: usize) -> u32 {
        sent.get(member.room + stream * self.press.rooms).copied().unwrap_or_default()
    }

    fn members(&self) -> impl Iterator<Item = &LoadMember> {
        self.clients.iter().filter_map(|client| match &client.role {
            Role::Member(member) => Some(&**member),
            Role::Publisher(_) => None,
        })
    }

    /// All that it found, if so many messages were sent of each stream.
    pub(super) fn close(&mut self, sent: &[u32]) -> Found {
        let mut tally = Tally::default();
        for member in self.members() {
            tally.add(&member.account.close(|stream| self.sent_of(sent, member, stream)));
        }
        let unfinished: Vec<Outage> = self.members().filter_map(LoadMember::unfinished).collect();
        self.outages.extend(unfinished);
        Found {
            tally,
            delays: self.delays.pack(),
            connects: self.connects.pack(),
            lateness: self.lateness.pack(),
            counted: self.counted,
            outages: std::mem::take(&mut self.outages),
            repeats: self.repeats,
            unacknowledged: self.backlog() as u64,
            ends: std::mem::take(&mut self.ends).into_iter().collect(),
            nodes: std::mem::take(&mut self.nodes),
            cpu_seconds: 0.0,
        }
    }

    /// A node said its name, as it does in each greeting.
    fn note_node(&mut self, name: Option<String>) {
        let Some(name) = name else { return };
        if self.nodes.len() < NODES {
            self.nodes.insert(name);
        }
    }

    fn note_end(&mut self, why: &str) {
        if self.ends.len() < REASONS || self.ends.contains_key(why) {
            *self.ends.entry(why.to_owned()).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests;
