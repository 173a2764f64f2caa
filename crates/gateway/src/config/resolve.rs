//! From layered text to a valid [`Config`]: reads each value by its key's kind, then checks what
//! concerns several keys at once. All problems are told together, with those of the sources.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use config::Value;

use super::demo::{self, is_loopback};
use super::layer::origin;
use super::layers::Layered;
use super::{Canonical, Config, ConfigError, Problem, auth, key};

/// `problems` are those that were found before.
pub(super) fn resolve(layered: Layered, mut problems: Vec<Problem>) -> Result<Config, ConfigError> {
    let mut canonical = BTreeMap::new();
    for (key, value) in &layered.values {
        match read(key, value) {
            Ok(text) => drop(canonical.insert(key.clone(), text)),
            Err(_) if layered.inherited.contains(key) => {}
            Err(message) => problems.push(problem(&layered, key, message)),
        }
    }
    problems.extend(Together { layered: &layered, canonical: &canonical }.problems());
    if !problems.is_empty() {
        return Err(ConfigError::Invalid(problems));
    }
    let mut config = deserialize(&canonical).map_err(|e| ConfigError::Unfit(e.to_string()))?;
    config.canonical = Canonical(canonical);
    Ok(config)
}

fn read(path: &str, value: &Value) -> Result<String, String> {
    let key = key::find(path).ok_or("there is no such key")?;
    let text = value.clone().into_string();
    let text = text.map_err(|_| "this takes a single value, no list or table".to_owned())?;
    key.kind.read(&text)
}

fn problem(layered: &Layered, key: &str, message: String) -> Problem {
    Problem {
        key: key.into(),
        origin: layered.values.get(key).map(origin).unwrap_or_default(),
        message,
    }
}

/// Empty values stand for absent ones: their fields are optional.
fn deserialize(canonical: &BTreeMap<String, String>) -> Result<Config, config::ConfigError> {
    let mut builder = config::Config::builder();
    for (key, text) in canonical.iter().filter(|(_, text)| !text.is_empty()) {
        builder = builder.set_override(key, text.as_str())?;
    }
    builder.build()?.try_deserialize()
}

/// Checks that need more than one key. Those with a value that is not valid are left out.
struct Together<'a> {
    layered: &'a Layered,
    canonical: &'a BTreeMap<String, String>,
}

impl Together<'_> {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let ceilings = [
            ("limits.message_bytes", "limits.inbound_bytes", "or no such message could be read"),
            ("limits.message_bytes", "limits.lag_bytes", "or one message made every member slow"),
            ("limits.lag_bytes", "limits.log_bytes", "which holds the logs of all rooms"),
        ];
        for (key, ceiling, why) in ceilings {
            problems.extend(self.above(key, ceiling, why));
        }
        let payloads = self
            .canonical
            .keys()
            .filter(|key| key.starts_with("namespaces.") && key.ends_with(".message_bytes"));
        for key in payloads.filter(|key| !self.layered.inherited.contains(*key)) {
            problems.extend(self.above(key, "limits.message_bytes", "the ceiling of a message"));
        }
        problems.extend(self.pause_too_long());
        problems.extend(self.proxied_by_nobody());
        problems.extend(self.half_a_pair());
        problems.extend(self.exposed());
        problems.extend(self.strange_demo_key());
        problems.extend(self.same_address());
        problems.extend(self.same_admin_address());
        problems
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.canonical.get(key).map(String::as_str)
    }

    fn number(&self, key: &str) -> Option<u64> {
        self.text(key).map(|text| text.parse().expect("canonical sizes are numbers"))
    }

    fn above(&self, key: &str, ceiling: &str, why: &str) -> Option<Problem> {
        let (number, most) = (self.number(key)?, self.number(ceiling)?);
        let message = || format!("{number} bytes are more than {ceiling} ({most} bytes), {why}");
        (number > most).then(|| problem(self.layered, key, message()))
    }

    /// Clients need the rest of the time to move.
    fn pause_too_long(&self) -> Option<Problem> {
        let (pause, total) = (self.number("drain.pause")?, self.number("drain.total")?);
        let message = || format!("{pause} ms are more than half of drain.total ({total} ms)");
        (2 * pause > total).then(|| problem(self.layered, "drain.pause", message()))
    }

    fn proxied_by_nobody(&self) -> Option<Problem> {
        let nobody = self.text("http.trusted_proxies")?.is_empty();
        let message = || "name the balancers in http.trusted_proxies: nobody is let in".to_owned();
        let proxied = self.text("http.proxy_protocol")? == "true";
        (proxied && nobody).then(|| problem(self.layered, "http.proxy_protocol", message()))
    }

    fn half_a_pair(&self) -> Option<Problem> {
        let (cert, key) = (self.text("tls.cert")?, self.text("tls.key")?);
        let (given, missing) = match (cert.is_empty(), key.is_empty()) {
            (false, true) => ("tls.cert", "tls.key"),
            (true, false) => ("tls.key", "tls.cert"),
            _ => return None,
        };
        Some(problem(self.layered, given, format!("this needs {missing} too")))
    }

    fn address(&self, key: &str) -> Option<SocketAddr> {
        self.text(key)?.parse().ok()
    }

    /// Whether any source of keys for tokens is configured.
    fn has_keys(&self) -> bool {
        let has_value = |key: &&str| self.text(key).is_some_and(|text| !text.trim().is_empty());
        auth::KEY_SOURCES.iter().any(has_value)
    }

    /// Without authentication, everyone who reaches the port reads and writes everything.
    fn exposed(&self) -> Option<Problem> {
        let listen = self.address("http.listen")?;
        if self.has_keys() || is_loopback(listen) || self.text("insecure")? == "true" {
            return None;
        }
        let message = format!(
            "{listen} can be reached from other machines, and there is no authentication: set \
             a key of the section auth, listen on 127.0.0.1 (behind a proxy that checks its \
             clients), or set insecure = true \
             (--insecure) if everybody who reaches it may read and write every room"
        );
        Some(problem(self.layered, "http.listen", message))
    }

    /// The page would show what no node takes.
    fn strange_demo_key(&self) -> Option<Problem> {
        let key = self.text("http.demo_key").filter(|key| !key.is_empty())?;
        let digest = |name: &str| self.text(&format!("api_keys.{name}.sha256")).map(str::to_owned);
        let message = "this is none of the keys that are configured under api_keys".to_owned();
        let is_known = demo::is_configured(key, digest);
        (!is_known).then(|| problem(self.layered, "http.demo_key", message))
    }

    fn same_admin_address(&self) -> Option<Problem> {
        let admin = self.address("http.admin_listen")?;
        let others = ["http.listen", "http.metrics_listen"];
        let other = others.into_iter().find(|key| self.address(key) == Some(admin))?;
        let message = || format!("this is {other}; the routes of backends need another address");
        (admin.port() != 0).then(|| problem(self.layered, "http.admin_listen", message()))
    }

    fn same_address(&self) -> Option<Problem> {
        let metrics = self.address("http.metrics_listen")?;
        let same = metrics.port() != 0 && self.address("http.listen") == Some(metrics);
        let message = || "this is http.listen; leave it empty to serve /metrics there".to_owned();
        same.then(|| problem(self.layered, "http.metrics_listen", message()))
    }
}
