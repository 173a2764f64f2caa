//! The program `roomcast`: it runs a node, and has commands for those who operate one or talk to
//! one. Each command has a file. What a node is, the crate `gateway` knows.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program's own output")]

mod api_key;
mod arguments;
mod config;
mod drain;
mod echo;
mod health;
mod keys;
mod log;
mod publish;
mod serve;
mod tail;
mod terminal;
mod token;

use std::future::Future;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The default allocator keeps what a burst of handshakes took; this one gives it back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A horizontally scaled real-time relay: rooms over WebSocket, in order across nodes.
#[derive(Debug, Parser)]
#[command(name = "roomcast", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node
    Serve(serve::ServeArgs),
    /// Check or print the configuration
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Print where a room is found in Redis: its partition, slot, keys and channel, as JSON
    Keys(keys::KeysArgs),
    /// Make an API key for a backend; prints it, then its table for the configuration
    ApiKey(api_key::ApiKeyArgs),
    /// Ask this machine's node whether it is ready (or lives); ends with 1 if not
    Health(health::HealthArgs),
    /// Have this machine's node drain, and wait for its end
    Drain(drain::DrainArgs),
    /// Print what comes in some rooms, as JSON lines; goes on by itself after a lost connection
    Tail(tail::TailArgs),
    /// Publish one message, or one for each line of stdin
    Publish(publish::PublishArgs),
    /// Send every WebSocket message back, on every path: for test suites of WebSocket
    #[command(hide = true)]
    Echo(echo::EchoArgs),
    /// Make a token, or show what one says and what it allows
    #[command(subcommand)]
    Token(token::TokenCommand),
}

fn main() -> ExitCode {
    let outcome = match arguments::parse::<Arguments>().command {
        Command::Serve(args) => serve::run(&args),
        Command::Config(command) => config::run(command),
        Command::Health(args) => block_on(health::run(args)),
        Command::Keys(args) => keys::run(args),
        Command::ApiKey(args) => api_key::run(&args),
        Command::Drain(args) => drain::run(&args),
        Command::Tail(args) => block_on(tail::run(args)),
        Command::Publish(args) => block_on(publish::run(args)),
        Command::Echo(args) => block_on(echo::run(args)),
        Command::Token(command) => block_on(token::run(command)),
    };
    outcome.unwrap_or_else(|error| {
        terminal::complain(&format!("{error:#}"));
        ExitCode::FAILURE
    })
}

/// Runs a command that talks to nodes, on this thread.
fn block_on(command: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(command)
}
