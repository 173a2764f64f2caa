//! Carries rooms between nodes: publish, feeds, history. In memory for one node alone, over Redis
//! for many; both keep one contract (`tests/contract.rs`).

mod api;
mod bus;
mod circuit;
mod event_queue;
mod feed;
mod fingerprint;
mod leases;
mod listening;
mod log_throttle;
mod map_owner;
mod memory;
mod owner;
mod payload;
mod placement;
mod primary;
mod publishing;
mod reads;
mod redis_bus;
mod scripts;
mod server_map;

pub use api::{
    Ack, FeedEvent, Health, History, HistoryRequest, KEY_WINDOW, Publication, PublishError, Range,
    ReadError, Reply, Retention, RoomEvent,
};
pub use bus::{Bus, Feeds};
pub use map_owner::opening::Opening;
pub use memory::MemoryOptions;
pub use placement::keys::{KeyNames, RoomNames, room_names};
pub use primary::fault::{RedisFault, StartError};
pub use redis_bus::{ChangeError, RedisOptions, check_url, locate_room};

/// The feed's pure part, for the simulation in `gateway`; not for use.
#[doc(hidden)]
pub mod simulation {
    pub use crate::api::{Found, Page};
    pub use crate::event_queue::{Exit as EventQueue, Session};
    pub use crate::feed::LaneHandle;
    pub use crate::feed::events::{LaneAction, LaneCommand, LaneEvent, Moment, ReadResult, Tail};
    pub use crate::feed::lane::{Lane, LaneOptions, LaneRoom};
    pub use crate::feed::order::{Need, Order};
    pub use crate::feed::subscriptions::Change;
    pub use crate::leases::{Incarnation, Lease, LeaseHolder, LeaseJudge, LeaseTable};
    pub use crate::payload::Push;
    pub use crate::placement::keys::Keys;
}
