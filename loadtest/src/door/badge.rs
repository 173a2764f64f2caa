//! What names the user of a connection: one token for all, or a key that signs a token of its own
//! for each. Keys and tokens are never shown.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, Result};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use roomcast_access::token::{TokenDraft, sign};
use serde::{Deserialize, Serialize};

/// What every signed token allows: everything, everywhere.
const EVERYTHING: &str = "*=join,publish,signal,history,presence";

/// What a client shows.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Badge {
    /// Nothing.
    #[default]
    None,
    /// This token, always: all connections are of one user.
    Token(String),
    /// What this file holds, read again each time.
    File(PathBuf),
    /// A token of its own, signed with this secret (HS256).
    Secret { secret: String, life: Duration },
    /// A token of its own, signed with this private key (PKCS 8; ES256) under its name.
    Key { der: Vec<u8>, kid: String, life: Duration },
}

impl Badge {
    /// Whether it shows anything.
    pub(crate) fn is_some(&self) -> bool {
        *self != Self::None
    }

    /// A token for this user, if there are tokens.
    pub(crate) fn token(&self, user: &str) -> Result<Option<String>> {
        Ok(Some(match self {
            Self::None => return Ok(None),
            Self::Token(token) => token.clone(),
            Self::File(path) => fs::read_to_string(path)
                .with_context(|| format!("reading {}", path.display()))?
                .trim()
                .to_owned(),
            Self::Secret { secret, life } => {
                sign(secret.as_bytes(), &draft(user, *life)?.claims()?)?
            }
            Self::Key { der, kid, life } => {
                let header = Header { kid: Some(kid.clone()), ..Header::new(Algorithm::ES256) };
                let key = EncodingKey::from_ec_der(der);
                encode(&header, &draft(user, *life)?, &key).context("signing")?
            }
        }))
    }
}

/// It holds secrets.
impl fmt::Debug for Badge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Token(_) => "Token(…)",
            Self::File(_) => "File(…)",
            Self::Secret { .. } => "Secret(…)",
            Self::Key { .. } => "Key(…)",
        })
    }
}

fn draft(user: &str, life: Duration) -> Result<TokenDraft> {
    let now = UNIX_EPOCH.elapsed().unwrap_or_default();
    Ok(TokenDraft {
        sub: user.to_owned(),
        exp: (now + life).as_secs(),
        rooms: vec![EVERYTHING.parse()?],
        info: None,
        jti: None,
    })
}

#[cfg(test)]
mod tests {
    use roomcast_access::keys::{KeySet, RemoteKeys, read_secrets};
    use roomcast_access::token::{TokenRules, verify_connection};

    use super::*;

    #[test]
    fn each_user_gets_a_token_that_a_node_takes() {
        let secret = "s".repeat(32);
        let keys = KeySet::new(read_secrets(secret.as_bytes()).unwrap(), RemoteKeys::None);
        let badge = Badge::Secret { secret, life: Duration::from_secs(60) };
        for user in ["load-1", "m7"] {
            let token = badge.token(user).unwrap().unwrap();
            let now = UNIX_EPOCH.elapsed().unwrap().as_millis() as u64;
            let identity = verify_connection(&token, &keys, &TokenRules::default(), now).unwrap();
            assert_eq!(identity.user().unwrap().as_str(), user);
            let all = identity.capabilities_in("load-7").iter().count();
            assert_eq!(all, 5);
        }
    }

    #[test]
    fn a_file_is_read_again_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let badge = Badge::File(path.clone());
        assert!(badge.token("u").is_err());
        for token in ["one", "two"] {
            fs::write(&path, format!("{token}\n")).unwrap();
            assert_eq!(badge.token("u").unwrap().as_deref(), Some(token));
        }
    }

    #[test]
    fn nothing_secret_is_shown() {
        let life = Duration::from_secs(1);
        let secret = Badge::Secret { secret: "hidden".to_owned(), life };
        let key = Badge::Key { der: b"hidden".to_vec(), kid: "k".to_owned(), life };
        for badge in [Badge::Token("hidden".to_owned()), secret, key] {
            assert!(!format!("{badge:?}").contains("hidden"));
        }
    }
}
