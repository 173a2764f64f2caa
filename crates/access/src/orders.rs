//! Orders that hold on every node until their end: bans and disconnects. The book of a node is
//! the union of what it read in Redis and heard in the control room. It must not know Redis.
//!
//! Times are milliseconds since 1970 by the clock of Redis.

mod network;
mod order;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use roomcast_protocol::{ConnectionId, UserName};

use crate::identity::TokenId;
use network::NetworkIndex;
pub use network::{BanNetwork, BanNetworkError};
pub use order::{
    AccessOrder, BanTarget, DisconnectTarget, MAX_REASON_BYTES, OrderId, OrderKind, OrderState,
    Renewal,
};

/// All orders that a node knows.
#[derive(Debug, Default)]
pub struct OrderBook {
    orders: BTreeMap<OrderId, AccessOrder>,
    users: OrderIndex<UserName>,
    token_ids: OrderIndex<TokenId>,
    connections: OrderIndex<ConnectionId>,
    networks: NetworkIndex,
}

type OrderIndex<K> = HashMap<K, BTreeSet<OrderId>>;

/// A connection or a handshake that is judged.
#[derive(Debug, Clone, Copy)]
pub struct OrderSubject<'a> {
    /// Its user, if it has one.
    pub user: Option<&'a UserName>,
    /// The `jti` of its token, if it has one.
    pub token_id: Option<&'a TokenId>,
    /// Its address; `None` if all that is known is a proxy's.
    pub address: Option<IpAddr>,
    /// The connection and when it began; `None` for a handshake.
    pub connection: Option<(ConnectionId, u64)>,
}

/// What an order says about a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderVerdict<'a> {
    /// Refuse it with 403 `banned`, or end it with 4501.
    Banned(&'a AccessOrder),
    /// End it: with 4502 or 4503, or with 4100 where the client is to come back with a new token.
    Disconnect(Renewal),
}

/// What a merged order changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderNews {
    /// Judge the connections: the order is new, or holds longer.
    Judge,
    /// It is new, and nothing is to be done: a lift.
    Note,
    /// It was known.
    Nothing,
}

impl OrderBook {
    /// Takes an order in. Of two with the same id the later end and a lift win, so that all nodes
    /// come to the same book, in any order of hearing.
    pub fn merge(&mut self, order: AccessOrder, now: u64) -> OrderNews {
        if order.end <= now {
            return OrderNews::Nothing;
        }
        let merged = match self.orders.get(&order.id) {
            Some(known) if known.kind != order.kind => return OrderNews::Nothing,
            Some(known) => known.union(&order),
            None => order,
        };
        if self.orders.get(&merged.id) == Some(&merged) {
            return OrderNews::Nothing;
        }
        let news = match merged.state {
            OrderState::Lifted => OrderNews::Note,
            OrderState::InForce => OrderNews::Judge,
        };
        self.index(&merged);
        self.orders.insert(merged.id, merged);
        news
    }

    /// Forgets what has ended.
    pub fn remove_ended(&mut self, now: u64) {
        let ended = self.orders.values().filter(|order| order.end <= now);
        for id in ended.map(|order| order.id).collect::<Vec<_>>() {
            if let Some(order) = self.orders.remove(&id) {
                self.unindex(&order);
            }
        }
    }

    /// The order of this id, lifted ones included.
    pub fn order(&self, id: OrderId) -> Option<&AccessOrder> {
        self.orders.get(&id)
    }

    /// All orders: what a node writes back to Redis.
    pub fn orders(&self) -> impl Iterator<Item = &AccessOrder> {
        self.orders.values()
    }

    /// How many orders there are, lifted ones included.
    pub fn len(&self) -> usize {
        self.orders.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.orders.is_empty()
    }

    /// The bans in force, as `GET /v1/bans` lists them.
    pub fn bans(&self, now: u64) -> impl Iterator<Item = &AccessOrder> {
        self.orders().filter(move |order| order.is_ban() && order.holds(now))
    }

    /// What the orders say; a ban comes before a disconnect, and one that ends the connection
    /// finally before one that lets it come back.
    pub fn judge(&self, subject: OrderSubject<'_>, now: u64) -> Option<OrderVerdict<'_>> {
        let mut disconnect = None;
        for order in self.concerning(subject).filter(|order| order.holds(now)) {
            match &order.kind {
                OrderKind::Ban(_) => return Some(OrderVerdict::Banned(order)),
                OrderKind::Disconnect { target, before, renewal } => {
                    // The id of a connection names no later one, so its age does not matter.
                    let is_named = matches!(target, DisconnectTarget::Connection(_));
                    let is_older = subject.connection.is_some_and(|(_, begun)| begun < *before);
                    if is_named || is_older {
                        disconnect = disconnect.max(Some(*renewal));
                    }
                }
            }
        }
        disconnect.map(OrderVerdict::Disconnect)
    }

    /// The ban of a token id, if there is one: for a room's own token.
    pub fn ban_of_token(&self, token_id: &TokenId, now: u64) -> Option<&AccessOrder> {
        let orders = self.known(self.token_ids.get(token_id));
        orders.into_iter().find(|order| order.is_ban() && order.holds(now))
    }

    fn concerning(&self, subject: OrderSubject<'_>) -> impl Iterator<Item = &AccessOrder> {
        let ids = [
            subject.user.and_then(|user| self.users.get(user)),
            subject.token_id.and_then(|id| self.token_ids.get(id)),
            subject.connection.and_then(|(connection, _)| self.connections.get(&connection)),
        ];
        let networks = subject.address.map(|address| self.networks.of(address));
        let by_name = ids.into_iter().flat_map(|ids| self.known(ids));
        by_name.chain(networks.into_iter().flatten().filter_map(|id| self.orders.get(&id)))
    }

    fn known<'a>(&'a self, ids: Option<&'a BTreeSet<OrderId>>) -> Vec<&'a AccessOrder> {
        ids.into_iter().flatten().filter_map(|id| self.orders.get(id)).collect()
    }

    fn index(&mut self, order: &AccessOrder) {
        let id = order.id;
        match &order.kind {
            OrderKind::Ban(BanTarget::User(user))
            | OrderKind::Disconnect { target: DisconnectTarget::User(user), .. } => {
                self.users.entry(user.clone()).or_default().insert(id);
            }
            OrderKind::Ban(BanTarget::TokenId(token_id))
            | OrderKind::Disconnect { target: DisconnectTarget::TokenId(token_id), .. } => {
                self.token_ids.entry(token_id.clone()).or_default().insert(id);
            }
            OrderKind::Disconnect { target: DisconnectTarget::Connection(connection), .. } => {
                self.connections.entry(*connection).or_default().insert(id);
            }
            OrderKind::Ban(BanTarget::Network(network)) => self.networks.insert(*network, id),
        }
    }

    fn unindex(&mut self, order: &AccessOrder) {
        let id = order.id;
        match &order.kind {
            OrderKind::Ban(BanTarget::User(user))
            | OrderKind::Disconnect { target: DisconnectTarget::User(user), .. } => {
                remove(&mut self.users, user, id);
            }
            OrderKind::Ban(BanTarget::TokenId(token_id))
            | OrderKind::Disconnect { target: DisconnectTarget::TokenId(token_id), .. } => {
                remove(&mut self.token_ids, token_id, id);
            }
            OrderKind::Disconnect { target: DisconnectTarget::Connection(connection), .. } => {
                remove(&mut self.connections, connection, id);
            }
            OrderKind::Ban(BanTarget::Network(network)) => self.networks.remove(*network, id),
        }
    }
}

fn remove<K: std::hash::Hash + Eq>(index: &mut OrderIndex<K>, key: &K, id: OrderId) {
    if let Some(ids) = index.get_mut(key) {
        ids.remove(&id);
        if ids.is_empty() {
            index.remove(key);
        }
    }
}

#[cfg(test)]
mod tests;
