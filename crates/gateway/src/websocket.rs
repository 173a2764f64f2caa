//! WebSocket (RFC 6455): its handshake, the task of a connection that speaks it, and how its bytes
//! become messages. It knows no HTTP beyond the head of a handshake; what is written to a connection
//! is a form of delivery (`form.rs`).

mod access_log;
mod boundary;
mod echo;
mod frame_role;
mod frame_unpacker;
pub(crate) mod handshake;
mod inbound;
mod inbound_share;
mod serve;
mod start;
mod turn;

pub(crate) use start::{Grant, RateBinding, start};
