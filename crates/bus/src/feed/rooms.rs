//! Which rooms a lane has: opened and closed by the hub, handed over to the lane of another primary
//! and taken over from it, with all that is known of them.

use roomcast_metrics::RepairCause;
use roomcast_protocol::RoomName;
use tokio::time::Instant;

use super::lane::{Command, Lane, Slot};
use super::order::Order;

impl Lane {
    /// Does what the feeds, or another lane, ask for.
    pub(super) fn obey(&mut self, command: Command) {
        match command {
            Command::Open(room, session) => {
                let slot = Slot {
                    session,
                    order: Order::new(),
                    ticket: None,
                    repair: None,
                    held: Instant::now(),
                    active: Instant::now(),
                };
                self.listen(room, slot);
            }
            Command::Close(room) => {
                self.unlisten(&room);
            }
            Command::HandOver(room, lane) => {
                if let Some(mut slot) = self.unlisten(&room) {
                    // What it waits for comes from the primary that it leaves.
                    slot.ticket = None;
                    // The other lane ends only with the bus.
                    let _ = lane.send(Command::TakeOver(room, Box::new(slot)));
                }
            }
            Command::TakeOver(room, mut slot) => {
                // It may have been closed, and opened anew, on the way.
                if self.tools.exit.session(&room) == Some(slot.session) {
                    slot.order.lost(RepairCause::Moved);
                    self.listen(room, *slot);
                }
            }
        }
    }

    fn listen(&mut self, room: RoomName, slot: Slot) {
        self.rooms.insert(room.clone(), slot);
        let channel = self.tools.keys.channel(&room).into_bytes();
        self.channels.insert(channel, room.clone());
        self.tools.metrics.feeds.inc();
        self.tails.add(&room);
        if self.subscriptions.want(&room, Instant::now()) {
            self.ask(&room);
        }
    }

    /// Stops listening to a room; the channel's entry stays until that is confirmed.
    fn unlisten(&mut self, room: &RoomName) -> Option<Slot> {
        let slot = self.rooms.remove(room)?;
        self.subscriptions.drop_wish(room);
        self.tools.metrics.feeds.dec();
        Some(slot)
    }
}
