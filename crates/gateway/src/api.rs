//! What a backend may ask of the node, whatever carries the request: publish, read, give and lift
//! orders. It reads bodies and makes answers, both JSON; it knows no HTTP, no route and no secret of
//! a key.

mod batch;
mod body;
mod error;
mod judging;
mod members;
mod orders;
mod people;
mod publish;
mod read;
mod rooms;
mod signals;
mod state;
mod users;

use std::sync::Arc;
use std::time::Duration;

use roomcast_access::api_key::ApiScopes;
use roomcast_bus::Bus;
use roomcast_metrics::Metrics;

pub(crate) use batch::publish_batch;
pub(crate) use error::ApiError;
pub(crate) use members::{connections, join, leave};
pub(crate) use orders::{ban, bans, disconnect, lift};
pub(crate) use people::members;
pub(crate) use publish::{PublishHeaders, publish};
pub(crate) use read::read;
pub(crate) use rooms::{own_room, receipts, room_info, room_named};
pub(crate) use signals::signal;
pub(crate) use state::read_state;
pub(crate) use users::publish_to_users;

use crate::orders::OrderDesk;
use crate::peers::PeerDesk;
use crate::settings::Settings;
use crate::traces::Tracer;

/// How long the bus may take with a message before the answer is `publish_unknown`.
const OUTCOME_TIMEOUT: Duration = Duration::from_secs(5);

/// What requests of backends need of the node.
pub(crate) struct ApiNode<'a> {
    pub(crate) bus: &'a Bus,
    pub(crate) settings: &'a Settings,
    pub(crate) tracer: &'a Tracer,
    pub(crate) metrics: &'a Metrics,
    pub(crate) orders: &'a OrderDesk,
    pub(crate) peers: &'a PeerDesk,
}

/// The backend that asks.
#[derive(Debug, Clone)]
pub(crate) struct ApiCaller {
    /// The name of its API key.
    pub(crate) key: Arc<str>,
    pub(crate) scopes: ApiScopes,
}
