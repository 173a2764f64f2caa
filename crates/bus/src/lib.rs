//! Carries rooms between nodes: publish, feeds, history. In memory for one node alone, over Redis
//! for many; both keep one contract (`tests/contract.rs`).

mod api;
mod bus;
mod feed;
mod fingerprint;
mod leases;
mod memory;
mod outbox;
mod owner;
mod redis;
mod seldom;

pub use api::{
    Ack, FeedEvent, Health, History, HistoryRequest, KEY_WINDOW, Publication, PublishError, Range,
    ReadError, Retention, RoomEvent,
};
pub use bus::{Bus, Feeds, Reply};
pub use memory::MemoryOptions;
pub use redis::keys::{KeyNames, RoomNames, room_names};
pub use redis::{
    ChangeError, Opening, RedisFault, RedisOptions, StartError, check_url, locate_room,
};

/// The feed's pure part, for the simulation in `gateway`; not for use.
#[doc(hidden)]
pub mod simulation {
    pub use crate::feed::LaneHandle;
    pub use crate::feed::exit::{Exit as EventQueue, Session};
    pub use crate::feed::lane::{
        Lane, LaneAction, LaneCommand, LaneEvent, LaneOptions, LaneRoom, Moment, ReadResult, Tail,
    };
    pub use crate::feed::order::{Found, Need, Order, Page};
    pub use crate::feed::subscriptions::Change;
    pub use crate::leases::{Incarnation, Lease, LeaseHolder, LeaseJudge, LeaseTable};
    pub use crate::redis::keys::Keys;
    pub use crate::redis::payload::Push;
}
