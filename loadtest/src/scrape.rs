//! Reads a node's `/metrics`: the counters and gauges of its text form, by name and label.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::door::Door;
use crate::get::get;

/// How long one answer may take: a starved node answers late, and its page says how things were.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// No honest page is longer.
const MAX_PAGE: u64 = 4 << 20;

/// What a node told about itself at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scrape {
    text: String,
}

impl Scrape {
    /// Asks the node.
    ///
    /// Fails if it does not answer 200 within 20 s.
    pub(crate) fn of(door: &Door, addr: SocketAddr) -> Result<Self> {
        let text = get(door, addr, "/metrics", (ANSWER_WITHIN, MAX_PAGE)).context("/metrics")?;
        if text.split(' ').nth(1) != Some("200") {
            bail!("/metrics was answered with {:?}", text.lines().next().unwrap_or_default());
        }
        Ok(Self { text })
    }

    /// The sum of a family's values, over those whose labels contain `label` (empty: over all).
    pub(crate) fn sum(&self, family: &str, label: &str) -> f64 {
        let lines = self.text.lines().filter_map(|line| line.strip_prefix(family));
        let values = lines.filter(|rest| rest.starts_with([' ', '{']) && rest.contains(label));
        values.filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_told_apart_and_labels_chosen() {
        let text = "# TYPE a_total counter\na_total{x=\"one\"} 3\na_total{x=\"two\"} 4\n\
                    a_total_more 90\nb 1.5\n";
        let scrape = Scrape { text: text.to_owned() };
        assert_eq!(scrape.sum("a_total", ""), 7.0);
        assert_eq!(scrape.sum("a_total", "x=\"two\""), 4.0);
        assert_eq!(scrape.sum("b", ""), 1.5);
        assert_eq!(scrape.sum("c", ""), 0.0);
    }
}
