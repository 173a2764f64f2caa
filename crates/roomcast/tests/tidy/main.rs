//! The tests that hold the tree to its rules: they read files and start nothing.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod guarantees;
