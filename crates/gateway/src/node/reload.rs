//! Another configuration for a node that runs: what of it can be taken over, and what waits for the
//! next start.

use std::sync::Arc;

use roomcast_access::policy::Authentication;

use super::{Node, StartError, threads};
use crate::auth::KeySources;
use crate::config::Config;
use crate::payload_rules::RuleBook;
use crate::settings::Settings;

impl Node {
    /// Takes over what a new configuration changes and a running node can; the rest is logged and
    /// waits for the next start. If a file that it names cannot be used, nothing changes.
    pub async fn reload(&mut self, new: &Config) {
        if self.would_be_open(new) {
            return tracing::error!(
                "nothing is reloaded: without keys of tokens everybody who reaches the node could \
                 read and write every room, and insecure takes effect at a start only"
            );
        }
        let (rules, keys) = match (read_rules(new), KeySources::read(&new.auth)) {
            (Ok(rules), Ok(keys)) => (rules, keys),
            (Err(error), _) => return tracing::error!("nothing is reloaded: {error}"),
            (_, Err(error)) => return tracing::error!("nothing is reloaded: {error}"),
        };
        let mut new = new.clone();
        if let Err(error) = self.change_servers(&new).await {
            tracing::error!("the Redis servers stay as they are: {error}");
            new.keep_servers_of(&self.config);
        }
        self.keys.configure(keys);
        self.status.await_keys(self.keys.is_awaited());
        if new.tls.files().is_some() != self.config.tls.files().is_some() {
            tracing::error!("tls: it is switched on or off by a restart only");
            new.keep_tls_of(&self.config);
        }
        let differences = self.config.differences(&new);
        self.config = self.config.with_reloadable_of(&new);
        let settings = Settings::new(&self.config, self.descriptors, &self.metrics);
        let mut settings = settings.with_demo(&self.config, &self.demo_key, &self.metrics);
        settings.fault = self.settings.borrow().fault.clone();
        settings.rules = rules;
        settings.tls = self.settings.borrow().tls.clone();
        settings.purpose = self.settings.borrow().purpose;
        if let (Some(certificate), Some(files)) = (&self.certificate, self.config.tls.files()) {
            certificate.reload(files);
        }
        self.acceptor.configure(&settings.limits);
        self.settings.send_replace(Arc::new(settings));
        tracing::info!(taken = ?differences.reloadable, "configuration reloaded");
        if !differences.need_restart.is_empty() {
            tracing::warn!(keys = ?differences.need_restart, "these changes need a restart");
        }
    }

    /// Whether a reload would take authentication away from a node that others reach.
    fn would_be_open(&self, new: &Config) -> bool {
        let has_keys = |config: &Config| config.auth.authentication() == Authentication::Configured;
        let is_reached = !self.address.ip().to_canonical().is_loopback();
        has_keys(&self.config) && !has_keys(new) && is_reached && !self.config.insecure
    }

    /// Takes another list of Redis servers over, if it is one.
    async fn change_servers(&self, new: &Config) -> Result<(), String> {
        let (old, new) = (&self.config.bus, &new.bus);
        let same = old.redis_url == new.redis_url;
        if same && old.servers_version == new.servers_version {
            return Ok(());
        }
        if new.servers_version <= old.servers_version {
            let at_least = old.servers_version + 1;
            return Err(format!("give bus.servers_version at least {at_least} with the new list"));
        }
        let options = threads::redis_options(new, &self.metrics.connections)
            .map_err(|error| error.to_string())?;
        let options = options.ok_or("the bus in memory needs a restart")?;
        self.bus.change_servers(&options).await.map_err(|error| error.to_string())
    }
}

/// The payload rules of a configuration.
pub(super) fn read_rules(config: &Config) -> Result<RuleBook, StartError> {
    RuleBook::read(&config.namespaces)
        .map_err(|(namespace, error)| StartError::Rules(namespace, error))
}
