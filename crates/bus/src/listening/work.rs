//! What a lane's driver starts beside its loop: commands on the subscribe connection, probes and
//! reads. Each is a future that ends as an event of the lane.

use std::time::Duration;

use roomcast_metrics::{BusCommand, RepairCause};
use roomcast_protocol::RoomName;
use tokio::time::{Instant, sleep};

use super::driver::{Done, LaneDriver};
use super::presence_tails::read_presence;
use super::subscriber::{Subscriber, change_channels};
use crate::feed::events::LaneEvent;
use crate::feed::order::Need;
use crate::feed::subscriptions::SubscriptionChange;

/// Pause before a room is subscribed again after the server said that another one has it.
const ELSEWHERE_PAUSE: Duration = Duration::from_millis(50);

impl LaneDriver {
    pub(super) fn connect(&mut self, pause: Duration) {
        let link = self.tools.link.clone();
        let probe_channel = self.probe_channel.clone();
        self.work.push(Box::pin(async move {
            sleep(pause).await;
            Done::Connected(Subscriber::connect(link, &probe_channel).await)
        }));
    }

    pub(super) fn watch_primary(&mut self, generation: u64) {
        let Some(subscriber) = &self.subscriber else { return };
        let (link, at) = (self.tools.link.clone(), subscriber.at.clone());
        self.work.push(Box::pin(async move {
            link.leaves(&at).await;
            Done::Event(LaneEvent::PrimaryLeft(generation))
        }));
    }

    pub(super) fn send_command(
        &mut self,
        generation: u64,
        change: SubscriptionChange,
        rooms: Vec<RoomName>,
    ) {
        let Some(subscriber) = &self.subscriber else { return };
        let channels: Vec<_> = rooms.iter().map(|room| self.tools.keys.channel(room)).collect();
        let mut connection = subscriber.sender.clone();
        let dialect = self.tools.dialect;
        let command = match change {
            SubscriptionChange::Subscribe => BusCommand::Subscribe,
            SubscriptionChange::Unsubscribe => BusCommand::Unsubscribe,
        };
        let metrics = self.tools.metrics.clone();
        metrics.commands[command].inc();
        self.work.push(Box::pin(async move {
            let started = Instant::now();
            let result = change_channels(&mut connection, dialect, change, &channels).await;
            metrics.command[command].observe(started.elapsed().as_secs_f64());
            Done::Event(match result {
                Err(error) if error.is_cluster_error() => {
                    metrics.command_errors[command].inc();
                    // Time for the owner of the server map to look again.
                    sleep(ELSEWHERE_PAUSE).await;
                    LaneEvent::Elsewhere { generation, rooms }
                }
                result => {
                    metrics.command_errors[command].inc_by(result.is_err().into());
                    let result = result.map_err(|error| error.to_string());
                    LaneEvent::Commanded { generation, result }
                }
            })
        }));
    }

    pub(super) fn send_probe(&mut self, generation: u64, number: u64) {
        let (channel, metrics) = (self.probe_channel.clone(), self.tools.metrics.clone());
        let up = self.tools.link.up();
        self.work.push(Box::pin(async move {
            metrics.commands[BusCommand::Probe].inc();
            let started = Instant::now();
            let taken = match up {
                Some(up) => {
                    let mut probe = redis::cmd("PUBLISH");
                    probe.arg(channel).arg(number);
                    probe.exec_async(&mut up.any()).await.is_ok()
                }
                None => false,
            };
            metrics.command[BusCommand::Probe].observe(started.elapsed().as_secs_f64());
            metrics.command_errors[BusCommand::Probe].inc_by((!taken).into());
            Done::Event(LaneEvent::Probed(generation, taken))
        }));
    }

    /// Reads where the presence of rooms is, in one pipeline.
    pub(super) fn compare_presence(
        &mut self,
        generation: u64,
        cause: RepairCause,
        rooms: Vec<RoomName>,
    ) {
        let (keys, up) = (self.tools.keys.clone(), self.tools.link.up());
        self.work.push(Box::pin(async move {
            let seen = read_presence(&keys, up.as_ref(), &rooms).await;
            let seen = rooms.into_iter().zip(seen).collect();
            Done::Event(LaneEvent::PresenceCompared { generation, cause, seen })
        }));
    }

    /// Reads where rooms stand, in one pipeline.
    pub(super) fn read_standings(&mut self, rooms: &[(RoomName, u64)]) {
        let (rooms, tickets): (Vec<_>, Vec<_>) = rooms.iter().cloned().unzip();
        let reader = self.tools.reader.clone();
        self.work.push(Box::pin(async move {
            let results = reader.standings(&rooms).await;
            let read = |((room, ticket), result)| LaneEvent::Read {
                room,
                ticket,
                need: Need::Standing,
                result,
            };
            Done::Events(rooms.into_iter().zip(tickets).zip(results).map(read).collect())
        }));
    }

    pub(super) fn read(&mut self, room: RoomName, ticket: u64, need: Need) {
        let reader = self.tools.reader.clone();
        self.work.push(Box::pin(async move {
            let result = match need {
                Need::Standing => reader.standing(&room).await,
                Need::After(seq, _) => reader.after(&room, seq).await,
            };
            Done::Event(LaneEvent::Read { room, ticket, need, result })
        }));
    }
}
