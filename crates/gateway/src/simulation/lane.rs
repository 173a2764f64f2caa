//! The model of a node's lane: its subscribe connection and its subscriptions, around the real
//! `Order` of each room. It does what `bus/feed/lane.rs` does, one step at a time; its reads stand in
//! `reading`.

use std::collections::VecDeque;
use std::sync::Arc;

use roomcast_bus::simulation::Order;
use roomcast_bus::{FeedEvent, RoomEvent};
use roomcast_metrics::RepairCause;
use roomcast_protocol::{Epoch, Message, Seq};

use super::reading::{Check, Read};
use super::redis::Redis;
use super::stream::Push;
use super::{ROOMS, room_name};

/// What comes on a subscribe connection.
#[derive(Debug, Clone)]
pub(super) enum Arrival {
    Message(usize, Epoch, Vec<Arc<Message>>),
    Confirmed(usize, Change),
    Probe(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Subscribe,
    Unsubscribe,
}

/// A subscribe connection, its server's end included.
#[derive(Debug)]
pub(super) struct Listening {
    pub(super) server: usize,
    commands: VecDeque<(usize, Change)>,
    subscribed: [bool; ROOMS],
    pub(super) queue: VecDeque<Arrival>,
}

/// A room's subscription as the lane sees it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Subscription {
    wanted: bool,
    pub(super) confirmed: bool,
    sent: Option<Change>,
    outstanding: u32,
}

#[derive(Debug)]
pub(super) struct Slot {
    pub(super) order: Order,
    pub(super) ticket: Option<u64>,
}

/// A lane, and where it puts what it tells.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// The server that commands and reads go to.
    pub(super) link: Option<usize>,
    pub(super) listening: Option<Listening>,
    pub(super) generation: u64,
    pub(super) slots: [Option<Slot>; ROOMS],
    pub(super) subscriptions: [Subscription; ROOMS],
    pub(super) reads: VecDeque<Read>,
    pub(super) checks: VecDeque<Check>,
    pub(super) tickets: u64,
    pub(super) probes: u64,
    pub(super) silent: u64,
    pub(super) suspects: Vec<(u64, usize, Epoch, Seq)>,
    /// Per room: subscribed, and the server that it listens to has not said where the room stands.
    pub(super) is_unsure: [bool; ROOMS],
    /// What the hub has not taken.
    told: Vec<RoomEvent>,
}

impl Lane {
    /// Whether what a room was told before its subscription is left to a sweep: it was another
    /// server that said where the room stands.
    pub(super) fn is_leaky(&self) -> bool {
        (0..ROOMS).any(|room| self.is_open(room) && self.is_unsure[room])
    }

    pub(super) fn is_open(&self, room: usize) -> bool {
        self.slots[room].is_some()
    }

    /// Begins to listen to a room.
    pub(super) fn open(&mut self, room: usize) {
        self.slots[room] = Some(Slot { order: Order::new(), ticket: None });
        let subscription = &mut self.subscriptions[room];
        let Subscription { sent, outstanding, .. } = *subscription;
        subscription.wanted = true;
        subscription.confirmed = sent == Some(Change::Subscribe) && outstanding == 0;
        self.send_commands();
        self.ask(room);
    }

    /// Stops listening to it, and forgets what it had to tell.
    pub(super) fn close(&mut self, room: usize) {
        self.slots[room] = None;
        self.subscriptions[room].wanted = false;
        self.subscriptions[room].confirmed = false;
        self.told.retain(|event| event.room != room_name(room));
        self.send_commands();
    }

    /// Makes a subscribe connection to the primary, if there is none.
    pub(super) fn listen(&mut self, redis: &Redis) {
        let server = redis.primary();
        if self.listening.is_some() || !redis.is_alive(server) {
            return;
        }
        let (commands, queue) = (VecDeque::new(), VecDeque::new());
        let subscribed = [false; ROOMS];
        self.listening = Some(Listening { server, commands, subscribed, queue });
        self.send_commands();
    }

    /// The subscribe connection is lost with all that stood in it.
    pub(super) fn deafen(&mut self) {
        if self.listening.take().is_none() {
            return;
        }
        self.generation += 1;
        self.silent = 0;
        self.suspects.clear();
        for subscription in &mut self.subscriptions {
            *subscription = Subscription { wanted: subscription.wanted, ..Subscription::default() };
        }
        self.slots.iter_mut().flatten().for_each(|slot| slot.ticket = None);
    }

    /// Drops what goes to servers that are gone.
    pub(super) fn notice_deaths(&mut self, redis: &Redis) {
        if self.link.is_some_and(|server| !redis.is_alive(server)) {
            self.link = None;
        }
        if self.listening.as_ref().is_some_and(|feed| !redis.is_alive(feed.server)) {
            self.deafen();
        }
    }

    fn send_commands(&mut self) {
        let Some(feed) = &mut self.listening else { return };
        for (room, subscription) in self.subscriptions.iter_mut().enumerate() {
            let is_on = subscription.sent == Some(Change::Subscribe);
            let change = match (subscription.wanted, is_on) {
                (true, false) => Change::Subscribe,
                (false, true) => Change::Unsubscribe,
                _ => continue,
            };
            subscription.sent = Some(change);
            subscription.outstanding += 1;
            feed.commands.push_back((room, change));
        }
    }

    /// The server takes the (un)subscribe commands.
    pub(super) fn subscribe(&mut self) {
        let Some(feed) = &mut self.listening else { return };
        for (room, change) in feed.commands.drain(..) {
            feed.subscribed[room] = change == Change::Subscribe;
            feed.queue.push_back(Arrival::Confirmed(room, change));
        }
    }

    /// A server pushes to its subscribers.
    pub(super) fn publish(&mut self, server: usize, room: usize, (epoch, messages): &Push) {
        let Some(feed) = &mut self.listening else { return };
        if feed.server == server && feed.subscribed[room] {
            feed.queue.push_back(Arrival::Message(room, *epoch, messages.clone()));
        }
    }

    /// The next `count` things arrive.
    pub(super) fn receive(&mut self, count: usize) -> bool {
        let mut any = false;
        for _ in 0..count {
            let Some(arrival) = self.listening.as_mut().and_then(|feed| feed.queue.pop_front())
            else {
                break;
            };
            any = true;
            self.arrived(arrival);
        }
        any
    }

    /// A push arrives twice, or not at all.
    pub(super) fn garble(&mut self, at: usize, twice: bool) -> bool {
        let Some(feed) = &mut self.listening else { return false };
        let Some(arrival) = feed.queue.get(at) else { return false };
        if !matches!(arrival, Arrival::Message(..)) {
            return false;
        }
        if twice {
            let again = arrival.clone();
            feed.queue.insert(at, again);
        } else {
            feed.queue.remove(at);
        }
        true
    }

    /// Everything arrives but a room's pushes, of which only the first few had space.
    pub(super) fn overflow(&mut self, room: usize, kept: usize) {
        let Some(feed) = &mut self.listening else { return };
        let (mut seen, mut lost) = (0, false);
        feed.queue.retain(|arrival| {
            let is_its = matches!(arrival, Arrival::Message(of, ..) if *of == room);
            seen += usize::from(is_its);
            lost |= is_its && seen > kept;
            !is_its || seen <= kept
        });
        self.receive(usize::MAX);
        if lost {
            self.lost(room, RepairCause::Overflow);
        }
    }

    fn arrived(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Message(room, epoch, messages) => {
                let Some(slot) = &mut self.slots[room] else { return };
                let mut events = Vec::new();
                slot.order.pushed(epoch, messages, &mut events);
                self.tell(room, events);
                self.ask(room);
            }
            Arrival::Confirmed(room, change) => self.confirmed(room, change),
            Arrival::Probe(number) => {
                self.silent = 0;
                let due: Vec<_> =
                    self.suspects.extract_if(.., |(first, ..)| *first <= number).collect();
                for (_, room, epoch, seq) in due {
                    if let Some(slot) = &mut self.slots[room] {
                        slot.order.checked(epoch, seq, RepairCause::Tail);
                        self.ask(room);
                    }
                }
            }
        }
    }

    fn confirmed(&mut self, room: usize, change: Change) {
        let subscription = &mut self.subscriptions[room];
        subscription.outstanding = subscription.outstanding.saturating_sub(1);
        if subscription.outstanding > 0 || subscription.sent != Some(change) {
            return;
        }
        if !subscription.wanted || change != Change::Subscribe || subscription.confirmed {
            return;
        }
        subscription.confirmed = true;
        self.is_unsure[room] = true;
        let Some(slot) = &self.slots[room] else { return };
        if slot.order.need().is_some() {
            self.ask(room);
        } else if let Some(server) = self.link {
            self.compare_with(server, room, RepairCause::Resubscribe);
        } else {
            self.lost(room, RepairCause::Resubscribe);
        }
    }

    pub(super) fn tell(&mut self, room: usize, events: Vec<FeedEvent>) {
        for event in events {
            let name = room_name(room);
            match (event, self.told.last_mut()) {
                (
                    FeedEvent::Messages(more),
                    Some(RoomEvent { room, event: FeedEvent::Messages(messages) }),
                ) if *room == name => messages.extend(more),
                (event, _) => self.told.push(RoomEvent { room: name, event }),
            }
        }
    }

    /// What the hub takes now.
    pub(super) fn take(&mut self) -> Vec<RoomEvent> {
        std::mem::take(&mut self.told)
    }

    /// Whether nothing is under way.
    pub(super) fn is_quiet(&self) -> bool {
        let waits = |slot: &Slot| slot.order.need().is_some();
        let heard = self.listening.as_ref().is_none_or(|feed| feed.queue.is_empty());
        heard && self.told.is_empty() && !self.slots.iter().flatten().any(waits)
    }
}
