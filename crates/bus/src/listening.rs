//! The feeds over Redis: which rooms the node listens to, and on which lane. Rooms are spread over
//! the lanes of their primaries; each lane is a task with its own subscribe connection. A room
//! whose primary changed is handed from lane to lane with its whole state.

pub(crate) mod driver;
mod inbox;
mod presence_tails;
pub(crate) mod subscriber;
mod tails;
mod work;

use std::sync::Arc;

use hashbrown::HashMap;
use roomcast_protocol::RoomName;

use crate::api::RoomEvent;
use crate::event_queue::EventQueue;
use crate::feed::LaneHandle;
use crate::feed::events::LaneCommand;
use crate::server_map::ServerMap;

/// The listening half of the bus over Redis.
pub(crate) struct RedisFeeds {
    events: Arc<EventQueue>,
    shards: ServerMap,
    /// The lane of each open room; `None` while its slot has no owner.
    placed: HashMap<RoomName, Option<LaneHandle>>,
}

impl RedisFeeds {
    /// Feeds of these primaries.
    pub(crate) fn new(events: Arc<EventQueue>, shards: ServerMap) -> Self {
        Self { events, shards, placed: HashMap::new() }
    }

    pub(crate) fn open(&mut self, room: RoomName) {
        if let Some(session) = self.events.open(&room) {
            let lane = self.lane_of(&room);
            if let Some(lane) = &lane {
                send(lane, LaneCommand::Open(room.clone(), session));
            }
            self.placed.insert(room, lane);
        }
    }

    pub(crate) fn close(&mut self, room: &RoomName) {
        if self.events.close(room)
            && let Some(Some(lane)) = self.placed.remove(room)
        {
            send(&lane, LaneCommand::Close(room.clone()));
        }
    }

    pub(crate) async fn next(&mut self) -> Vec<RoomEvent> {
        loop {
            tokio::select! {
                events = self.events.next() => return events,
                () = self.shards.changed() => self.place_anew(),
            }
        }
    }

    /// Hands every room whose primary changed over to its new lane.
    fn place_anew(&mut self) {
        for (room, lane) in &mut self.placed {
            let Some(shard) = self.shards.of(room) else { continue };
            let new = shard.lane(room).clone();
            match lane {
                Some(old) if old.same_channel(&new) => continue,
                Some(old) => send(old, LaneCommand::HandOver(room.clone(), new.clone())),
                None => {
                    if let Some(session) = self.events.session(room) {
                        send(&new, LaneCommand::Open(room.clone(), session));
                    }
                }
            }
            *lane = Some(new);
        }
    }

    fn lane_of(&self, room: &RoomName) -> Option<LaneHandle> {
        Some(self.shards.of(room)?.lane(room).clone())
    }
}

fn send(lane: &LaneHandle, command: LaneCommand) {
    // The send fails only when the bus ends.
    let _ = lane.send(command);
}
