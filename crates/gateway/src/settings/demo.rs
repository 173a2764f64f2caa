//! The demo as the node's parts see it: whether it is on, and the key that its page shows.

use std::sync::Arc;

use roomcast_access::api_key::{ApiScope, ApiScopes, NewApiKey};
use roomcast_access::policy::Authentication;
use roomcast_metrics::Metrics;

use super::{Namespace, Settings};
use crate::config::{Config, demo_namespaces};

/// The name of the key that a node makes for itself.
pub(crate) const OWN_KEY_NAME: &str = "demo";

/// The demo where it is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DemoSettings {
    /// `NAME.SECRET`, for the page and for nothing else; `None`: it shows no key.
    pub(crate) key: Option<PageKey>,
}

/// The key in the page. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PageKey(Arc<str>);

impl PageKey {
    /// As the page shows it.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for PageKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PageKey(***)")
    }
}

impl Settings {
    /// The same with the demo, where the configuration has it on. `own` is the node's own key: it
    /// counts where the configuration has no way in for backends and clients but the open one.
    pub(crate) fn with_demo(mut self, config: &Config, own: &NewApiKey, metrics: &Metrics) -> Self {
        if !config.has_demo() {
            return self;
        }
        let (default_name, default) = config.namespaces.of_none();
        for (name, own) in demo_namespaces(default) {
            let authentication = self.auth.authentication;
            self.namespaces.entry(name.to_owned()).or_insert_with(|| {
                let made = Namespace::new(name, &own, authentication, metrics.namespace(name));
                Arc::new(Namespace { rules_name: default_name.into(), ..made })
            });
        }
        let scopes = ApiScopes::from_iter([ApiScope::Publish]);
        let is_open = self.auth.authentication == Authentication::NotConfigured;
        let shown = match &config.http.demo_key {
            Some(key) => {
                if self.api_keys.scopes(key.name()) != Some(scopes) {
                    let name = key.name();
                    tracing::warn!(%name, "http.demo_key: all who open the page get more than the scope publish");
                }
                Some(key.expose())
            }
            None if is_open && self.api_keys.is_empty() => {
                let added = self.api_keys.add(OWN_KEY_NAME, &own.sha256, scopes);
                added.expect("the name and the digest of a key that was made are valid");
                Some(own.presented.as_str())
            }
            None => None,
        };
        self.demo = Some(DemoSettings { key: shown.map(|key| PageKey(key.into())) });
        self
    }
}

#[cfg(test)]
mod tests {
    use roomcast_access::api_key::API_SECRET_BYTES;
    use roomcast_protocol::RoomName;

    use super::*;

    /// What the page shows, and whether the node takes its own key; `None`: there is no demo.
    fn shown(settings: &[&str]) -> Option<(Option<String>, bool)> {
        let own = NewApiKey::generate(OWN_KEY_NAME, [1; API_SECRET_BYTES]).unwrap();
        let config = Config::from_settings(settings).unwrap();
        let metrics = Metrics::new();
        let settings = Settings::new(&config, 1000, &metrics).with_demo(&config, &own, &metrics);
        let taken = settings.api_keys.check(&own.presented).map(|(_, scopes)| scopes);
        assert!(taken.is_none_or(|scopes| scopes == ApiScopes::parse("publish").unwrap()));
        let key = settings.demo?.key.map(|key| key.text().to_owned());
        Some((key, taken.is_some()))
    }

    #[test]
    fn a_node_makes_a_key_only_where_it_is_open_in_any_case() {
        let own = NewApiKey::generate(OWN_KEY_NAME, [1; API_SECRET_BYTES]).unwrap();
        let given = NewApiKey::generate("shop", [2; API_SECRET_BYTES]).unwrap();
        let table = format!("api_keys.shop.sha256={}", given.sha256);
        let key = format!("http.demo_key={}", given.presented);
        let secret = format!("auth.hs_secret={}", "s".repeat(32));
        assert_eq!(shown(&[]), Some((Some(own.presented), true)));
        assert_eq!(shown(&["http.demo=off"]), None);
        assert_eq!(shown(&[&secret]), None);
        assert_eq!(shown(&[&secret, "http.demo=on"]), Some((None, false)));
        assert_eq!(shown(&[&table]), Some((None, false)));
        assert_eq!(shown(&[&table, &key]), Some((Some(given.presented.clone()), false)));
        assert_eq!(shown(&[&table, &key, "http.demo=off"]), None);
        assert!(Config::from_settings(&[&key]).is_err(), "no node takes this key");
        let hidden = format!("{:?}", DemoSettings { key: Some(PageKey(given.presented.into())) });
        assert!(hidden.contains("***") && !hidden.contains("shop"), "{hidden}");
    }

    #[test]
    fn its_namespaces_are_there_unless_they_are_configured() {
        let check = |settings: &[&str], room: &str, expected: &str| {
            let own = NewApiKey::generate(OWN_KEY_NAME, [1; API_SECRET_BYTES]).unwrap();
            let (config, metrics) = (Config::from_settings(settings).unwrap(), Metrics::new());
            let settings = Settings::new(&config, 1000, &metrics);
            let settings = settings.with_demo(&config, &own, &metrics);
            let namespace = settings.namespace_of(&RoomName::parse(room).unwrap());
            let Namespace { name, rules_name, presence, receipts, state, .. } = &**namespace;
            let points = state.map(|bounds| bounds.points);
            let found = (presence.mode, receipts.is_some(), points);
            assert_eq!(format!("{name} {rules_name} {found:?}"), expected, "{room}");
            assert_eq!(namespace.retention.history_size, 7);
        };
        let default = "namespaces.default.history_size=7";
        check(&[default], "demo:a", "demo default (Events, true, None)");
        check(&[default], "board:a", "board default (Counts, false, Some(60))");
        check(&[default], "demo", "default default (Off, false, None)");
        check(&[default, "http.demo=off"], "demo:a", "default default (Off, false, None)");
        let own = "namespaces.board.presence=events";
        check(&[default, own], "board:a", "board board (Events, false, None)");
    }
}
