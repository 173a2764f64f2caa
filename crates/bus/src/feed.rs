//! The feeds' pure part: the lanes, their rooms' order, what is subscribed, read and checked when.
//! It knows neither Redis nor tasks; `listening` drives it.

pub(crate) mod events;
pub(crate) mod lane;
pub(crate) mod order;
mod presence_checks;
pub(crate) mod presence_order;
mod probe;
mod read_queue;
mod reading;
mod rooms;
mod subscribing;
pub(crate) mod subscriptions;
mod tail_checks;

use tokio::sync::mpsc;

use events::LaneCommand;

/// The channel on which a lane takes commands. What waits there is bounded by the rooms of the
/// node.
pub type LaneHandle = mpsc::UnboundedSender<LaneCommand>;
