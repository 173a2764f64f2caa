//! A URL that may hold a password: shown, logged and printed without it.

use std::fmt;

use serde::Deserialize;

/// The schemes that the bus can connect to.
const SCHEMES: [&str; 3] = ["redis", "unix", "redis+unix"];

/// A URL whose password never appears in `Debug` or `Display`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct SecretUrl(String);

impl SecretUrl {
    /// The whole URL, password included: for connecting only.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Checks the form; an empty text stands for no URL. The message holds no part of the text
    /// that could be a password.
    pub(super) fn read(text: &str) -> Result<(), String> {
        if text.is_empty() {
            return Ok(());
        }
        let form = "give redis://[user:password@]host[:port][/db]";
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(format!("this is no URL; {form}"));
        };
        if scheme == "rediss" {
            return Err("TLS to Redis is not supported; give redis:// on a trusted network".into());
        }
        if !SCHEMES.contains(&scheme) {
            return Err(format!("{:?} is no scheme of Redis; {form}", masked_word(scheme)));
        }
        let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        let blank = |c: char| c.is_whitespace() || c.is_control();
        if host.is_empty() || host.starts_with([':', '?']) || text.contains(blank) {
            return Err(format!("{} names no host; {form}", mask(text)));
        }
        if scheme == "redis" && host.starts_with('/') {
            return Err(format!("{} names no host; {form}", mask(text)));
        }
        Ok(())
    }
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&mask(&self.0))
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretUrl({})", mask(&self.0))
    }
}

/// The text with what is or may be a password replaced by stars: all between the first `:` of
/// the user's part and the last `@`, and the value of a `pass` or `password` parameter. Rather
/// too much than too little, as the text need not be a valid URL.
pub(super) fn mask(text: &str) -> String {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), text),
    };
    let (access, host) = match rest.rsplit_once('@') {
        Some((access, host)) => {
            let user = access.split_once(':').map_or("", |(user, _)| user);
            (format!("{user}:***@"), host)
        }
        None => (String::new(), rest),
    };
    format!("{scheme}{access}{}", mask_parameters(host))
}

fn mask_parameters(host: &str) -> String {
    let Some((path, query)) = host.split_once('?') else { return host.into() };
    let parameters: Vec<_> = query
        .split('&')
        .map(|parameter| match parameter.split_once('=') {
            Some((name @ ("pass" | "password"), _)) => format!("{name}=***"),
            _ => parameter.into(),
        })
        .collect();
    format!("{path}?{}", parameters.join("&"))
}

/// A scheme is letters; anything else could be a password typed in the wrong place.
fn masked_word(scheme: &str) -> &str {
    if scheme.len() <= 12 && scheme.bytes().all(|b| b.is_ascii_alphabetic() || b == b'+') {
        scheme
    } else {
        "***"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, shown: &str) {
        assert_eq!(mask(url), shown);
        assert_eq!(SecretUrl(url.into()).to_string(), shown);
        assert_eq!(format!("{:?}", SecretUrl(url.into())), format!("SecretUrl({shown})"));
    }

    #[test]
    fn passwords_are_masked_wherever_they_stand() {
        check("redis://localhost", "redis://localhost");
        check("redis://:secret@localhost:6379/1", "redis://:***@localhost:6379/1");
        check("redis://app:secret@host", "redis://app:***@host");
        check("redis://app:s:e@c/r?e&t@host", "redis://app:***@host");
        check("redis://secret@host", "redis://:***@host");
        check("app:secret@host", "app:***@host");
        check(
            "unix:///run/redis?db=1&pass=secret&user=x",
            "unix:///run/redis?db=1&pass=***&user=x",
        );
        check("redis://h?password=secret", "redis://h?password=***");
    }

    #[test]
    fn messages_hold_no_password() {
        for url in ["secret", "s3cret://h", "redis://app:secret@", "redis://:secret@:6379"] {
            let message = SecretUrl::read(url).unwrap_err();
            assert!(!message.contains("secret") && !message.contains("s3cret"), "{message}");
        }
    }

    #[test]
    fn the_form_is_checked() {
        for url in ["", "redis://h", "redis://u:p@h:1/2", "unix:///run/r", "redis+unix:///r?db=1"] {
            assert_eq!(SecretUrl::read(url), Ok(()), "{url}");
        }
        for url in ["localhost", "http://h", "rediss://h", "redis://", "redis:///1", "redis://a b"]
        {
            assert!(SecretUrl::read(url).is_err(), "{url}");
        }
    }
}
