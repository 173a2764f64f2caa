//! The limits by address, applied to a request: handshakes per second, and connections.

use hyper::StatusCode;
use hyper::header::{HeaderValue, RETRY_AFTER};
use roomcast_metrics::{LimitAction, LimitMetrics, LimitName, RefusalReason};

use super::answer::HttpProblem;
use super::client_address::{AddressScope, ClientAddress};
use crate::address_limits::{AddressHold, AddressLimits};
use crate::settings::NodeLimits;
use std::sync::Arc;

/// Seconds after which a client at the limit of connections may look again.
const CONNECTIONS_RETRY: u64 = 10;

/// What the limits by address need to decide about a request.
pub(super) struct AddressCheck<'a> {
    pub(super) addresses: &'a Arc<AddressLimits>,
    pub(super) limits: &'a NodeLimits,
    pub(super) metrics: &'a LimitMetrics,
    pub(super) client: ClientAddress,
}

impl AddressCheck<'_> {
    /// Counts a handshake of this address, or refuses it.
    pub(super) fn take_handshake(&self) -> Result<(), HttpProblem> {
        self.note_untrusted_forward();
        let limit = self.limits.rates.address_handshakes;
        if limit.is_none() || !self.applies(LimitName::AddressHandshakes) {
            return Ok(());
        }
        self.addresses.take_handshake(self.client.ip, limit).map_err(|wait| {
            let seconds = wait.as_secs() + 1;
            let what = "this address makes more handshakes than limits.address_handshakes allows";
            self.refusal(LimitName::AddressHandshakes, ("rate_limited", what), seconds)
                .counted(RefusalReason::RateLimited)
        })
    }

    /// Counts a connection of this address until the hold is dropped, or refuses it. `None`: the
    /// limit does not hold for it.
    pub(super) fn take_connection(&self) -> Result<Option<AddressHold>, HttpProblem> {
        let most = self.limits.address_connections;
        if most == 0 || !self.applies(LimitName::AddressConnections) {
            return Ok(None);
        }
        let hold = self.addresses.connect(self.client.ip, most);
        hold.map(Some).ok_or_else(|| {
            let what = "this address has as many connections as limits.address_connections allows";
            let reason = ("too_many_connections", what);
            self.refusal(LimitName::AddressConnections, reason, CONNECTIONS_RETRY)
                .counted(RefusalReason::TooManyConnections)
        })
    }

    fn applies(&self, limit: LimitName) -> bool {
        match self.client.scope(&self.limits.exempt_networks) {
            AddressScope::Limited => true,
            AddressScope::Exempt => false,
            AddressScope::OnlyProxy => {
                self.metrics.above[limit][LimitAction::NotApplied].inc();
                false
            }
        }
    }

    fn refusal(
        &self,
        limit: LimitName,
        (code, what): (&'static str, &str),
        seconds: u64,
    ) -> HttpProblem {
        self.metrics.above[limit][LimitAction::Refused].inc();
        let hint = match self.client.is_untrusted_forward() {
            true => {
                "; a forwarding header was ignored, as http.trusted_proxies does not name the \
                 address it came from"
            }
            false => "",
        };
        HttpProblem::new(StatusCode::TOO_MANY_REQUESTS, code, format!("{what}{hint}"))
            .with(RETRY_AFTER, HeaderValue::from(seconds))
    }

    fn note_untrusted_forward(&self) {
        if !self.client.is_untrusted_forward() {
            return;
        }
        self.metrics.untrusted_forwards.inc();
        if self.addresses.may_hint() {
            let address = self.client.ip;
            tracing::warn!(
                %address,
                "a forwarding header is ignored: http.trusted_proxies does not name this address"
            );
        }
    }
}
