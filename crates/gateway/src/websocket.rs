//! WebSocket (RFC 6455): its handshake, and the task of a connection that speaks it. It knows no
//! HTTP beyond the head of a handshake.

pub(crate) mod handshake;
mod start;

pub(crate) use start::{Grant, start};
