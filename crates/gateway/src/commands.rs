//! The commands of the program, one file each.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program's own output")]

pub(crate) mod config;
pub(crate) mod drain;
pub(crate) mod health;
pub(crate) mod publish;
pub(crate) mod serve;
pub(crate) mod tail;

use std::future::Future;
use std::process::ExitCode;

/// Runs a command that is a client, on this thread.
pub(crate) fn block_on(
    command: impl Future<Output = anyhow::Result<ExitCode>>,
) -> anyhow::Result<ExitCode> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(command)
}

/// Says on stderr why the program ends.
pub(crate) fn complain(message: &str) {
    eprintln!("roomcast: {message}");
}
