//! Carries rooms between nodes: publish, feeds, history. In memory for one node alone, over Redis
//! for many; both keep one contract (`tests/contract.rs`).

mod api;

pub use api::{
    Ack, FeedEvent, Health, History, Publication, PublishError, Range, ReadError, Retention,
    RoomEvent,
};
