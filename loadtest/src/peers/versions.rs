//! What ran on what: the machine and the versions, for the document.

use std::fs;
use std::process::Command;

/// One line for each thing that a figure depends on.
#[derive(Debug, Clone)]
pub(super) struct Versions {
    pub(super) machine: String,
    /// Name and version.
    pub(super) programs: Vec<(&'static str, String)>,
}

impl Versions {
    /// Asks the machine and the programs.
    pub(super) fn here() -> Self {
        let packages = include_str!("../../peers/package.json");
        let package = |name: &str| {
            let line = packages.lines().find(|line| line.contains(&format!("\"{name}\":")));
            line.and_then(|line| line.rsplit('"').nth(1)).unwrap_or("unknown").to_owned()
        };
        let nchan = "${Version}";
        Self {
            machine: machine(),
            programs: vec![
                ("Roomcast", env!("CARGO_PKG_VERSION").to_owned()),
                ("Redis", word(&["redis-server", "--version"], "v=")),
                ("Node.js", word(&["node", "--version"], "v")),
                ("ws", package("ws")),
                ("redis (npm)", package("redis")),
                ("socket.io", package("socket.io")),
                ("@socket.io/redis-adapter", package("@socket.io/redis-adapter")),
                ("nginx", word(&["/usr/sbin/nginx", "-v"], "nginx/")),
                ("libnginx-mod-nchan", said(&["dpkg-query", "-Wf", nchan, "libnginx-mod-nchan"])),
            ],
        }
    }
}

fn machine() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let after = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).map(str::to_owned);
        line.and_then(|line| Some(line.split_once(':')?.1.trim().to_owned()))
    };
    let model = after(&cpus, "model name").unwrap_or_else(|| "unknown CPU".to_owned());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = after(&fs::read_to_string("/proc/meminfo").unwrap_or_default(), "MemTotal");
    let kib = memory.and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
    let gib = kib.unwrap_or_default().div_ceil(1 << 20);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{cores} cores of {model}, {gib} GiB, Linux {}", kernel.trim())
}

/// All that a program says of itself; empty if it is not there.
fn said(command: &[&str]) -> String {
    let Some((program, arguments)) = command.split_first() else { return String::new() };
    let Ok(done) = Command::new(program).args(arguments).output() else { return String::new() };
    let text = [done.stdout, done.stderr].concat();
    String::from_utf8_lossy(&text).trim().to_owned()
}

/// The word that follows this prefix in what a program says.
fn word(command: &[&str], prefix: &str) -> String {
    let said = said(command);
    let mut words = said.split_whitespace();
    let found = words.find_map(|word| {
        let (_, rest) = word.split_once(prefix)?;
        rest.starts_with(|first: char| first.is_ascii_digit()).then(|| rest.to_owned())
    });
    found.unwrap_or_else(|| "not there".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_say() {
        assert_eq!(word(&["echo", "Redis server v=7.0.15 sha=0"], "v="), "7.0.15");
        assert_eq!(word(&["echo", "nginx version: nginx/1.22.1"], "nginx/"), "1.22.1");
        assert_eq!(word(&["/nowhere/program"], "v"), "not there");
        let ws = Versions::here().programs.into_iter().find(|it| it.0 == "ws").unwrap().1;
        assert!(ws.starts_with(|first: char| first.is_ascii_digit()), "{ws}");
    }
}
