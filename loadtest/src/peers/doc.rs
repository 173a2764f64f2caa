//! The document that `peers --write` writes: what ran, the tables, and what they can say. Pure text.

use std::fmt::Write;

use super::versions::Versions;
use super::{Part, Run, tables};
use crate::run::text::heading;

const OPENING: &str = "# Benchmarks beside other servers

Roomcast and three servers that do the same job, on one machine, in turns, under the same scenarios:
rooms over three nodes on one Redis, WebSocket clients that receive, connections that publish. What
follows is written by the command; no figure in it is edited.
";

/// Above this line of the file the document is written by hand, and kept.
const MARK: &str = "<!-- From here on written by `loadtest peers --write`. -->\n";

/// The file with its part below the mark replaced; without a mark, the document alone.
pub(super) fn replaced(file: &str, document: &str) -> String {
    match file.split_once(MARK) {
        Some((kept, _)) => format!("{kept}{MARK}\n{document}"),
        None => document.to_owned(),
    }
}

const SERVERS: &str = "
| server | what it is | what it promises |
|---|---|---|
| Roomcast | this project, JSON encoding | messages of a room numbered in one order, kept, each delivered once; a client that comes back gets what it missed, on any node, or is told that it cannot; publishes are acknowledged and may be repeated |
| ws + Redis | the design of tutorials: the npm package `ws`, one Redis channel for each room (`loadtest/peers/ws`) | delivery to whoever is connected; what is sent while a client is away, or while a node is not subscribed, is lost untold |
| Socket.IO | with its Redis adapter, WebSocket only (`loadtest/peers/socketio`) | the same; the adapter on Redis Pub/Sub does not support its connection state recovery |
| Nchan | Debian's module for nginx, one channel for each room (`loadtest/peers/nchan`) | keeps messages of a channel for a while; a subscriber that comes back with its last message's id goes on from there, as long as the message is kept; publishes are answered per message |
";

const HOW: &str = "
## How it is measured
- **Equal means.** Three nodes each, one process with one working thread per node; one Redis without
  persistence; the same bytes of data; publishers on connections of their own, WebSocket for all.
  Nothing is pinned to cores. Each run begins with fresh processes, and each round lets another
  server go first.
- **Delay** counts from the moment at which a message was *due*, not from when the load got round to
  sending it, to the `recv` that brought it: a server that stalls does not hide the messages that
  would have been sent meanwhile (coordinated omission). HdrHistogram, three digits. Warm-up is left
  out.
- **CPU** is that of all node processes by the scheduler's account, over the seconds that count,
  divided by the deliveries of these seconds. Redis stands beside it.
- **KiB/connection** is the nodes' resident memory with everybody connected, less that before, for
  each connection.
- **Saturation** doubles the rate of a hot room until a server delivers less than nine tenths of
  what is offered, or gives up; the step at which most arrived counts.
- **A killed node** gets SIGKILL. Its clients try another node after 100 to 200 ms, then after
  growing pauses, the same for all servers; time counts from the kill to the first message on the
  new connection. Roomcast's and Nchan's clients say where they stood, the others join anew.
- A cell is the median over the rounds and, if they differ, (smallest–largest).
";

const LIMITS: &str = "
## What the figures can and cannot say
- Servers, Redis and load share two cores with each other, and perhaps with other work: *kept
  waiting %* is time in which nodes could run and others had the core. Ratios within a round hold
  better than absolute figures; differences below some 20 % are noise. Delays at this load measure
  waiting for a core as much as the servers.
- At saturation the load needs as much of the machine as the servers: *load's cores* tells. Steps
  double, so that a limit between two of them shows only in how far the last one fell short. A
  server that delivers all that the last step of 6,400 messages/s offers is not saturated, and its
  figure is a lower bound.
- One stall of a node by a tenth of a second, its own or the machine's, decides p99.9 of a run of
  fifteen seconds: see the range of the rounds.
- The servers do not do the same for a message. Roomcast numbers and keeps each, answers its
  publisher, and refuses a repeated key; all of that is in its figures. It coalesces deliveries that
  wait for the same socket, so its cost for each falls as the load grows; at low rates there is
  little to coalesce.
- Nchan publishes over one connection for each room, because its channel is in the path. It writes
  its answers to publishers in words.
- Memory for each connection holds what a node takes once, with its first clients; where the kernel
  gives huge pages that comes in steps of 2 MiB for each thread, and at a thousand clients a node it
  outweighs the connections. Other runs of the same load gave Roomcast 6 KiB; what one more
  connection adds is 1.3 KiB (`loadtest idle`).
- Node.js collects garbage when it sees fit: its memory, and so that for each connection, depends on
  the moment.
- Everything runs over loopback on one machine: no network delay, no loss, no TLS.
";

/// The whole document.
pub(super) fn document(
    runs: &[Run],
    failed: &[String],
    (command, versions): (&str, &Versions),
) -> String {
    let mut out = OPENING.to_owned();
    let _ = writeln!(
        out,
        "\n```sh\ncargo build --release --locked --bins\ntarget/release/loadtest {command}\n```\n"
    );
    let rounds = runs.iter().map(|run| run.round).max().unwrap_or_default();
    let programs = versions.programs.iter().map(|(name, version)| format!("{name} {version}"));
    let programs: Vec<String> = programs.collect();
    let _ = writeln!(
        out,
        "Machine: {}. {}. Rounds: {rounds}.\n\n## Summary\n\n{}",
        versions.machine,
        programs.join(", "),
        tables::summary(runs)
    );
    let _ = writeln!(
        out,
        "Saturated deliveries are from the hot room at a raised rate, costs and delays from steady \
         chat below every server's limit, memory from the same, the rest from the killed node.\n\n\
         As multiples of Roomcast in the same round:\n\n{}",
        tables::ratios(runs)
    );
    out.push_str("## The servers\n");
    out.push_str(SERVERS);
    out.push_str(HOW);
    let parts = [
        (Part::Chat, "Steady chat"),
        (Part::HotRoom, "One hot room"),
        (Part::Saturation, "Saturation"),
        (Part::Kill, "A node is killed"),
    ];
    for (part, title) in parts {
        let Some(run) = runs.iter().find(|run| run.part == part) else { continue };
        let setup = heading(&run.outcome);
        let setup = setup.split_once(": ").map_or(&*setup, |(_, setup)| setup);
        let more = match part {
            Part::Saturation => " The rate is the one of the step that counts; see the table.",
            _ => "",
        };
        let _ = writeln!(
            out,
            "\n## {title}\n`loadtest/scenarios/{}.toml`: {setup}.{more}\n\n{}",
            run.outcome.scenario.name,
            tables::of(part, runs).to_string().trim_end()
        );
    }
    if !failed.is_empty() {
        out.push_str("\n## Runs that failed\n");
        for note in failed {
            // Only the first line: a server's last words may be long.
            let _ = writeln!(out, "- {}", note.lines().next().unwrap_or_default());
        }
    }
    out.push_str(LIMITS);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::sample_outcome;

    #[test]
    fn what_is_written_by_hand_is_kept() {
        assert_eq!(replaced("", "# new\n"), "# new\n");
        assert_eq!(replaced("# an older document\n", "# new\n"), "# new\n");
        let file = format!("by hand\n\n{MARK}\n# an older document\n");
        let wanted = format!("by hand\n\n{MARK}\n# new\n");
        assert_eq!(replaced(&file, "# new\n"), wanted);
        let page = include_str!("../../../docs/benchmarks.md");
        assert_eq!(page.matches(MARK).count(), 1);
        assert!(page.contains(&format!("{MARK}\n{OPENING}")), "the opening is the program's");
    }

    #[test]
    fn the_document_names_the_command_the_machine_and_every_part_that_ran() {
        let run = |part| Run { part, round: 1, outcome: sample_outcome() };
        let failed = ["chat on ws: it ended\nits log".to_owned()];
        let versions =
            Versions { machine: "2 cores".to_owned(), programs: vec![("ws", "8".to_owned())] };
        let text = document(&[run(Part::Chat), run(Part::Kill)], &failed, ("peers", &versions));
        for words in [
            "target/release/loadtest peers\n",
            "2 cores",
            "ws 8",
            "## Steady chat",
            "- chat on ws: it ended\n",
            "| Roomcast |",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert!(text.contains("## A node is killed") && !text.contains("## Saturation"), "{text}");
    }
}
