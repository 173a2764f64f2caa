//! What Redis was asked, by its own count: `INFO commandstats`. Commands within scripts count too.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

use crate::resp::{Redis, Reply, RespConnection};

/// Calls by command since the server started.
#[derive(Debug, Clone, Default)]
pub(super) struct RedisCalls(BTreeMap<String, u64>);

impl RedisCalls {
    pub(super) fn of(redis: &Redis) -> Result<Self> {
        let info = RespConnection::open(redis.addr)?.call(&[b"INFO", b"commandstats"])?;
        let Reply::Bulk(info) = info else { bail!("INFO answered {info:?}") };
        Ok(Self::read(&String::from_utf8_lossy(&info)))
    }

    fn read(info: &str) -> Self {
        let count = |line: &str| {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            let calls = rest.split(',').next()?.parse().ok()?;
            // Our own question is none of the node's.
            (name != "info").then(|| (name.to_owned(), calls))
        };
        Self(info.lines().filter_map(count).collect())
    }

    /// Calls between then and now.
    pub(super) fn since(&self, before: &Self) -> Self {
        let more = |(name, calls): (&String, &u64)| {
            let calls = calls - before.0.get(name).copied().unwrap_or(0);
            (calls > 0).then(|| (name.clone(), calls))
        };
        Self(self.0.iter().filter_map(more).collect())
    }

    pub(super) fn all(&self) -> u64 {
        self.0.values().sum()
    }

    /// Scripts alone: each is one way to Redis and back, for one room or more.
    pub(super) fn scripts(&self) -> u64 {
        ["evalsha", "eval", "fcall"].iter().filter_map(|name| self.0.get(*name)).sum()
    }

    pub(super) fn by_name(&self) -> &BTreeMap<String, u64> {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_command() {
        let before = RedisCalls::read("# Commandstats\r\ncmdstat_evalsha:calls=3,usec=1\r\n");
        let after = RedisCalls::read(
            "cmdstat_evalsha:calls=5,usec=9\r\ncmdstat_hget:calls=4,usec=2\r\ncmdstat_info:calls=9,u=1\r\n",
        );
        let since = after.since(&before);
        assert_eq!((since.all(), since.scripts()), (6, 2));
        assert_eq!(since.by_name().len(), 2);
    }
}
