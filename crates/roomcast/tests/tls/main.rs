//! The tests of TLS: whole nodes with certificates of their own, and clients of every kind.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(unreachable_pub, reason = "modules of one test program")]

mod attack;
mod certificates;
mod clients;
mod odd_records;
mod records;
mod rotation;
#[path = "../support/mod.rs"]
mod support;
