//! A worker's part in bans and disconnects: it judges a connection in the step that registers it,
//! and all of its connections when an order comes.

use std::rc::Rc;
use std::sync::Arc;

use super::Worker;
use super::chores::SLICE;
use crate::connection::Connection;
use crate::orders::{JudgedClient, OrderDesk};

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

    /// Registers when a connection began, and closes it if an order says so: the order may have come
    /// while the handshake was answered.
    pub(super) fn begin_by_orders(&self, connection: &Rc<Connection>) {
        if let Some(orders) = self.orders.get() {
            connection.begun.set(orders.now());
        }
        self.judge_by_orders(connection);
    }

    fn judge_by_orders(&self, connection: &Rc<Connection>) {
        let Some(orders) = self.orders.get().filter(|_| connection.is_open()) else { return };
        let client = JudgedClient {
            user: connection.user.as_ref(),
            address: connection.address.get(),
            connection: Some((connection.id, connection.begun.get())),
        };
        if let Some(end) = orders.judge(client) {
            tracing::debug!(%connection, reason = end.code.reason(), "an order ends it");
            self.close(connection, end.code);
        }
    }
}
