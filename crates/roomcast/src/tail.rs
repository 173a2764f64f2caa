//! `roomcast tail ROOM…`: prints what comes in some rooms, one JSON value per line, and goes on by
//! itself after a lost connection. What is not about a room goes to stderr.

use std::collections::HashSet;
use std::fs;
use std::future::ready;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use futures_util::FutureExt;
use roomcast_client::{Client, Event, JoinOptions, Options, TokenSource};
use roomcast_protocol::{Encoding, Epoch, Position, RoomName, UserName};

use crate::terminal::{plain, print};

mod lines;

use lines::{HoleLine, MessageLine, frame_line, is_about_people};

/// What `roomcast tail` is asked.
#[derive(Debug, Args)]
pub(crate) struct TailArgs {
    /// Rooms to follow
    #[arg(required = true, value_name = "ROOM", value_parser = RoomName::parse)]
    rooms: Vec<RoomName>,
    #[command(flatten)]
    node: TargetArgs,
    /// Begin after this position, as printed in "epoch" and "seq"; for one room
    #[arg(long, value_name = "EPOCH:SEQ", value_parser = parse_position)]
    since: Option<Position>,
    /// Begin with up to this many of the latest messages
    #[arg(long, value_name = "N", conflicts_with = "since")]
    history: Option<u32>,
    /// Print who comes, goes, is away and writes, and signals, too
    #[arg(long)]
    presence: bool,
    /// Print the state of rooms that keep some, too
    #[arg(long)]
    state: bool,
    /// Receive MessagePack instead of JSON (what is printed is the same)
    #[arg(long)]
    msgpack: bool,
}

/// Which nodes a command talks to, and as whom.
#[derive(Debug, Args)]
pub(crate) struct TargetArgs {
    /// A node; repeat it to have others tried in turn
    #[arg(long = "url", value_name = "URL", default_value = "ws://127.0.0.1:8080/ws")]
    urls: Vec<String>,
    /// Certificates (PEM) of the authorities to trust behind wss://, in place of the system's
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Name to go by where nodes do not authenticate
    #[arg(long, value_parser = UserName::parse)]
    user: Option<UserName>,
    /// Token to connect with; other users of this machine see it, so a file is better
    #[arg(long, value_name = "TOKEN", conflicts_with = "token_file")]
    token: Option<String>,
    /// File with the token; it is read again before each connection and before the token ends
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl TargetArgs {
    pub(crate) fn options(self) -> anyhow::Result<Options> {
        let token = match (self.token, self.token_file) {
            (Some(token), _) => Some(TokenSource::fixed(token)),
            (None, Some(file)) => Some(TokenSource::from_fn(move || ready(read_token(&file)))),
            (None, None) => None,
        };
        let read = |path: PathBuf| {
            std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        let ca = self.ca.map(read).transpose()?;
        Ok(Options { user: self.user, token, ca, ..Options::new(self.urls) })
    }
}

/// The token in a file; blanks and line ends around it do not count.
fn read_token(file: &Path) -> Result<String, String> {
    let read = fs::read_to_string(file);
    read.map(|text| text.trim().to_owned()).map_err(|e| format!("{}: {e}", file.display()))
}

fn parse_position(text: &str) -> Result<Position, &'static str> {
    let shape = "a position is 16 hex digits, a colon and a number";
    let (epoch, seq) = text.split_once(':').ok_or(shape)?;
    let epoch = Epoch::parse(epoch).ok_or(shape)?;
    Ok(Position { epoch, seq: seq.parse().map_err(|_| shape)? })
}

/// Follows rooms until Ctrl-C, a closed stdout (both a success), or until no room is left.
pub(crate) async fn run(args: TailArgs) -> anyhow::Result<ExitCode> {
    if args.since.is_some() && args.rooms.len() > 1 {
        anyhow::bail!("--since is a position in one room; follow the others with another tail");
    }
    let mut options = args.node.options()?;
    if args.msgpack {
        options.encoding = Encoding::MsgPack;
    }
    let client = Client::connect(options)?;
    for room in &args.rooms {
        let (since, history) = (args.since.map(Into::into), args.history);
        let (presence, info, strict) = (args.presence, None, false);
        let options = JoinOptions { since, history, presence, info, strict };
        client.join(room.clone(), options).await?;
    }
    let shown = Shown { presence: args.presence, state: args.state };
    let mut rooms = args.rooms.into_iter().collect();
    let followed = tokio::select! {
        followed = follow(&client, &mut rooms, shown) => followed,
        interrupt = tokio::signal::ctrl_c() => {
            interrupt.context("cannot wait for Ctrl-C")?;
            Ok(ExitCode::SUCCESS)
        }
    };
    client.close().await;
    match followed {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        followed => followed.context("cannot write to stdout"),
    }
}

/// What is printed besides messages and holes.
#[derive(Debug, Clone, Copy, Default)]
struct Shown {
    presence: bool,
    state: bool,
}

/// Prints events as they come, flushing whenever none is waiting.
async fn follow(
    client: &Client,
    rooms: &mut HashSet<RoomName>,
    shown: Shown,
) -> io::Result<ExitCode> {
    let mut out = BufWriter::new(io::stdout());
    while let Some(event) = client.next().await {
        let mut waiting = Some(event);
        while let Some(event) = waiting {
            if let Some(lost) = tell(&mut out, event, shown)? {
                rooms.remove(&lost);
            }
            waiting = client.next().now_or_never().flatten();
        }
        out.flush()?;
        if rooms.is_empty() {
            break;
        }
    }
    Ok(ExitCode::FAILURE)
}

/// One line for one event; returns the room if it is not followed any more.
fn tell(out: &mut impl Write, event: Event, shown: Shown) -> io::Result<Option<RoomName>> {
    match &event {
        Event::Message { room, position, message } => {
            print(out, &MessageLine::new(room, *position, message)?)?;
        }
        Event::Gap { .. } | Event::Reset { .. } => print(out, &HoleLine::new(&event))?,
        Event::State { .. } if !shown.state => {}
        event if is_about_people(event) && !shown.presence => {}
        event if matches!(event, Event::State { .. }) || is_about_people(event) => {
            print(out, &frame_line(event)?)?;
        }
        _ => note(&status(&event)),
    }
    Ok(match event {
        Event::Left { room, .. } | Event::Error { room: Some(room), retry_in: None, .. } => {
            Some(room)
        }
        _ => None,
    })
}

/// What an event that prints no line of its own says to people.
pub(crate) fn status(event: &Event) -> String {
    match event {
        Event::Connected { node, attempt, .. } => format!("connected to {node} (try {attempt})"),
        Event::Disconnected { url, reason, retry_in } => {
            let pause = retry_in.as_millis();
            format!("disconnected from {url}: {reason}; next try in {pause} ms")
        }
        Event::Joined { room, position: Position { epoch, seq }, recovered, counts, .. } => {
            let how = match recovered {
                Some(true) => ", nothing was missed",
                Some(false) => ", something was missed",
                None => "",
            };
            let counts = counts
                .map(|counts| format!("; connections {}, users {}", counts.count, counts.users));
            format!("joined {room} at {epoch}:{seq}{how}{}", counts.unwrap_or_default())
        }
        Event::Left { room, reason: Some(reason) } => format!("removed from {room}: {reason}"),
        Event::Left { room, reason: None } => format!("left {room}"),
        Event::Error { room, code, message, .. } => {
            let room = room.as_ref().map(|room| format!("{room}: ")).unwrap_or_default();
            format!("{room}{}: {message}", code.as_str())
        }
        Event::Closed { url, code: Some(code), reason } => {
            format!("closed by {url} with {code}: {reason}")
        }
        Event::Closed { url, code: None, reason } => format!("no connection to {url}: {reason}"),
        other => format!("{other:?}"),
    }
}

/// A line to stderr, in which others' words steer no terminal; if that is closed, it is lost.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{}", plain(text));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_reads_as_it_is_printed() {
        assert_eq!(
            parse_position("00000000000000e1:7"),
            Ok(Position { epoch: Epoch(0xe1), seq: 7 })
        );
        for bad in ["", "7", "e1:7", "00000000000000e1:", "00000000000000e1:-1"] {
            assert!(parse_position(bad).is_err(), "{bad}");
        }
    }
}
