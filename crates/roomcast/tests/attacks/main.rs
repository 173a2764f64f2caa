//! The attacks that `docs/security.md` lists, on whole nodes: what the attacker is answered, and that
//! the node serves the others as before.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod forged;
mod odd_requests;
mod page;
mod phases;
mod returning;
mod secrets;
#[path = "../support/mod.rs"]
mod support;
mod wrong_rooms;
