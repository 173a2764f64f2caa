//! A lane's subscribe connection, seen from the state: made, lost and made again, probed, and given
//! the rooms' commands. Only subscribe and unsubscribe commands are sent on it.

use roomcast_metrics::{BusConnection, RepairCause};
use tracing::{info, warn};

use super::events::{LaneAction, LaneMoment};
use super::lane::LaneState;
use super::subscriptions::{Confirmation, SubscriptionChange};
use crate::api::{FeedEvent, RoomFound};
use crate::circuit::Circuit;
use crate::payload::RoomPush;

/// (Un)subscribe commands under way at a time: a bound on how late the last confirmation is.
const MAX_COMMANDS: usize = 8;

impl LaneState {
    pub(super) fn connected(&mut self, at: &LaneMoment) {
        let lane = self.options.index;
        if self.generation > 0 {
            let rooms = self.subscriptions.count().0;
            info!(lane, rooms, "reconnected the subscriptions");
            self.metrics.reconnects[BusConnection::Subscribe].inc();
        }
        self.circuit = Circuit::Closed;
        self.connected = true;
        self.act(LaneAction::WatchPrimary(self.generation));
        self.send_probe(at);
    }

    pub(super) fn connect_failed(&mut self, at: &LaneMoment) {
        self.circuit = self.circuit.lost().failed();
        self.act(LaneAction::Connect(self.circuit.pause(at.dice)));
    }

    /// Gives the connection up and asks for a new one.
    pub(super) fn disconnect(&mut self, reason: &str, at: &LaneMoment) {
        if !std::mem::take(&mut self.connected) {
            return;
        }
        warn!(lane = self.options.index, reason, "lost the subscriptions");
        self.generation += 1;
        self.commanding = 0;
        self.circuit = self.circuit.lost();
        let rooms = &self.rooms;
        let active = |room: &_| rooms.get(room).map(|room| room.active);
        self.subscriptions.reset(at.now, active);
        self.tail_checks.reset();
        self.probe.reset();
        // An answer from before the loss does not have what is pushed until the resubscription.
        self.rooms.values_mut().for_each(|room| room.ticket = None);
        self.act(LaneAction::Disconnect);
        self.act(LaneAction::Connect(self.circuit.pause(at.dice)));
    }

    /// Sends the (un)subscribe commands that the rooms ask for.
    pub(super) fn send_commands(&mut self) {
        while self.connected
            && self.commanding < MAX_COMMANDS
            && let Some((change, rooms)) = self.subscriptions.next_command()
        {
            self.commanding += 1;
            self.act(LaneAction::Command { generation: self.generation, change, rooms });
        }
    }

    pub(super) fn commanded(
        &mut self,
        generation: u64,
        result: Result<(), String>,
        at: &LaneMoment,
    ) {
        if generation != self.generation {
            return;
        }
        self.commanding -= 1;
        if let Err(reason) = result {
            self.disconnect(&reason, at);
        }
    }

    pub(super) fn elsewhere(&mut self, generation: u64, rooms: &[roomcast_protocol::RoomName]) {
        if generation != self.generation {
            return;
        }
        self.commanding -= 1;
        self.subscriptions.again(rooms);
        self.act(LaneAction::DoubtMap);
    }

    pub(super) fn pushed(&mut self, channel: &[u8], push: RoomPush, at: &LaneMoment) {
        let Some(name) = self.channels.get(channel).cloned() else { return };
        let Some(room) = self.rooms.get_mut(&name) else { return };
        room.active = at.now;
        let (epoch, messages) = match push {
            RoomPush::Messages(epoch, messages) => (epoch, messages),
            RoomPush::Receipts(news) => {
                // Before the room is open its readers learn nothing of it.
                if room.order.is_open() {
                    self.deliver(&name, vec![FeedEvent::Receipts(news)], RoomFound::Known, at);
                }
                return;
            }
            RoomPush::Ephemeral(ephemeral) => {
                let events = vec![FeedEvent::Ephemeral(ephemeral)];
                let session = room.session;
                return self.act(LaneAction::Deliver(name, session, events));
            }
            RoomPush::Presence(push) => return self.presence_pushed(&name, push),
            RoomPush::Ignored => return self.metrics.pushes_ignored.inc(),
            RoomPush::Unreadable => {
                if self.unreadable_log.is_time() {
                    warn!(room = %name, "a push that no node of this version writes");
                }
                return self.lost(&name, RepairCause::Hole, at);
            }
        };
        self.metrics.duplicates.inc_by(room.order.known(epoch, &messages));
        let mut events = Vec::new();
        let was_waiting = room.order.need().is_some();
        room.order.pushed(epoch, messages, &mut events);
        if !was_waiting && room.order.need().is_some() {
            self.metrics.holes.inc();
        }
        self.deliver(&name, events, RoomFound::Known, at);
        self.ask(&name, at);
    }

    pub(super) fn confirmed(
        &mut self,
        channel: &[u8],
        change: SubscriptionChange,
        at: &LaneMoment,
    ) {
        let Some(room) = self.channels.get(channel).cloned() else { return };
        match self.subscriptions.confirm(&room, change, at.now) {
            Confirmation::Comes => {}
            Confirmation::Ended => return self.act(LaneAction::DoubtMap),
            Confirmation::Nothing => return,
        }
        self.doubt_presence(&room);
        let Some(state) = self.rooms.get(&room) else { return };
        if state.order.need().is_none() {
            self.tail_checks.resubscribed(room);
        } else {
            self.ask(&room, at);
        }
    }

    /// What happens every second.
    pub(super) fn tick(&mut self, at: &LaneMoment) {
        if self.probe.is_dead() {
            self.disconnect("probes do not come back", at);
        }
        self.send_probe(at);
        self.sweep(at);
        self.tick_presence(at);
        let (wanted, confirmed) = self.subscriptions.count();
        // The gauges are the sums over the lanes.
        let metrics = &self.metrics;
        metrics.subscriptions_wanted.add(wanted as i64 - self.shown.0 as i64);
        metrics.subscriptions_confirmed.add(confirmed as i64 - self.shown.1 as i64);
        self.shown = (wanted, confirmed);
        if self.channels.len() > wanted {
            let subscriptions = &self.subscriptions;
            self.channels.retain(|_, room| subscriptions.knows(room));
        }
        if self.resets > 0 {
            info!(rooms = std::mem::take(&mut self.resets), "rooms went on in a new epoch");
        }
        if self.repaired > 0 && self.standings.is_idle() && self.ranges.is_idle() {
            info!(rooms = std::mem::take(&mut self.repaired), "repaired rooms");
        }
    }

    fn send_probe(&mut self, at: &LaneMoment) {
        if self.connected && at.life.is_some() {
            let (generation, number) = (self.generation, self.probe.send(at.now));
            self.act(LaneAction::Probe { generation, number });
        }
    }

    pub(super) fn probe_returned(&mut self, number: u64, at: &LaneMoment) {
        let (sent_at, suspects) = self.probe.returned(number);
        self.settle_presence(number);
        if let Some(sent_at) = sent_at {
            self.metrics.probe.observe(at.now.duration_since(sent_at).as_secs_f64());
        }
        for suspect in suspects {
            if let Some(room) = self.rooms.get_mut(&suspect.room) {
                room.order.checked(suspect.epoch, suspect.seq, RepairCause::Tail);
                self.ask(&suspect.room, at);
            }
        }
    }
}
