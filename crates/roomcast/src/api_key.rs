//! `roomcast api-key NAME --scopes "publish read"`: makes a key for a backend. It is printed once;
//! the configuration gets its hash only.

use std::process::ExitCode;

use anyhow::anyhow;
use clap::Args;
use roomcast_access::api_key::{ApiScopes, NewApiKey};

/// What `roomcast api-key` is asked.
#[derive(Debug, Args)]
pub(crate) struct ApiKeyArgs {
    /// The key's name: a-z, 0-9, _ and -; the name of the backend, for example
    name: String,
    /// What it opens, separated by blanks: publish, read, admin
    #[arg(long, value_name = "SCOPES")]
    scopes: String,
}

/// Prints the key on the first line, then the table for the configuration.
pub(crate) fn run(args: &ApiKeyArgs) -> anyhow::Result<ExitCode> {
    let ApiKeyArgs { name, scopes } = args;
    ApiScopes::parse(scopes).map_err(|word| anyhow!("--scopes: {word:?} is no scope"))?;
    let NewApiKey { presented, sha256 } = NewApiKey::generate(name, rand::random())?;
    let scopes = scopes.split_whitespace().collect::<Vec<_>>().join(" ");
    println!("{presented}\n\n[api_keys.{name}]\nsha256 = \"{sha256}\"\nscopes = \"{scopes}\"");
    Ok(ExitCode::SUCCESS)
}
