//! The tests of one whole node in this process: what it answers, in which order, and for how long.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod ack;
mod answers;
mod backend;
mod errors;
mod handshake;
mod handshake_rules;
mod health_and_metrics;
mod heartbeat;
mod keep_alive;
mod order_and_echo;
#[cfg(debug_assertions)]
mod panic;
mod reload;
mod resume;
#[path = "../support/mod.rs"]
mod support;
