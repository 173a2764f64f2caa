//! A lane's subscribe connection: made, made again for ever, probed, and asked for what the rooms
//! want. Nothing but (un)subscribe commands goes out on it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Value};
use roomcast_metrics::{BusCommand, BusConnection, RepairCause};
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::inbox::{Inbox, Push};
use super::lane::{Connection, Done, Lane};
use super::subscriptions::{Change, Dialect, Verdict};
use crate::redis::circuit::Circuit;
use crate::redis::payload;
use crate::redis::reads::Found;
use crate::redis::server;

/// (Un)subscribe commands under way at a time, so that the last is not late for the many.
const MAX_COMMANDS: usize = 8;
/// All of a command's confirmations come within this, even from a busy server.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(3);
/// Before a room is asked for again that the server said is elsewhere.
const AGAIN: Duration = Duration::from_millis(50);

impl Lane {
    /// Begins to connect, after the pause that earlier failures ask for.
    pub(super) fn connect(&mut self) {
        let pause = self.circuit.pause(rand::random());
        let link = self.tools.link.clone();
        let probe_channel = self.probe_channel.clone();
        self.work.push(Box::pin(async move {
            sleep(pause).await;
            let inbox = Arc::new(Inbox::default());
            let driver = inbox.clone();
            let connected = async {
                // Where the commands go, and nowhere else: a probe must come back.
                let at = link.some_day().await.at;
                let mut sender = server::connect(&at, move |info| driver.put(info)).await?;
                sender.set_response_timeout(CONFIRM_TIMEOUT);
                sender.subscribe(&probe_channel).await?;
                Ok(Connection { sender, inbox, at })
            };
            Done::Connected(connected.await)
        }));
    }

    pub(super) fn connected(&mut self, result: RedisResult<Connection>) {
        match result {
            Ok(connection) => {
                if self.generation > 0 {
                    let rooms = self.subscriptions.count().0;
                    info!(lane = self.index, rooms, "reconnected the subscriptions");
                    self.tools.metrics.reconnects[BusConnection::Subscribe].inc();
                }
                self.circuit = Circuit::Closed;
                let (link, at) = (self.tools.link.clone(), connection.at.clone());
                let generation = self.generation;
                self.work.push(Box::pin(async move {
                    link.leaves(&at).await;
                    Done::Left(generation)
                }));
                self.connection = Some(connection);
                self.send_probe();
            }
            Err(error) => {
                self.circuit = self.circuit.lost().failed();
                tracing::debug!(lane = self.index, %error, "cannot connect for subscriptions");
                self.connect();
            }
        }
    }

    /// Gives the connection up and begins anew.
    pub(super) fn disconnect(&mut self, reason: &str) {
        if self.connection.take().is_none() {
            return;
        }
        warn!(lane = self.index, reason, "lost the subscriptions");
        self.generation += 1;
        self.commanding = 0;
        self.circuit = self.circuit.lost();
        let rooms = &self.rooms;
        let active = |room: &_| rooms.get(room).map(|slot| slot.active);
        self.subscriptions.reset(Instant::now(), active);
        self.tails.reset();
        self.probe.reset();
        // An answer read before the loss does not know what was pushed until the resubscription.
        self.rooms.values_mut().for_each(|slot| slot.ticket = None);
        self.connect();
    }

    /// Sends the (un)subscribe commands that the rooms ask for.
    pub(super) fn send_commands(&mut self) {
        let Some(Connection { sender, .. }) = &self.connection else { return };
        while self.commanding < MAX_COMMANDS
            && let Some((change, rooms)) = self.subscriptions.next_command()
        {
            self.commanding += 1;
            let channels: Vec<_> = rooms.iter().map(|room| self.tools.keys.channel(room)).collect();
            let mut connection = sender.clone();
            let dialect = self.tools.dialect;
            let generation = self.generation;
            let command = match change {
                Change::Subscribe => BusCommand::Subscribe,
                Change::Unsubscribe => BusCommand::Unsubscribe,
            };
            let metrics = self.tools.metrics.clone();
            metrics.commands[command].inc();
            self.work.push(Box::pin(async move {
                let started = Instant::now();
                let result = match (dialect, change) {
                    (Dialect::Sharded, _) => one_by_one(&mut connection, change, &channels).await,
                    (_, Change::Subscribe) => connection.subscribe(&channels).await,
                    (_, Change::Unsubscribe) => connection.unsubscribe(&channels).await,
                };
                metrics.command[command].observe(started.elapsed().as_secs_f64());
                let Err(error) = &result else { return Done::Commanded(generation, result) };
                metrics.command_errors[command].inc();
                if error.is_cluster_error() {
                    // The map needs a moment to be looked at.
                    sleep(AGAIN).await;
                    return Done::Elsewhere(generation, rooms);
                }
                Done::Commanded(generation, result)
            }));
        }
    }

    /// Takes what the connection received.
    pub(super) fn take_mail(&mut self) {
        let Some(Connection { inbox, .. }) = &self.connection else { return };
        let mail = inbox.take();
        for push in mail.pushes {
            match push {
                Push::Message(channel, payload) if channel == self.probe_channel.as_bytes() => {
                    self.probe_returned(&payload);
                }
                Push::Message(channel, payload) => self.pushed(&channel, &payload),
                Push::Confirmed(channel, change) => self.confirmed(&channel, change),
                Push::Closed => {
                    self.disconnect("the connection was closed");
                    break;
                }
            }
        }
        for channel in mail.overflowed {
            if let Some(room) = self.channels.get(&channel).cloned() {
                self.lost(&room, RepairCause::Overflow);
            }
        }
    }

    fn pushed(&mut self, channel: &[u8], push: &Bytes) {
        let metrics = &self.tools.metrics;
        metrics.pushes.inc();
        metrics.push_bytes.inc_by(push.len() as u64);
        let Some(room) = self.channels.get(channel).cloned() else { return };
        let Some(slot) = self.rooms.get_mut(&room) else { return };
        slot.active = Instant::now();
        let Ok((epoch, messages)) = payload::decode_push(push) else {
            if self.strangers.is_time() {
                warn!(%room, "a push that no node of this version writes");
            }
            self.lost(&room, RepairCause::Hole);
            return;
        };
        let duplicates = slot.order.known(epoch, &messages);
        metrics.duplicates.inc_by(duplicates);
        let mut events = Vec::new();
        let was_waiting = slot.order.need().is_some();
        slot.order.pushed(epoch, messages, &mut events);
        if !was_waiting && slot.order.need().is_some() {
            metrics.holes.inc();
        }
        self.tell(&room, events, Found::Known);
        self.ask(&room);
    }

    fn confirmed(&mut self, channel: &[u8], change: Change) {
        let Some(room) = self.channels.get(channel).cloned() else { return };
        match self.subscriptions.confirm(&room, change, Instant::now()) {
            Verdict::Comes => {}
            Verdict::Ended => return self.tools.shards.doubt(),
            Verdict::Nothing => return,
        }
        let Some(slot) = self.rooms.get(&room) else { return };
        if slot.order.need().is_none() {
            self.tails.resubscribed(room);
        } else {
            self.ask(&room);
        }
    }

    /// What happens every second.
    pub(super) fn tick(&mut self) {
        if self.probe.is_dead() {
            self.disconnect("probes do not come back");
        }
        self.send_probe();
        self.sweep();
        self.poll_moving();
        let (wanted, confirmed) = self.subscriptions.count();
        self.tools.vitals.waiting(self.index, self.subscriptions.waiting_since());
        self.tools.shards.show(&self.tools.metrics);
        // The gauges are the sums over the lanes.
        let metrics = &self.tools.metrics;
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

    fn send_probe(&mut self) {
        let (Some(_), Some(up)) = (&self.connection, self.tools.link.up()) else { return };
        let number = self.probe.send(Instant::now());
        let channel = self.probe_channel.clone();
        let metrics = self.tools.metrics.clone();
        let generation = self.generation;
        metrics.commands[BusCommand::Probe].inc();
        self.work.push(Box::pin(async move {
            let started = Instant::now();
            let mut probe = redis::cmd("PUBLISH");
            probe.arg(channel).arg(number);
            let taken = probe.exec_async(&mut up.any()).await.is_ok();
            metrics.command[BusCommand::Probe].observe(started.elapsed().as_secs_f64());
            if !taken {
                metrics.command_errors[BusCommand::Probe].inc();
            }
            Done::Probed(generation, taken)
        }));
    }

    fn probe_returned(&mut self, payload: &Bytes) {
        let number = std::str::from_utf8(payload).ok().and_then(|text| text.parse().ok());
        let Some(number) = number else { return };
        self.tools.vitals.probed(self.index);
        let (sent_at, suspects) = self.probe.returned(number);
        if let Some(sent_at) = sent_at {
            self.tools.metrics.probe.observe(sent_at.elapsed().as_secs_f64());
        }
        for suspect in suspects {
            if let Some(slot) = self.rooms.get_mut(&suspect.room) {
                slot.order.checked(suspect.epoch, suspect.seq, RepairCause::Tail);
                self.ask(&suspect.room);
            }
        }
    }
}

/// A command for each channel, in one pipeline.
async fn one_by_one(
    connection: &mut MultiplexedConnection,
    change: Change,
    channels: &[String],
) -> RedisResult<()> {
    let name = match change {
        Change::Subscribe => "SSUBSCRIBE",
        Change::Unsubscribe => "SUNSUBSCRIBE",
    };
    let mut commands = redis::pipe();
    for channel in channels {
        commands.cmd(name).arg(channel);
    }
    // What was confirmed comes as pushes, counted there; a subscription that the server ends by
    // itself may stand among these answers and move them by one.
    let answers: Vec<RedisResult<Value>> = commands.ignore_errors().query_async(connection).await?;
    answers.into_iter().try_for_each(|answer| answer.map(drop))
}
