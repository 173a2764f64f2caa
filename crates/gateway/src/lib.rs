//! The Roomcast node: it terminates WebSockets, keeps rooms and their members, and connects them
//! to the bus. Only this crate knows HTTP and WebSocket.
//!
//! [`Node::start`] is the one entry; the caller owns the runtime, the configuration and the
//! signals.

pub mod config;

mod connection;
mod drain;
mod fetch;
mod form;
mod http;
mod hub;
mod log;
mod node;
mod permit;
mod publication;
mod room;
mod settings;
#[cfg(test)]
mod simulation;
mod socket;
mod traces;
mod websocket;
mod worker;

#[doc(hidden)]
pub use fetch::fetch;
pub use node::{Fault, Node, StartError};

#[cfg(test)]
mod tests;
