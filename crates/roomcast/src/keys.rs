//! `roomcast keys ROOM`: where a room is found in Redis, for operators and tests.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use roomcast_bus::{RedisOptions, RoomNames, locate_room, room_names};
use roomcast_gateway::config::{self, ServeArgs, Setting};
use roomcast_protocol::{RoomKind, RoomName, UserName};

/// What `roomcast keys` is asked.
#[derive(Debug, Args)]
pub(crate) struct KeysArgs {
    /// The room; @me with --user
    #[arg(default_value = "@me")]
    room: String,
    /// The user whose own room it is
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// A TOML file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Set any key: bus.prefix=NAME
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<Setting>,
}

/// Prints the room's partition, slot, keys and channel as JSON.
pub(crate) fn run(args: KeysArgs) -> anyhow::Result<ExitCode> {
    let room = match &args.user {
        Some(user) => RoomName::user(&UserName::parse(user).context("the user's name")?),
        None => RoomName::parse(&args.room).context("the room's name")?.of_user(None),
    };
    anyhow::ensure!(room.kind() != RoomKind::Me, "whose @me? Give --user NAME");
    let config =
        config::load(&ServeArgs { config: args.config, set: args.set, ..ServeArgs::default() })?;
    let names: RoomNames = match &config.bus.redis_url {
        Some(url) => {
            let prefix = config.bus.prefix.clone();
            locate_room(&RedisOptions { prefix, ..RedisOptions::new(url.expose()) }, &room)?
        }
        // The bus in memory has no keys: these are those of a Redis with the same prefix.
        None => room_names(&config.bus.prefix, 0, &room),
    };
    println!("{}", serde_json::to_string(&names)?);
    Ok(ExitCode::SUCCESS)
}
