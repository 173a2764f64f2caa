//! The program `roomcast`: a node, its configuration, and two commands to talk to one.

mod commands;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use commands::{config, drain, health, keys, publish, serve, tail};

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
    /// Ask this machine's node whether it is ready (or lives); ends with 1 if not
    Health(health::HealthArgs),
    /// Have this machine's node drain, and wait for its end
    Drain(drain::DrainArgs),
    /// Print what comes in some rooms, as JSON lines; goes on by itself after a lost connection
    Tail(tail::TailArgs),
    /// Publish one message, or one for each line of stdin
    Publish(publish::PublishArgs),
}

fn main() -> ExitCode {
    let outcome = match commands::parse::<Arguments>().command {
        Command::Serve(args) => serve::run(&args),
        Command::Config(command) => config::run(command),
        Command::Health(args) => commands::block_on(health::run(args)),
        Command::Keys(args) => keys::run(args),
        Command::Drain(args) => drain::run(&args),
        Command::Tail(args) => commands::block_on(tail::run(args)),
        Command::Publish(args) => commands::block_on(publish::run(args)),
    };
    outcome.unwrap_or_else(|error| {
        commands::complain(&format!("{error:#}"));
        ExitCode::FAILURE
    })
}
