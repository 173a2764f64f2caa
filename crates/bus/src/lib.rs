//! Carries rooms between nodes: publish, feeds, history. In memory for one node alone, over Redis
//! for many; both keep one contract (`tests/contract.rs`).

mod api;
mod bus;
mod circuit;
mod ephemeral;
mod event_queue;
mod feed;
mod fingerprint;
mod leases;
mod listening;
mod log_throttle;
mod map_owner;
mod memory;
mod online;
mod orders;
mod owner;
mod payload;
mod placement;
mod presence;
mod primary;
mod publishing;
mod reads;
mod receipts;
mod redis_bus;
mod roster;
mod scripts;
mod server_map;
mod tickets;

pub use api::{
    Departure, Ephemeral, EphemeralFate, FeedEvent, Health, History, HistoryRange, HistoryRequest,
    KEY_WINDOW, NamedConnection, NewcomerStep, OrderPage, OrderRecord, OrderRevision,
    PresenceChange, PresenceCounts, PresenceEntry, PresenceList, PresenceMember, PresenceMode,
    PresenceNews, PresencePolicy, PresenceReply, PresenceStatus, PresenceStep, Publication,
    PublishAck, PublishError, PublishReply, ReadError, ReceiptCounts, ReceiptError, ReceiptKind,
    ReceiptMarks, ReceiptMove, ReceiptNews, ReceiptRules, ReplacePlace, Retention, RoomEvent,
    RoomOutline, RoomStateRead, Signal, StateAction, StateBounds, StateChange, StateValue,
    TicketUse, TypingWord, UserNewcomer, UserPlace, UserPresence, Writer,
};
pub use bus::{Bus, Feeds};
pub use fingerprint::client_fingerprint;
pub use map_owner::opening::RedisOpening;
pub use memory::MemoryOptions;
pub use online::OnlineNews;
pub use placement::keys::{KeyNames, RoomNames, partition_of, room_names};
pub use primary::fault::{RedisFault, RedisStartError};
pub use redis_bus::{ChangeError, RedisOptions, check_url, locate_room};

/// The feed's pure part, for the simulation in `gateway`; not for use.
#[doc(hidden)]
pub mod simulation {
    pub use crate::api::{RoomFound, RoomPage};
    pub use crate::event_queue::{EventQueue, FeedSession};
    pub use crate::feed::LaneHandle;
    pub use crate::feed::events::{
        LaneAction, LaneCommand, LaneEvent, LaneMoment, PresenceSeen, ReadResult, RoomTail,
    };
    pub use crate::feed::lane::{LaneOptions, LaneRoom, LaneState};
    pub use crate::feed::order::{Need, Order};
    pub use crate::feed::subscriptions::SubscriptionChange;
    pub use crate::leases::{Incarnation, Lease, LeaseHolder, LeaseJudge, LeaseTable};
    pub use crate::payload::{PresenceBody, PresenceMark, PresencePush, PresenceTail, RoomPush};
    pub use crate::placement::keys::Keyspace;
}
