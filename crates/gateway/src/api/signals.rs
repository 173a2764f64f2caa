//! A signal by a backend: to the members of a room, of a user's own or of that of all connections.

use std::borrow::Cow;

use roomcast_access::policy::{Caller, RoomStanding};
use roomcast_bus::{Ephemeral, EphemeralFate, Signal};
use roomcast_metrics::SignalOutcome;
use roomcast_protocol::{Data, ErrorCode, EventName, RoomName, UserName};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::body::name;
use super::{ApiCaller, ApiError, ApiNode, body};
use crate::permit::{RoomAction, permit};

#[derive(Deserialize)]
struct SignalBody<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    user: Option<Cow<'a, str>>,
}

/// Sends a signal; whether it arrives is not told.
pub(crate) fn signal(
    node: &ApiNode<'_>,
    caller: &ApiCaller,
    room: RoomName,
    body: &[u8],
) -> Result<(), ApiError> {
    let SignalBody { event, data, user } = body::parse(body)?;
    let event = EventName::parse(&event).map_err(|error| ApiError::bad_body(error.to_string()))?;
    let user = name(user.as_deref(), UserName::parse)?;
    let data = data.map(|data| Data::json(data.get().as_bytes().to_vec())).transpose();
    let data = data.map_err(|error| ApiError::bad_body(format!("data: {error}")))?;
    let action = RoomAction::Signal { data_bytes: data.as_ref().map_or(0, Data::len) };
    let standing = (Caller::ApiKey(caller.scopes), RoomStanding::Outside);
    permit(node.settings, standing, &room, action)?;
    let signal = Signal { user, connection: None, event, data };
    let fate = node.bus.send_ephemeral(&room, Ephemeral::Signal(signal));
    let signals = &node.metrics.people.signals;
    match fate {
        EphemeralFate::Taken => {
            signals[SignalOutcome::Sent].inc();
            Ok(())
        }
        EphemeralFate::Dropped => {
            signals[SignalOutcome::Dropped].inc();
            let detail = "the signal was dropped: too much waits, or the bus is away";
            Err(ApiError::new(ErrorCode::BusUnavailable.as_str(), detail))
        }
    }
}
