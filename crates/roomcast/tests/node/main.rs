//! The tests of one whole node in this process: what it answers, in which order, and for how long.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod ack;
mod address_limits;
mod answers;
mod attacks;
mod auth;
mod auth_jwks;
mod auth_rooms;
mod backend;
mod conformance;
mod deflate;
mod demo;
mod errors;
mod handshake;
mod handshake_rules;
mod health_and_metrics;
mod heartbeat;
mod keep_alive;
mod order_and_echo;
mod origins;
mod own_rooms;
#[cfg(debug_assertions)]
mod panic;
mod patterns;
mod payload_rules;
mod presence;
mod rates;
mod receipts;
mod reload;
mod resume;
mod signals;
mod state;
#[path = "../support/mod.rs"]
mod support;
mod tickets;
mod user_connections;
mod wrong_shapes;
