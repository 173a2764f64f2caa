//! API keys of backends: `NAME.SECRET` as it is sent, the SHA-256 of the secret as it is
//! configured, and the scopes that say which routes it opens.

use std::collections::BTreeMap;
use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use crate::capability::Capability;

/// Longest name of a key in bytes: a service and its environment.
pub const MAX_API_KEY_NAME_BYTES: usize = 64;
/// Longest secret that is looked at, in bytes. Those that `generate` makes have 43.
const MAX_SECRET_BYTES: usize = 512;
/// Random bytes of a new secret: 256 bits.
pub const API_SECRET_BYTES: usize = 32;

/// What an API key may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ApiScope {
    /// Everything that is sent to rooms and users.
    Publish,
    /// Every `GET` but those of bans.
    Read,
    /// The rest.
    Admin,
}

impl ApiScope {
    /// Every scope, in the order of the documents.
    pub const ALL: [Self; 3] = [Self::Publish, Self::Read, Self::Admin];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Read => "read",
            Self::Admin => "admin",
        }
    }

    /// The scope that an action in a room needs.
    pub fn for_action(action: Capability) -> Self {
        match action {
            Capability::Publish | Capability::Signal => Self::Publish,
            Capability::History | Capability::Presence => Self::Read,
            Capability::Join => Self::Admin,
        }
    }
}

/// A set of scopes.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct ApiScopes(u8);

impl ApiScopes {
    /// Reads words separated by blanks; refuses a word that names no scope, with that word.
    pub fn parse(text: &str) -> Result<Self, String> {
        let scope = |word: &str| ApiScope::ALL.into_iter().find(|scope| scope.word() == word);
        text.split_whitespace().map(|word| scope(word).ok_or_else(|| word.to_owned())).collect()
    }

    /// Whether it holds this scope.
    pub fn has(self, scope: ApiScope) -> bool {
        self.0 & 1 << scope as u8 != 0
    }
}

impl FromIterator<ApiScope> for ApiScopes {
    fn from_iter<I: IntoIterator<Item = ApiScope>>(all: I) -> Self {
        Self(all.into_iter().fold(0, |bits, scope| bits | 1 << scope as u8))
    }
}

impl fmt::Debug for ApiScopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(ApiScope::ALL.into_iter().filter(|scope| self.has(*scope))).finish()
    }
}

/// Why a configured API key is refused. The texts hold nothing of the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ApiKeyError {
    /// Choose another name.
    #[error("the name of an API key has 1 to {MAX_API_KEY_NAME_BYTES} of a-z, 0-9, \"_\", \"-\"")]
    Name,
    /// Give the SHA-256 of the secret.
    #[error("`sha256` is the SHA-256 of the secret as 64 hex digits")]
    Digest,
}

/// One configured key.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ApiKeyEntry {
    digest: [u8; SHA256_OUTPUT_LEN],
    scopes: ApiScopes,
}

/// All configured keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ApiKeyTable(BTreeMap<String, ApiKeyEntry>);

impl ApiKeyTable {
    /// Adds a key as it is configured: its name, the hex digest of its secret, its scopes.
    pub fn add(&mut self, name: &str, sha256: &str, scopes: ApiScopes) -> Result<(), ApiKeyError> {
        check_name(name)?;
        let digest = read_digest(sha256).ok_or(ApiKeyError::Digest)?;
        self.0.insert(name.to_owned(), ApiKeyEntry { digest, scopes });
        Ok(())
    }

    /// The key that `NAME.SECRET` is, with its scopes; `None` for a name or a secret that is not
    /// configured. The secret's digest is compared in constant time.
    pub fn check(&self, presented: &str) -> Option<(&str, ApiScopes)> {
        let (name, secret) = presented.split_once('.')?;
        if secret.len() > MAX_SECRET_BYTES {
            return None;
        }
        let (name, entry) = self.0.get_key_value(name)?;
        let own = digest(&SHA256, secret.as_bytes());
        verify_slices_are_equal(own.as_ref(), &entry.digest).ok()?;
        Some((name, entry.scopes))
    }

    /// The scopes of a key that is configured under this name.
    pub fn scopes(&self, name: &str) -> Option<ApiScopes> {
        self.0.get(name).map(|entry| entry.scopes)
    }

    /// Whether no key is configured.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A new key: what the backend keeps and what the configuration takes.
#[derive(Clone, PartialEq, Eq)]
pub struct NewApiKey {
    /// `NAME.SECRET`, to be shown once.
    pub presented: String,
    /// The secret's SHA-256 as hex, for the configuration.
    pub sha256: String,
}

impl NewApiKey {
    /// Makes a key of this name from random bytes of the caller.
    pub fn generate(name: &str, random: [u8; API_SECRET_BYTES]) -> Result<Self, ApiKeyError> {
        check_name(name)?;
        let secret = BASE64_URL_SAFE_NO_PAD.encode(random);
        let own = digest(&SHA256, secret.as_bytes());
        let sha256 = own.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { presented: format!("{name}.{secret}"), sha256 })
    }
}

impl fmt::Debug for NewApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewApiKey").field("sha256", &self.sha256).finish_non_exhaustive()
    }
}

fn check_name(name: &str) -> Result<(), ApiKeyError> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    let fits = (1..=MAX_API_KEY_NAME_BYTES).contains(&name.len());
    if fits && name.bytes().all(allowed) { Ok(()) } else { Err(ApiKeyError::Name) }
}

fn read_digest(hex: &str) -> Option<[u8; SHA256_OUTPUT_LEN]> {
    if hex.len() != 2 * SHA256_OUTPUT_LEN || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let mut out = [0; SHA256_OUTPUT_LEN];
    for (byte, digits) in out.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn table(name: &str, random: u8, scopes: &str) -> (ApiKeyTable, NewApiKey) {
        let key = NewApiKey::generate(name, [random; API_SECRET_BYTES]).unwrap();
        let mut table = ApiKeyTable::default();
        table.add(name, &key.sha256, ApiScopes::parse(scopes).unwrap()).unwrap();
        (table, key)
    }

    #[test]
    fn a_generated_key_opens_what_its_scopes_say() {
        let (table, key) = table("shop-1", 7, "publish read");
        let (name, scopes) = table.check(&key.presented).unwrap();
        assert_eq!(name, "shop-1");
        assert!(scopes.has(ApiScope::Publish) && scopes.has(ApiScope::Read));
        assert!(!scopes.has(ApiScope::Admin));
        assert_eq!(table.scopes("shop-1"), Some(scopes));
        assert!(!format!("{key:?}").contains(&key.presented[7..]));
    }

    #[test]
    fn digests_are_those_of_the_secret_alone() {
        let mut table = ApiKeyTable::default();
        // The SHA-256 of `abc`, from FIPS 180-2, appendix B.1.
        let hex = "BA7816BF8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        table.add("a", hex, ApiScopes::default()).unwrap();
        assert!(table.check("a.abc").is_some());
        for wrong in ["a.abd", "a.", "a", "b.abc", ".abc", "a.abc.", "A.abc", "a.abc ", ""] {
            assert!(table.check(wrong).is_none(), "{wrong:?}");
        }
        assert!(table.check(&format!("a.{}", "x".repeat(MAX_SECRET_BYTES + 1))).is_none());
    }

    #[test]
    fn bad_configuration_is_refused() {
        let mut table = ApiKeyTable::default();
        let hex = "0".repeat(64);
        for name in ["", "A", "a.b", "a b", "ä", &"a".repeat(65)] {
            let added = table.add(name, &hex, ApiScopes::default());
            assert_eq!(added, Err(ApiKeyError::Name), "{name:?}");
        }
        for sha256 in ["", "0", &"0".repeat(63), &"g".repeat(64), &"+1".repeat(32)] {
            let added = table.add("a", sha256, ApiScopes::default());
            assert_eq!(added, Err(ApiKeyError::Digest), "{sha256:?}");
        }
        assert!(table.is_empty());
        assert_eq!(ApiScopes::parse("read write"), Err("write".to_owned()));
    }

    proptest! {
        #[test]
        fn no_other_text_is_the_key(presented in "(\\PC{0,40}|shop\\.[A-Za-z0-9_-]{43})") {
            let (table, key) = table("shop", 3, "admin");
            prop_assert_eq!(table.check(&presented).is_some(), presented == key.presented);
        }
    }
}
