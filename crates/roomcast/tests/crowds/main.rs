//! The tests with thousands of connections or rooms, and those that measure what peers make a node
//! hold. They are apart from the others, which would wait for them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod held_bytes;
mod many_rooms;
mod storm;
#[path = "../support/mod.rs"]
mod support;
