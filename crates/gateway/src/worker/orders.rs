//! A worker's part in bans, disconnects and replaced connections: it judges a connection in the step
//! that registers it, all of its connections when an order comes, and those that are named.

use std::rc::Rc;
use std::sync::Arc;

use roomcast_access::identity::TokenId;
use roomcast_protocol::CloseCode;

use super::Worker;
use super::chores::SLICE;
use crate::connection::Connection;
use crate::orders::{JudgedClient, OrderDesk};
use crate::user_limits::UserConnections;

/// The `reason` of `left` when the room's token was banned.
const PASS_BANNED: &str = "banned";

impl Worker {
    /// Judges connections by the node's orders from now on, as long as the node runs.
    pub(crate) async fn follow_orders(self: Rc<Self>, orders: Arc<OrderDesk>) {
        let mut news = orders.news();
        // It is set once: there is one such task.
        let _first = self.orders.set(orders);
        loop {
            for some in self.connections.all().chunks(SLICE) {
                some.iter().for_each(|connection| self.judge_by_orders(connection));
                tokio::task::yield_now().await;
            }
            if news.changed().await.is_err() {
                return;
            }
        }
    }

    /// Closes connections that others of their client took the place of, as long as the node runs.
    pub(crate) async fn follow_replaced(self: Rc<Self>, users: Arc<UserConnections>) {
        let mut news = users.news();
        // It is set once: there is one such task.
        let _first = self.user_connections.set(users.clone());
        while news.changed().await.is_ok() {
            for id in users.replaced() {
                if let Some(connection) = self.connections.get(id).filter(|one| one.is_open()) {
                    self.close_replaced(&connection);
                }
            }
        }
    }

    /// Registers when a connection began, and closes it if an order says so, or if it was replaced:
    /// both may have happened while the handshake was answered.
    pub(super) fn begin_by_orders(&self, connection: &Rc<Connection>) {
        if let Some(orders) = self.orders.get() {
            connection.begun.set(orders.earliest());
        }
        self.judge_by_orders(connection);
        let users = self.user_connections.get().filter(|_| connection.is_open());
        if connection.authenticated_user().is_some()
            && users.is_some_and(|users| users.is_replaced(connection.id))
        {
            self.close_replaced(connection);
        }
    }

    fn close_replaced(&self, connection: &Rc<Connection>) {
        tracing::debug!(%connection, "another connection of its client takes its place");
        self.close(connection, CloseCode::Replaced);
    }

    fn judge_by_orders(&self, connection: &Rc<Connection>) {
        let Some(orders) = self.orders.get().filter(|_| connection.is_open()) else { return };
        let end = connection.judge(|identity| {
            orders.judge(JudgedClient {
                user: connection.user.as_ref(),
                token_id: identity.token_id(),
                address: connection.address.get(),
                connection: Some((connection.id, connection.begun.get())),
            })
        });
        if let Some(end) = end {
            tracing::debug!(%connection, reason = end.code.reason(), "an order ends it");
            return self.close(connection, end.code);
        }
        for room in connection.rooms_by_tokens(|token_id| orders.is_token_banned(token_id)) {
            if let Some(room) = self.rooms.by_id(room) {
                self.put_out(connection, &room, PASS_BANNED);
            }
        }
    }

    /// Whether a token that came in a frame is banned by its `jti`.
    pub(super) fn is_token_banned(&self, token_id: Option<&TokenId>) -> bool {
        let judge = |(orders, id): (&Arc<OrderDesk>, _)| orders.is_token_banned(id);
        self.orders.get().zip(token_id).is_some_and(judge)
    }
}
