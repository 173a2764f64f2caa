//! WebSocket (RFC 6455): the task of a connection that speaks it, and how its bytes become messages.
//! What is written to it is a form of delivery (`form.rs`).

mod boundary;
mod inbound;
mod inbound_share;
mod serve;
mod turn;

pub(crate) use serve::{abandon, serve};
