//! The tests of the program `roomcast` as a process: its commands, pipes, signals, log and end.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod commands;
mod drain;
mod people;
mod pipes;
mod proxies;
#[path = "../support/mod.rs"]
mod support;
mod token;
mod traces;
