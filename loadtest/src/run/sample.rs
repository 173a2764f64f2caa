//! What the servers use of the machine: CPU and memory, read as often as it is asked.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::machine;

/// One reading. CPU is what was used since the processes began.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Use {
    /// Seconds after the first message; negative before.
    pub(crate) at: f64,
    /// CPU seconds of all nodes.
    pub(crate) nodes_cpu: f64,
    /// Seconds in which nodes were ready to run and others had the core.
    pub(crate) nodes_waited: f64,
    /// Resident KiB of each node; 0 once it is gone.
    pub(crate) nodes_kib: Vec<u64>,
    /// CPU seconds of Redis.
    pub(crate) redis_cpu: f64,
    /// Resident KiB of Redis; 0 if it is not known.
    pub(crate) redis_kib: u64,
}

impl Use {
    /// Resident KiB of all nodes.
    pub(crate) fn nodes_kib(&self) -> u64 {
        self.nodes_kib.iter().sum()
    }
}

/// One process; what it used is kept when it is gone.
#[derive(Debug, Clone, Copy)]
struct Process {
    pid: u32,
    cpu: f64,
    waited: f64,
    kib: u64,
}

impl Process {
    fn new(pid: u32) -> Self {
        Self { pid, cpu: 0.0, waited: 0.0, kib: 0 }
    }

    fn read(&mut self) {
        let Ok(cpu) = machine::cpu_time(self.pid) else {
            self.kib = 0;
            return;
        };
        // A thread that ended took its share of the account with it.
        self.cpu = self.cpu.max(cpu.as_secs_f64());
        let waited = machine::cpu_wait(self.pid).unwrap_or_default();
        self.waited = self.waited.max(waited.as_secs_f64());
        self.kib = machine::resident_kib(self.pid).unwrap_or_default();
    }
}

/// Reads the nodes and Redis.
#[derive(Debug)]
pub(crate) struct Sampler {
    nodes: Vec<Process>,
    redis: Option<Process>,
}

impl Sampler {
    /// For these processes.
    ///
    /// Fails if one of them is not there.
    pub(crate) fn new(nodes: &[u32], redis: Option<u32>) -> Result<Self> {
        nodes.iter().try_for_each(|&pid| machine::cpu_time(pid).map(drop))?;
        let nodes = nodes.iter().map(|&pid| Process::new(pid)).collect();
        Ok(Self { nodes, redis: redis.map(Process::new) })
    }

    /// Whether there is anything to read.
    pub(crate) fn is_blind(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Reads all, so many seconds after the first message.
    pub(crate) fn read(&mut self, at: f64) -> Use {
        self.nodes.iter_mut().chain(self.redis.as_mut()).for_each(Process::read);
        Use {
            at,
            nodes_cpu: self.nodes.iter().map(|it| it.cpu).sum(),
            nodes_waited: self.nodes.iter().map(|it| it.waited).sum(),
            nodes_kib: self.nodes.iter().map(|it| it.kib).collect(),
            redis_cpu: self.redis.map_or(0.0, |it| it.cpu),
            redis_kib: self.redis.map_or(0, |it| it.kib),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::children::Children;

    #[test]
    fn what_a_dead_process_used_still_counts() {
        let children = Children::default();
        let mut command = Command::new("sh");
        let work =
            command.args(["-c", "n=0; while [ $n -lt 20000 ]; do n=$((n+1)); done; echo; read x"]);
        let (running, _) =
            children.start_and_listen(work.stdin(std::process::Stdio::piped())).unwrap();
        let mut sampler = Sampler::new(&[running.pid()], None).unwrap();
        let before = sampler.read(0.0);
        assert!(before.nodes_cpu > 0.0 && before.nodes_kib() > 0);
        drop(running);
        let after = sampler.read(1.0);
        assert_eq!((after.nodes_cpu, after.nodes_kib), (before.nodes_cpu, vec![0]));
        assert!(Sampler::new(&[u32::MAX], None).is_err());
    }
}
