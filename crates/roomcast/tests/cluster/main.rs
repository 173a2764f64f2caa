//! The tests of several nodes on one Redis: that they show the same, and what they do as Redis fails.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod deaf;
mod demo;
mod kill;
mod leases;
mod log;
mod order;
mod orders;
mod own_rooms;
mod presence;
mod redis_faults;
mod repair;
mod resume;
mod room_rate;
mod servers;
mod start;
mod state;
#[path = "../support/mod.rs"]
mod support;
mod users;
