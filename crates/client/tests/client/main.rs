//! The client over real sockets, against a node that does what the test says.

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test, also in shared steps")]

mod connection;
mod node;
mod people;
mod publish;
mod rooms;
