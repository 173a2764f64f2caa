//! The limit by user, applied to a handshake: connections on all nodes. A handshake that takes the
//! place of another connection of its client has that one closed, wherever it is.

use std::mem;
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{HeaderValue, RETRY_AFTER};
use roomcast_bus::ReplacePlace;
use roomcast_metrics::{LimitAction, LimitMetrics, LimitName, RefusalReason};
use roomcast_protocol::UserName;

use super::answer::HttpProblem;
use crate::identity::Hello;
use crate::node_status::NodeStatus;
use crate::settings::NodeLimits;
use crate::user_limits::{UserFull, UserHold};

/// When to try again where the node ends.
const NODE_ENDS_RETRY: Duration = Duration::from_secs(1);

/// What the limit by user needs to decide about a handshake.
pub(super) struct UserCheck<'a> {
    pub(super) status: &'a NodeStatus,
    pub(super) limits: &'a NodeLimits,
    pub(super) metrics: &'a LimitMetrics,
}

impl UserCheck<'_> {
    /// Counts a connection of the user until the hold is dropped, or refuses it. `None`: the limit
    /// does not hold for it.
    pub(super) async fn take_connection(
        &self,
        hello: &Hello,
    ) -> Result<Option<UserHold>, HttpProblem> {
        let Some((user, client)) = self.limited(hello) else { return Ok(None) };
        let (user, client) = (user.clone(), client.map(str::to_owned));
        let (most, replaces) = (self.limits.user_connections, self.replaces());
        let (users, orders) = (self.status.users.clone(), self.status.orders.clone());
        // A task, as a client that goes meanwhile must not leave connections uncounted and open.
        let entering = tokio::spawn(async move {
            let mut admission = users.admit((&user, client.as_deref()), most, replaces).await?;
            let elsewhere = mem::take(&mut admission.elsewhere);
            let replaced = admission.here + elsewhere.len();
            for connection in elsewhere {
                // Bounded by the user's handshakes; it ends within seconds.
                tokio::spawn(orders.clone().close_replaced(connection));
            }
            Ok((admission.hold, replaced))
        });
        // It ends early only with the node.
        let entered = entering.await.unwrap_or(Err(UserFull(NODE_ENDS_RETRY)));
        let (hold, replaced) = entered.map_err(|full| self.refusal(full))?;
        self.metrics.above[LimitName::UserConnections][LimitAction::Closed].inc_by(replaced as u64);
        Ok(Some(hold))
    }

    /// Refuses where `take_connection` would, and counts and closes nothing.
    pub(super) async fn look(&self, hello: &Hello) -> Result<(), HttpProblem> {
        let Some(client) = self.limited(hello) else { return Ok(()) };
        let most = self.limits.user_connections;
        let looked = self.status.users.look(client, most, self.replaces()).await;
        looked.map_err(|full| self.refusal(full))
    }

    /// The user, whom a token or a ticket names, and what the client calls itself.
    fn limited<'a>(&self, hello: &'a Hello) -> Option<(&'a UserName, Option<&'a str>)> {
        let user = hello.user.as_ref().filter(|_| hello.is_authenticated())?;
        let client = hello.tag.as_ref().map(|tag| &*tag.client);
        (self.limits.user_connections > 0).then_some((user, client))
    }

    fn replaces(&self) -> ReplacePlace {
        match self.status.orders.has_room_for_replacing() {
            true => ReplacePlace::Anywhere,
            false => ReplacePlace::Here,
        }
    }

    fn refusal(&self, UserFull(wait): UserFull) -> HttpProblem {
        self.metrics.above[LimitName::UserConnections][LimitAction::Refused].inc();
        let detail = "this user has as many connections as limits.user_connections allows";
        HttpProblem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_connections", detail)
            .with(RETRY_AFTER, HeaderValue::from(wait.as_secs()))
            .counted(RefusalReason::TooManyConnections)
    }
}
