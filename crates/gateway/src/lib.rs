//! The Roomcast node: it terminates WebSockets, keeps rooms and their members, and connects them
//! to the bus. Only this crate knows HTTP and WebSocket.
//!
//! [`Node::start`] is the one entry; the caller owns the runtime, the configuration and the
//! signals.

pub mod config;

mod address_limits;
mod api;
mod auth;
mod connection;
mod data_size;
mod demo;
mod drain;
mod ephemeral;
mod fault;
mod fetch;
mod form;
mod http;
mod hub;
mod identity;
mod member_list;
mod meter;
mod node;
mod node_status;
mod orders;
mod page_token;
mod payload_rules;
mod peers;
mod permit;
mod publication;
mod receipts;
mod room;
mod room_log;
mod settings;
// It drives the crate's own parts, and is no part of it: hence a module, and hence not in `src`.
#[cfg(test)]
#[path = "../tests/simulation/mod.rs"]
mod simulation;
mod socket;
mod tls;
mod traces;
mod user_limits;
mod websocket;
mod worker;

pub use auth::{KeySourceError, fetch_key_set};
pub use fault::InjectedFault;
#[doc(hidden)]
pub use fetch::{fetch, fetch_unverified};
pub use node::{Node, StartError};
pub use payload_rules::RulesError;

#[cfg(test)]
mod tests;
