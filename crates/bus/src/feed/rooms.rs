//! Which rooms a lane has: opened and closed by the hub, or handed over between the lanes of two
//! primaries with their whole state.

use roomcast_metrics::RepairCause;
use roomcast_protocol::RoomName;

use super::events::{LaneAction, LaneCommand, LaneMoment};
use super::lane::{LaneRoom, LaneState};
use super::order::Order;
use super::presence_order::PresenceOrder;

impl LaneState {
    /// Does what the feeds, or another lane, ask for.
    pub(super) fn obey(&mut self, command: LaneCommand, at: &LaneMoment) {
        match command {
            LaneCommand::Open(name, session) => {
                let room = LaneRoom {
                    session,
                    order: Order::new(),
                    presence: PresenceOrder::default(),
                    ticket: None,
                    repair: None,
                    held: at.now,
                    active: at.now,
                };
                self.listen(name, room, at);
            }
            LaneCommand::Close(name) => {
                self.unlisten(&name);
            }
            LaneCommand::HandOver(name, lane) => {
                if let Some(mut room) = self.unlisten(&name) {
                    // A read under way belongs to the old primary: its answer is ignored.
                    room.ticket = None;
                    let take_over = LaneCommand::TakeOver(name, Box::new(room));
                    self.act(LaneAction::Send(lane, take_over));
                }
            }
            LaneCommand::TakeOver(name, mut room) => {
                room.order.lost(RepairCause::Moved);
                self.listen(name, *room, at);
            }
        }
    }

    fn listen(&mut self, name: RoomName, room: LaneRoom, at: &LaneMoment) {
        self.rooms.insert(name.clone(), room);
        let channel = self.options.keys.channel(&name).into_bytes();
        self.channels.insert(channel, name.clone());
        self.metrics.feeds.inc();
        self.tail_checks.add(&name);
        if self.subscriptions.want(&name, at.now) {
            self.ask(&name, at);
        }
    }

    /// Stops listening to a room. The channel's entry is removed after the unsubscription is
    /// confirmed.
    fn unlisten(&mut self, name: &RoomName) -> Option<LaneRoom> {
        let room = self.rooms.remove(name)?;
        self.subscriptions.drop_wish(name);
        self.metrics.feeds.dec();
        Some(room)
    }
}
