//! What the node's process uses of its machine, as the kernel tells it in `/proc`. What cannot be read
//! is not known; nothing fails.

use std::fs;
use std::path::Path;
use std::thread::available_parallelism;

/// Ticks of a second in `/proc/self/stat`: the same on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;
/// Fields of `/proc/self/stat` after the name, up to that of the time in the program.
const FIELDS_BEFORE_TIME: usize = 11;
/// Where groups of processes have their limits.
const GROUPS: &str = "/sys/fs/cgroup";

/// What is used at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct MachineSample {
    /// Processor time since the start.
    cpu_seconds: Option<f64>,
    /// Memory that is resident.
    memory: Option<u64>,
    /// Memory that there may be: the machine's, or that of the group of processes.
    most_memory: Option<u64>,
}

impl MachineSample {
    /// As it is now.
    pub(super) fn now() -> Self {
        let read = |path: &str| fs::read_to_string(path).ok();
        let total = read("/proc/meminfo").and_then(|text| kilobytes(&text, "MemTotal:"));
        let groups = read("/proc/self/cgroup");
        let limit = groups.as_deref().and_then(own_group).and_then(|group| {
            let file = Path::new(GROUPS).join(group).join("memory.max");
            fs::read_to_string(file).ok()?.trim().parse().ok()
        });
        Self {
            cpu_seconds: read("/proc/self/stat").and_then(|text| cpu_seconds(&text)),
            memory: read("/proc/self/status").and_then(|text| kilobytes(&text, "VmRSS:")),
            most_memory: total.into_iter().chain(limit).min(),
        }
    }

    /// The part of the processors that was used since an earlier moment, so many seconds ago.
    pub(super) fn cpu_percent_since(&self, before: &Self, seconds: f64) -> Option<f64> {
        let used = self.cpu_seconds? - before.cpu_seconds?;
        let processors = available_parallelism().ok()?.get() as f64;
        percent(used, seconds * processors)
    }

    /// The part of the memory that is used.
    pub(super) fn memory_percent(&self) -> Option<f64> {
        percent(self.memory? as f64, self.most_memory? as f64)
    }
}

fn percent(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| (100.0 * part / whole).clamp(0.0, 100.0))
}

/// The time of a `stat`, in the program and in the kernel. A name may hold blanks and brackets.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(FIELDS_BEFORE_TIME).map(str::parse::<u64>);
    let (program, kernel) = (times.next()?.ok()?, times.next()?.ok()?);
    Some((program + kernel) as f64 / TICKS_PER_SECOND)
}

/// A line's number of kilobytes, in bytes.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1_024)
}

/// The group of the process in the one tree of groups, without the first slash.
fn own_group(groups: &str) -> Option<&str> {
    groups.lines().find_map(|line| line.strip_prefix("0::/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_texts_are_read() {
        let stat = "7 (a) b) (c) S 1 7 7 0 -1 4194560 9 0 0 0 150 25 0 0 20 0 1 0 5 6 7";
        assert_eq!(cpu_seconds(stat), Some(1.75));
        assert_eq!(cpu_seconds("7 (a) S 1"), None);
        assert_eq!(cpu_seconds(""), None);
        let status = "Name:\ta\nVmRSS:\t    2048 kB\nThreads:\t1\n";
        assert_eq!(kilobytes(status, "VmRSS:"), Some(2 << 20));
        assert_eq!(kilobytes(status, "VmSwap:"), None);
        assert_eq!(own_group("1:name=systemd:/x\n0::/system.slice/a\n"), Some("system.slice/a"));
        assert_eq!(own_group("0::/\n"), Some(""));
        assert_eq!(own_group("1:memory:/x\n"), None);
    }

    #[test]
    fn parts_are_percent_and_unknown_parts_are_none() {
        let before = MachineSample { cpu_seconds: Some(1.0), ..MachineSample::default() };
        let now =
            MachineSample { cpu_seconds: Some(1e9), memory: Some(256), most_memory: Some(1_024) };
        assert_eq!(now.memory_percent(), Some(25.0));
        assert_eq!(now.cpu_percent_since(&before, 1.0), Some(100.0));
        assert_eq!(before.cpu_percent_since(&now, 1.0), Some(0.0));
        assert_eq!(before.memory_percent(), None);
        assert_eq!(MachineSample::default().cpu_percent_since(&now, 1.0), None);
    }

    #[test]
    fn this_process_uses_something() {
        let now = MachineSample::now();
        assert!(now.cpu_seconds.is_some());
        assert!(now.memory_percent().is_some_and(|percent| percent > 0.0));
    }
}
