//! `roomcast token make` and `roomcast token show`: tokens for trying things out, and why a token
//! does or does not do what it should.

mod show;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use roomcast_access::keys::read_secrets;
use roomcast_access::token::{RoomWords, TokenDraft, sign};
use roomcast_protocol::{Data, UserName};
use serde_json::value::RawValue;

/// What `roomcast token` is asked.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Print a token signed with a shared secret (HS256)
    Make(MakeArgs),
    /// Print what a token says; with a configuration also whether it is good, and what it allows
    Show(show::ShowArgs),
}

/// The claims of a new token.
#[derive(Debug, Args)]
pub(crate) struct MakeArgs {
    /// File with the secret, at least 32 bytes; of several lines the first counts
    #[arg(long, value_name = "FILE")]
    secret_file: PathBuf,
    /// The user
    #[arg(long, value_parser = UserName::parse)]
    sub: UserName,
    /// How long it is good: a number with s, m, h or d
    #[arg(long = "for", value_name = "TIME", value_parser = parse_time)]
    life: Duration,
    /// Rooms and what may be done there, such as 'chat:*=join,publish'; repeat it for others
    #[arg(long = "room", value_name = "PATTERN=WORDS")]
    rooms: Vec<RoomWords>,
    /// What other members see of the user: a JSON value
    #[arg(long, value_name = "JSON")]
    info: Option<String>,
    /// An id by which the token can be banned
    #[arg(long, value_name = "ID")]
    jti: Option<String>,
}

/// Makes or shows a token.
pub(crate) async fn run(command: TokenCommand) -> anyhow::Result<ExitCode> {
    match command {
        TokenCommand::Make(args) => make(args),
        TokenCommand::Show(args) => show::run(args).await,
    }
}

fn make(args: MakeArgs) -> anyhow::Result<ExitCode> {
    let file = args.secret_file.display().to_string();
    let bytes = fs::read(&args.secret_file).with_context(|| file.clone())?;
    read_secrets(&bytes).with_context(|| file.clone())?;
    let mut lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let Some(secret) = lines.find(|line| !line.is_empty()) else { bail!("{file} is empty") };
    let info = args.info.map(|text| {
        Data::json(text.clone()).context("--info")?;
        RawValue::from_string(text.trim().to_owned()).context("--info")
    });
    let draft = TokenDraft {
        sub: args.sub.as_str().to_owned(),
        exp: now_seconds() + args.life.as_secs(),
        rooms: args.rooms,
        info: info.transpose()?,
        jti: args.jti,
    };
    println!("{}", sign(secret, &draft.claims()?)?);
    Ok(ExitCode::SUCCESS)
}

/// The machine's clock, in seconds since 1970.
#[expect(clippy::disallowed_methods, reason = "the ends of tokens are points in time")]
fn now_seconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

fn parse_time(text: &str) -> Result<Duration, &'static str> {
    const SHAPE: &str = "give a number with s, m, h or d, such as 1h";
    let last = text.chars().next_back().ok_or(SHAPE)?;
    let number = &text[..text.len() - last.len_utf8()];
    let seconds = match last {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(SHAPE),
    };
    let number: u64 = number.parse().map_err(|_| SHAPE)?;
    let seconds = number.checked_mul(seconds).filter(|all| (1..=315_360_000).contains(all));
    seconds.map(Duration::from_secs).ok_or("give a time from 1s to 3650d")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        for (text, seconds) in [("1s", 1), ("90m", 5_400), ("1h", 3_600), ("30d", 2_592_000)] {
            assert_eq!(parse_time(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for bad in ["", "h", "10", "-1h", "1w", "1.5h", "0s", "99999999999999999999d", "1ä"] {
            assert!(parse_time(bad).is_err(), "{bad}");
        }
    }
}
