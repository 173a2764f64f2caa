//! The commands of the program, one file each.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program's own output")]

pub(crate) mod config;
pub(crate) mod drain;
pub(crate) mod health;
pub(crate) mod keys;
mod log;
pub(crate) mod publish;
pub(crate) mod serve;
pub(crate) mod tail;
mod terminal;

use std::future::Future;
use std::process::ExitCode;

use clap::Parser;
use clap::error::{ContextKind, ContextValue};

/// Reads the command line; a mistake in it, or a question about it, ends the program. What may be a
/// password, typed in a wrong place, is not shown again.
pub(crate) fn parse<P: Parser>() -> P {
    P::try_parse().unwrap_or_else(|error| without_secrets(error).exit())
}

fn without_secrets(mut error: clap::Error) -> clap::Error {
    let secret = |text: &str| text.contains("://") || text.contains('@');
    let kinds: Vec<_> = error
        .context()
        .filter(|(_, value)| match value {
            ContextValue::String(text) => secret(text),
            ContextValue::Strings(texts) => texts.iter().any(|text| secret(text)),
            ContextValue::StyledStr(text) => secret(&text.to_string()),
            ContextValue::StyledStrs(texts) => texts.iter().any(|text| secret(&text.to_string())),
            _ => false,
        })
        .map(|(kind, _)| kind)
        .collect();
    for kind in kinds {
        match kind {
            ContextKind::InvalidArg
            | ContextKind::InvalidValue
            | ContextKind::InvalidSubcommand => {
                error.insert(kind, ContextValue::String("***".into()));
            }
            ContextKind::Usage => {}
            _ => drop(error.remove(kind)),
        }
    }
    error
}

/// Runs a command that is a client, on this thread.
pub(crate) fn block_on(
    command: impl Future<Output = anyhow::Result<ExitCode>>,
) -> anyhow::Result<ExitCode> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(command)
}

/// Says on stderr why the program ends, or what it should not end for.
pub(crate) fn complain(message: &str) {
    eprintln!("roomcast: {}", terminal::plain_lines(message));
}
