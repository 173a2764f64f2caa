//! The sections `api_keys.<name>`: the keys by which backends use the API. The configuration holds
//! the hash of each secret only.

use std::collections::BTreeMap;

use roomcast_access::api_key::{ApiKeyTable, ApiScopes, MAX_API_KEY_NAME_BYTES};
use serde::Deserialize;

use super::key::{Change, Key, Section, ValueKind};

/// What the names of these sections begin with.
const PREFIX: &str = "api_keys.";
/// Hex digits of a SHA-256.
const DIGEST_DIGITS: usize = 64;

/// Every such section has these keys; none exists unless it is configured.
pub(super) const SECTION: Section = Section {
    name: "api_keys.NAME",
    about: "Keys of backends for the routes below `/v1`, one table each. NAME is a–z, 0–9, `_`, `-`. \
            `roomcast api-key NAME --scopes \"publish read\"` makes a key and prints its table. A key \
            that is removed is refused at once after a reload.",
    keys: &[
        Key {
            name: "sha256",
            default: "",
            kind: ValueKind::Digest,
            change: Change::Reload,
            about: "SHA-256 of the secret, in hex. Only the backend has the secret itself.",
        },
        Key {
            name: "scopes",
            default: "",
            kind: ValueKind::Scopes,
            change: Change::Reload,
            about: "What it opens: `publish` (messages to rooms), `read` (every `GET` but bans), \
                    `admin` (bans, disconnects, tickets). Empty: nothing.",
        },
    ],
};

/// One key as it is configured.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct ApiKeyConfig {
    sha256: String,
    #[serde(default)]
    scopes: String,
}

/// All keys, by name.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct ApiKeysConfig(BTreeMap<String, ApiKeyConfig>);

impl ApiKeysConfig {
    /// The keys as requests are checked against them.
    pub fn table(&self) -> ApiKeyTable {
        let mut table = ApiKeyTable::default();
        for (name, key) in &self.0 {
            let scopes = ApiScopes::parse(&key.scopes).expect("scopes were read before");
            table.add(name, &key.sha256, scopes).expect("names and digests were read before");
        }
        table
    }
}

/// The name in a key of such a section, or in the section's own name.
pub(super) fn name_in(path: &str) -> Option<&str> {
    path.strip_prefix(PREFIX)?.split('.').next()
}

/// Whether a key may have this name.
pub(super) fn is_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    (1..=MAX_API_KEY_NAME_BYTES).contains(&name.len()) && name.bytes().all(plain)
}

/// The digest in lower case, or what is wrong with it. The message holds nothing of the text, which
/// may be the secret itself.
pub(super) fn read_digest(text: &str) -> Result<String, String> {
    if text.len() == DIGEST_DIGITS && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(text.to_ascii_lowercase());
    }
    Err("give the SHA-256 of the secret, 64 hex digits, as `roomcast api-key` prints it".into())
}

/// The scopes, or what is wrong with them.
pub(super) fn read_scopes(text: &str) -> Result<String, String> {
    match ApiScopes::parse(text) {
        Ok(_) => Ok(text.split_whitespace().collect::<Vec<_>>().join(" ")),
        Err(word) => {
            Err(format!("{} is none of publish, read, admin", super::value::quoted(&word)))
        }
    }
}
