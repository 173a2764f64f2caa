//! The demo in the configuration: whether a node serves it, the key that its page shows, and what its
//! two namespaces are where nothing is configured for them. It reads texts only.

use std::fmt;
use std::net::SocketAddr;

use roomcast_access::api_key::{ApiKeyTable, ApiScopes};
use serde::Deserialize;

use super::namespaces::{NamespaceConfig, PresenceSetting};
use super::{api_keys, auth};

/// The words of `http.demo`.
pub(super) const WORDS: [&str; 3] = ["auto", "on", "off"];

/// `http.demo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DemoSetting {
    /// Where only this machine reaches the node, and authentication is not configured.
    Auto,
    /// In any case.
    On,
    /// Never.
    Off,
}

/// Whether the demo is on, by the values of keys in full.
pub(super) fn is_on(text: impl Fn(&str) -> Option<String>) -> bool {
    match text("http.demo").as_deref() {
        Some("on") => true,
        Some("auto") => {
            let has_value = |key: &&str| text(key).is_some_and(|text| !text.trim().is_empty());
            let listen = text("http.listen").and_then(|text| text.parse().ok());
            listen.is_some_and(is_loopback) && !auth::KEY_SOURCES.iter().any(has_value)
        }
        _ => false,
    }
}

/// Also an IPv4 loopback address written as IPv6.
pub(super) fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// The namespaces of the demo, where they are not configured: what they do not have of their own is as
/// in the default one.
pub(crate) fn namespaces(default: &NamespaceConfig) -> [(&'static str, NamespaceConfig); 2] {
    let demo = NamespaceConfig {
        presence: PresenceSetting::Events,
        receipts: true,
        state: false,
        ..default.clone()
    };
    let board = NamespaceConfig {
        presence: PresenceSetting::Counts,
        state: true,
        state_points: 60,
        ..default.clone()
    };
    [("demo", demo), ("board", board)]
}

/// The key that the page shows: `NAME.SECRET`. `Debug` hides it, and it has no `Display`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct DemoKey(String);

impl DemoKey {
    /// The key itself: for the page only.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Its name among the API keys.
    pub fn name(&self) -> &str {
        self.0.split('.').next().unwrap_or_default()
    }

    /// Checks the form; an empty text stands for no key. The message holds no part of it.
    pub(super) fn read(text: &str) -> Result<(), String> {
        let is_key = |(name, secret): (&str, &str)| {
            api_keys::is_name(name)
                && !secret.is_empty()
                && secret.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if text.is_empty() || text.split_once('.').is_some_and(is_key) {
            return Ok(());
        }
        Err("give NAME.SECRET, a key as `roomcast api-key` prints it".into())
    }
}

impl fmt::Debug for DemoKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DemoKey(***)")
    }
}

/// Whether a key is the configured one of its name, whose digest is given.
pub(super) fn is_configured(key: &str, digest: impl Fn(&str) -> Option<String>) -> bool {
    let name = key.split('.').next().unwrap_or_default();
    let mut table = ApiKeyTable::default();
    digest(name).is_some_and(|digest| table.add(name, &digest, ApiScopes::default()).is_ok())
        && table.check(key).is_some()
}

#[cfg(test)]
mod tests {
    use roomcast_access::api_key::{API_SECRET_BYTES, NewApiKey};

    use super::*;

    #[test]
    fn it_is_on_where_only_this_machine_comes_and_nobody_needs_a_token() {
        let check = |values: &[(&str, &str)], expected| {
            let text = |key: &str| {
                values.iter().find(|(name, _)| *name == key).map(|(_, text)| (*text).to_owned())
            };
            assert_eq!(is_on(text), expected, "{values:?}");
        };
        for (demo, listen, jwks_url, expected) in [
            ("auto", "127.0.0.1:8080", "", true),
            ("auto", "[::1]:0", " ", true),
            ("auto", "[::ffff:127.0.0.1]:80", "", true),
            ("auto", "127.0.0.1:8080", "https://id.example/keys", false),
            ("auto", "0.0.0.0:8080", "", false),
            ("auto", "nowhere", "", false),
            ("on", "0.0.0.0:8080", "https://id.example/keys", true),
            ("off", "127.0.0.1:8080", "", false),
            ("perhaps", "127.0.0.1:8080", "", false),
        ] {
            let listen = ("http.listen", listen);
            check(&[("http.demo", demo), listen, ("auth.jwks_url", jwks_url)], expected);
        }
        check(&[], false);
    }

    #[test]
    fn a_key_has_a_name_and_a_secret() {
        for good in ["", "demo.x", "demo-1.a.b-_~&\"<'"] {
            assert_eq!(DemoKey::read(good), Ok(()), "{good}");
        }
        for bad in ["demo", "demo.", ".secret", "Demo.secret", "demo.se cret", "demo.sécret"] {
            let message = DemoKey::read(bad).unwrap_err();
            assert!(!message.contains("cret"), "{message}");
        }
        let key = NewApiKey::generate("demo", [7; API_SECRET_BYTES]).unwrap();
        let digest = |name: &str| (name == "demo").then(|| key.sha256.clone());
        assert!(is_configured(&key.presented, digest));
        assert!(!is_configured("demo.other", digest));
        assert!(!is_configured(&key.presented.replace("demo", "shop"), digest));
    }
}
