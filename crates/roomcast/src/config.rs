//! `roomcast config check FILE` and `roomcast config print`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use roomcast_gateway::Node;
use roomcast_gateway::config::{self, ServeArgs};

use crate::terminal::{complain, plain};

/// What `roomcast config` is asked.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check a file; prints what is wrong with it and ends with 1
    Check {
        /// The TOML file
        file: PathBuf,
    },
    /// Print every key, its value and where that came from; ends with 1 if anything is wrong
    Print(ServeArgs),
}

/// Checks or prints.
pub(crate) fn run(command: ConfigCommand) -> anyhow::Result<ExitCode> {
    match command {
        ConfigCommand::Check { file } => {
            for missing in Node::check_files(&config::check(&file)?)? {
                complain(&format!("warning: {missing}"));
            }
            println!("{}: fine", file.display());
        }
        ConfigCommand::Print(args) => {
            for warning in config::warnings(&args) {
                complain(&format!("warning: {warning}"));
            }
            let entries = config::explain(&args)?;
            let width = entries.iter().map(|entry| entry.key.len()).max().unwrap_or(0);
            for entry in entries {
                let line = format!("{:width$}  = {}  # {}", entry.key, entry.value, entry.origin);
                println!("{}", plain(&line));
            }
            // All of it is shown, also what is wrong.
            config::load(&args)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
