//! The access log: two lines for each connection, or lines at `debug` where `log.access` is off.
//! No room, no payload and nothing of a token is in them.

use std::net::IpAddr;
use std::time::Duration;

use roomcast_metrics::{CloseReason, Label};

use crate::connection::Connection;
use crate::settings::Settings;

/// What collectors find the lines by.
const TARGET: &str = "access";

/// A connection begins. `address` is the client's, as far as it is known.
pub(super) fn opened(settings: &Settings, connection: &Connection, address: IpAddr) {
    let key = connection.signing_key();
    if settings.logs_access {
        let encoding = connection.encoding().as_str();
        tracing::info!(target: TARGET, %connection, client = %address, key, encoding, "opened");
    } else {
        tracing::debug!(%connection, client = %address, key, "opened");
    }
}

/// It has ended.
pub(super) fn closed(
    settings: &Settings,
    connection: &Connection,
    reason: CloseReason,
    life: Duration,
) {
    let reason = reason.as_str();
    if settings.logs_access {
        let seconds = life.as_secs_f64();
        tracing::info!(target: TARGET, %connection, reason, seconds, "closed");
    } else {
        tracing::debug!(%connection, reason, "closed");
    }
}
