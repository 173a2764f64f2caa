//! `roomcast token show`: the header and the claims of a token; with a configuration, whether a node
//! takes it, and for each action in a room what allows it or what is missing.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use roomcast_access::capability::{Capabilities, Capability};
use roomcast_access::identity::AccessIdentity;
use roomcast_access::keys::KeySet;
use roomcast_access::policy::{AllowedBy, Caller, RoomStanding, decide};
use roomcast_access::token::{unverified, verify_connection, verify_room};
use roomcast_gateway::config::{self, Config, ServeArgs};
use roomcast_gateway::fetch_key_set;
use roomcast_protocol::{RoomName, UserName};
use serde_json::Value;

use super::now_seconds;
use crate::terminal::plain;

/// What `roomcast token show` is asked.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The token
    token: String,
    /// A node's configuration (TOML): check the token as that node does
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Show what the token allows in this room
    #[arg(long, value_parser = RoomName::parse, requires = "config")]
    room: Option<RoomName>,
}

/// A token that was checked.
struct CheckedClaims {
    identity: AccessIdentity,
    /// The name of the key that signed it.
    key: String,
    /// What a room's own token gives, and where.
    pass: Option<(RoomName, Capabilities)>,
}

/// Prints it; ends with 1 if a node would refuse the token.
pub(super) async fn run(args: ShowArgs) -> anyhow::Result<ExitCode> {
    let token = args.token.trim();
    let (header, claims) = unverified(token)?;
    println!("header  {}", plain(&header));
    println!("claims  {}", plain(&claims));
    let claims: Value = serde_json::from_str(&claims).context("the claims are no JSON")?;
    if let Some(exp) = claims.get("exp").and_then(Value::as_f64) {
        println!("end     {}", end(exp, now_seconds() as f64));
    }
    let Some(file) = args.config else {
        println!("check   none: give --config FILE to have it checked as a node does");
        return Ok(ExitCode::SUCCESS);
    };
    let config = config::load(&ServeArgs { config: Some(file), ..ServeArgs::default() })?;
    let keys = fetch_key_set(&config.auth).await?;
    let checked = match check(token, &claims, &config, &keys) {
        Ok(checked) => checked,
        Err(refusal) => {
            println!("check   refused: {}", plain(&format!("{refusal:#}")));
            return Ok(ExitCode::FAILURE);
        }
    };
    println!("check   good, signed by {}", plain(&checked.key));
    let own = checked.pass.as_ref().map(|(room, _)| room.clone());
    if let Some(room) = args.room.or(own) {
        show_actions(&config, &checked, &room);
    }
    Ok(ExitCode::SUCCESS)
}

fn end(exp: f64, now: f64) -> String {
    match exp - now {
        left if left > 0.0 => format!("in {left:.0} s"),
        past => format!("{:.0} s ago", -past),
    }
}

fn check(
    token: &str,
    claims: &Value,
    config: &Config,
    keys: &KeySet,
) -> anyhow::Result<CheckedClaims> {
    let (rules, now) = (config.auth.token_rules(config.limits.info_bytes), now_seconds() * 1_000);
    let named = |key: Option<&str>| key.unwrap_or("a key without a name").to_owned();
    let Some(room) = claims.get("room").and_then(Value::as_str) else {
        let identity = verify_connection(token, keys, &rules, now)?;
        return Ok(CheckedClaims { key: named(identity.key()), identity, pass: None });
    };
    let room = RoomName::parse(room).context("the claim `room`")?;
    let user = claims.get("sub").and_then(Value::as_str).unwrap_or_default();
    let user = UserName::parse(user).context("the claim `sub`")?;
    let pass = verify_room(token, keys, &rules, now, Some(&user), &room)?;
    Ok(CheckedClaims {
        identity: AccessIdentity::named(user),
        key: named(pass.key.as_deref()),
        pass: Some((room, pass.can)),
    })
}

fn show_actions(config: &Config, checked: &CheckedClaims, room: &RoomName) {
    let (namespace, policy) = config.namespaces.of(room);
    let policy = policy.access_policy(config.auth.authentication());
    println!("room    {} (namespace {namespace})", plain(room.as_str()));
    let of_room = match &checked.pass {
        Some((own, can)) if own == room => *can,
        _ => Capabilities::NONE,
    };
    for action in Capability::ALL {
        let standing = match action {
            Capability::Join => RoomStanding::Entering(of_room),
            _ => RoomStanding::Inside(of_room),
        };
        let caller = Caller::Connection(&checked.identity);
        let verdict = match decide(caller, &policy, action, room.as_str(), standing) {
            Ok(AllowedBy::Policy(rule)) => {
                format!("yes: namespaces.{namespace}.allow_{action} is {}", rule.word())
            }
            Ok(AllowedBy::Token) => "yes: the token's `rooms`".to_owned(),
            Ok(AllowedBy::RoomToken) => "yes: the room token's `can`".to_owned(),
            Ok(AllowedBy::ApiKey) => "yes: the API key".to_owned(),
            Err(denied) => format!("no: {denied}"),
        };
        println!("  {:<9} {verdict}", action.word());
    }
}
