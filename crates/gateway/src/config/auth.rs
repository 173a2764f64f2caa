//! The section `auth`: the keys that tokens are verified with, what a token must say, and the ways
//! in which it may come.

use std::path::PathBuf;
use std::time::Duration;

use roomcast_access::policy::Authentication;
use roomcast_access::token::TokenRules;
use serde::{Deserialize, Deserializer};

use super::key::{Change, Key, Section, ValueKind};
use super::secret::{SecretText, SecretUrl};
use super::value::{self, Bounds};

/// Keys with which authentication is configured as soon as one of them has a value.
pub(super) const KEY_SOURCES: [&str; 4] =
    ["auth.hs_secret", "auth.hs_secret_file", "auth.keys", "auth.jwks_url"];

pub(super) const SECTION: Section = Section {
    name: "auth",
    about: "Tokens (JWT): who may connect. Authentication is configured as soon as one of \
            `hs_secret`, `hs_secret_file`, `keys` and `jwks_url` is set; then a connection needs \
            a token, and `http.listen` may be any address. Files are read again at SIGHUP, even \
            if no key changed.",
    keys: &[
        Key {
            name: "hs_secret",
            default: "",
            kind: ValueKind::SecretText,
            change: Change::Reload,
            about: "The secret of tokens by HS256, HS384 and HS512: at least 32 bytes. Better \
                    in a file or in the environment than in this one.",
        },
        Key {
            name: "hs_secret_file",
            default: "",
            kind: ValueKind::FileOrEmpty,
            change: Change::Reload,
            about: "A file with up to 8 such secrets, one a line. All are tried, so that one can be replaced without a break; `roomcast token \
                    make` signs with the first.",
        },
        Key {
            name: "keys",
            default: "",
            kind: ValueKind::FilesOrEmpty,
            change: Change::Reload,
            about: "Files with public keys, separated by blanks: PEM (RSA, EC P-256 and P-384, \
                    Ed25519; keys or certificates), JWK or JWKS. A key's name (`kid`) is that in \
                    its JWK, else the file's name without extension.",
        },
        Key {
            name: "jwks_url",
            default: "",
            kind: ValueKind::KeysUrl,
            change: Change::Reload,
            about: "Where the keys of an identity provider are fetched (JWKS): at the start, \
                    every 5 minutes, and when a token names a key that is not known. `http` only \
                    to this machine. Until the first set came the node is not ready.",
        },
        Key {
            name: "jwks_ca",
            default: "",
            kind: ValueKind::FileOrEmpty,
            change: Change::Reload,
            about: "Authorities (PEM) that the server of `auth.jwks_url` is checked against. \
                    Empty: the system's.",
        },
        Key {
            name: "issuer",
            default: "",
            kind: ValueKind::Text,
            change: Change::Reload,
            about: "What a token's `iss` must be. Empty: anything.",
        },
        Key {
            name: "audience",
            default: "",
            kind: ValueKind::Text,
            change: Change::Reload,
            about: "What a token's `aud` must contain. Empty: a token that has `aud` is refused, \
                    as it was made for another service (RFC 7519).",
        },
        Key {
            name: "leeway",
            default: "30s",
            kind: ValueKind::Time(Bounds::new(0, 600_000)),
            change: Change::Reload,
            about: "How far the clocks of the node and of the token's issuer may differ: a token \
                    is good for so much longer than its `exp` says. More than clocks differ that \
                    are kept by NTP.",
        },
        Key {
            name: "cookie",
            default: "",
            kind: ValueKind::CookieName,
            change: Change::Reload,
            about: "The name of the cookie that may hold the token. Empty: cookies are not read. \
                    Browsers send cookies for pages of others too, so the origin is checked then.",
        },
        Key {
            name: "query_token",
            default: "false",
            kind: ValueKind::Flag,
            change: Change::Reload,
            about: "Whether `?token=` is taken. Addresses end up in the logs of proxies and in \
                    histories of browsers; nodes do not log them.",
        },
        Key {
            name: "anonymous",
            default: "false",
            kind: ValueKind::Flag,
            change: Change::Reload,
            about: "Whether a connection without any token is let in, without a user. It may do \
                    what the policies of namespaces allow to `public`.",
        },
    ],
};

/// Who may connect.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthConfig {
    /// A secret of tokens.
    pub hs_secret: Option<SecretText>,
    /// A file with such secrets.
    pub hs_secret_file: Option<PathBuf>,
    /// Files with public keys.
    #[serde(default, deserialize_with = "from_list")]
    pub keys: Vec<PathBuf>,
    /// Where keys are fetched.
    pub jwks_url: Option<SecretUrl>,
    /// Authorities for that.
    pub jwks_ca: Option<PathBuf>,
    /// What `iss` must be.
    pub issuer: Option<String>,
    /// What `aud` must contain.
    pub audience: Option<String>,
    /// How far clocks may differ.
    #[serde(deserialize_with = "value::from_millis")]
    pub leeway: Duration,
    /// The cookie with the token.
    #[serde(default)]
    pub cookie: String,
    /// Whether the query may hold the token.
    pub query_token: bool,
    /// Whether connections without token are let in.
    pub anonymous: bool,
}

impl AuthConfig {
    /// What a token must say.
    pub fn token_rules(&self, info_bytes: usize) -> TokenRules {
        TokenRules {
            issuer: self.issuer.clone(),
            audience: self.audience.clone(),
            leeway_ms: self.leeway.as_millis() as u64,
            info_bytes,
        }
    }

    /// Whether any source of keys is configured.
    pub fn authentication(&self) -> Authentication {
        let Self { hs_secret, hs_secret_file, keys, jwks_url, .. } = self;
        let has_secret = hs_secret.is_some() || hs_secret_file.is_some();
        if has_secret || !keys.is_empty() || jwks_url.is_some() {
            return Authentication::Configured;
        }
        Authentication::NotConfigured
    }
}

fn from_list<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<PathBuf>, D::Error> {
    Ok(String::deserialize(input)?.split_whitespace().map(PathBuf::from).collect())
}

/// Checks `auth.jwks_url`. Keys that came over plain HTTP could be anybody's; the loopback
/// interface is an exception, for helpers beside the node and for tests.
pub(super) fn read_keys_url(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Ok(());
    }
    let uri = text.parse::<hyper::Uri>().ok();
    let host = uri.as_ref().and_then(|uri| uri.host()).map(|host| host.trim_matches(['[', ']']));
    let is_local = host.is_some_and(|host| {
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    });
    match uri.as_ref().and_then(|uri| uri.scheme_str()) {
        _ if text.contains('@') => Err("an address with a user or password is not taken".into()),
        Some("https") if host.is_some() => Ok(()),
        Some("http") if is_local => Ok(()),
        Some("http") => Err("give an https address: keys that come over plain http could be \
                             anybody's (http is taken to this machine only)"
            .into()),
        _ => Err("this is no address such as https://id.example.com/.well-known/jwks.json".into()),
    }
}

/// Checks `auth.cookie` (RFC 6265, section 4.1.1: a token of HTTP).
pub(super) fn read_cookie_name(text: &str) -> Result<(), String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    match text.len() <= 64 && text.bytes().all(plain) {
        true => Ok(()),
        false => Err("this is no name of a cookie: up to 64 letters, digits, - and _".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_over_https_or_from_this_machine() {
        for good in [
            "",
            "https://id.example.com/jwks",
            "https://10.0.0.1:8443/a?b=c",
            "http://127.0.0.1:9/jwks",
            "http://[::1]:9/jwks",
            "http://localhost/jwks",
        ] {
            assert_eq!(read_keys_url(good), Ok(()), "{good}");
        }
        for bad in [
            "http://id.example.com/jwks",
            "https://",
            "https://u:secret@id.example.com/jwks",
            "http://127.0.0.1.example.com/",
            "ftp://localhost/",
            "jwks.json",
        ] {
            let message = read_keys_url(bad).unwrap_err();
            assert!(!message.contains("secret"), "{message}");
        }
    }

    #[test]
    fn cookies_have_plain_names() {
        for good in ["", "sid", "__Host-sid"] {
            assert_eq!(read_cookie_name(good), Ok(()));
        }
        for bad in ["a b", "a=b", "a;b", "ä"] {
            assert!(read_cookie_name(bad).is_err());
        }
    }
}
