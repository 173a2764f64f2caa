//! What the kernel tells about a process, and where processes run: CPU time, resident memory,
//! cores, descriptors. Linux only, as the figures are.

use std::fs;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Descriptors kept free beside the links: standard streams, epoll, /proc files.
const SPARE_DESCRIPTORS: u64 = 64;

/// CPU time that all threads of a process have used, by the scheduler's own account.
pub(crate) fn cpu_time(pid: u32) -> Result<Duration> {
    Ok(schedstat(pid)?[0])
}

/// Time in which threads of a process were ready to run and others had the core.
pub(crate) fn cpu_wait(pid: u32) -> Result<Duration> {
    Ok(schedstat(pid)?[1])
}

/// Time run and time waited to run, in ns in the kernel's text, summed over all threads.
fn schedstat(pid: u32) -> Result<[Duration; 2]> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"))
        .with_context(|| format!("process {pid} is gone"))?;
    let mut sums = [0, 0];
    for task in tasks {
        // A thread may end between the listing and the reading.
        let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
        let mut numbers = text.split_whitespace();
        for sum in &mut sums {
            let number = numbers.next().and_then(first_number);
            *sum += number.context("schedstat is not what Linux writes")?;
        }
    }
    Ok(sums.map(Duration::from_nanos))
}

/// Resident memory of a process in KiB.
pub(crate) fn resident_kib(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))
        .with_context(|| format!("process {pid} is gone"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(first_number).context("no VmRSS in the process's status")
}

fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

/// Where the server and the load run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cores {
    /// For `taskset -c`, if the server is pinned.
    pub(crate) server: Option<String>,
    /// For `taskset -c`, if the load is pinned.
    pub(crate) load: Option<String>,
    /// Whether the load may spin on its core; else it sleeps until the server wakes it.
    pub(crate) spin: bool,
}

impl Cores {
    /// One core for the server and another for the load, where there are two.
    ///
    /// A server with several workers shares the cores with the load, which then sleeps instead of
    /// spinning.
    pub(crate) fn plan(available: usize, workers: usize) -> Self {
        match (available, workers) {
            (0 | 1, _) => Self { server: None, load: None, spin: false },
            (_, 0 | 1) => Self { server: Some("0".into()), load: Some("1".into()), spin: true },
            (cores, workers) if cores > workers => Self {
                server: Some(format!("0-{}", workers - 1)),
                load: Some(workers.to_string()),
                spin: true,
            },
            _ => Self { server: None, load: None, spin: false },
        }
    }

    /// The plan for this machine.
    pub(crate) fn here(workers: usize) -> Self {
        Self::plan(core_count(), workers)
    }

    /// One line for the report.
    pub(crate) fn text(&self) -> String {
        let on = |cores: &Option<String>| {
            cores.as_ref().map_or("not pinned".to_owned(), |cores| format!("core {cores}"))
        };
        let how = if self.spin { "spinning" } else { "sleeping in epoll" };
        format!("server {}, load {} ({how})", on(&self.server), on(&self.load))
    }
}

/// Moves every thread of this process to the given cores (`taskset` list form).
pub(crate) fn pin_self(cores: &str) -> Result<()> {
    let pid = std::process::id().to_string();
    let done = Command::new("taskset").args(["-a", "-p", "-c", cores, &pid]).output();
    let done = done.context("`taskset` (util-linux) is needed to pin processes to cores")?;
    if !done.status.success() {
        bail!("taskset failed: {}", String::from_utf8_lossy(&done.stderr).trim());
    }
    Ok(())
}

/// Every core, in the form that `taskset -c` takes.
pub(crate) fn all_cores() -> String {
    format!("0-{}", core_count() - 1)
}

/// How many cores this process may use, as it was before it pinned itself.
fn core_count() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// The command that starts `program` on the given cores; `taskset` becomes it, pid included.
pub(crate) fn pinned(program: &std::ffi::OsStr, cores: Option<&str>) -> Command {
    let Some(cores) = cores else { return Command::new(program) };
    let mut command = Command::new("taskset");
    command.args(["-c", cores]).arg(program);
    command
}

/// Makes room for so many links in this process.
///
/// Fails if the system's hard limit is lower: ask for fewer links or raise `ulimit -Hn`.
pub(crate) fn allow_links(links: usize) -> Result<()> {
    let need = links as u64 + SPARE_DESCRIPTORS;
    let limit = rlimit::increase_nofile_limit(need.max(1024)).context("reading RLIMIT_NOFILE")?;
    if limit < need {
        bail!(
            "{links} connections need {need} file descriptors and the hard limit is {limit}: \
             ask for fewer connections or raise it (ulimit -Hn)"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_cpu_time_and_memory() {
        let me = std::process::id();
        let before = cpu_time(me).unwrap();
        let mut sum = 0u64;
        while cpu_time(me).unwrap() == before {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(resident_kib(me).unwrap() > 100);
        assert!(cpu_time(u32::MAX).is_err());
    }

    #[test]
    fn plans() {
        let text = |cores, workers| Cores::plan(cores, workers).text();
        assert_eq!(text(2, 1), "server core 0, load core 1 (spinning)");
        assert_eq!(text(4, 2), "server core 0-1, load core 2 (spinning)");
        assert_eq!(text(2, 2), "server not pinned, load not pinned (sleeping in epoll)");
        assert_eq!(text(1, 1), "server not pinned, load not pinned (sleeping in epoll)");
    }

    #[test]
    fn too_many_links_are_refused_in_words() {
        let error = allow_links(usize::MAX >> 8).unwrap_err().to_string();
        assert!(error.contains("hard limit"), "{error}");
    }
}
