//! A URL that may hold a password: shown, logged and printed without it.

use std::fmt;

use serde::Deserialize;

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
        if text.trim().is_empty() {
            return Ok(());
        }
        roomcast_bus::check_url(text).map_err(|what| {
            let shown = mask(text);
            format!("{what} in {shown:?}; give redis://[user:password@]host[:port][/db]")
        })
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

/// The text with what is or may be a password replaced by stars, in each of its URLs.
pub(super) fn mask(text: &str) -> String {
    text.split_whitespace().map(mask_one).collect::<Vec<_>>().join(" ")
}

/// Masks all between the first `:` of the user's part and the last `@`, and the value of a
/// `…pass` or `…password` parameter; of what is no URL nearly everything. Rather too much than too
/// little.
fn mask_one(text: &str) -> String {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (format!("{}://", masked_word(scheme)), rest),
        None if text.contains('@') => (String::new(), text),
        None => return "***".into(),
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

/// A scheme of Redis; anything else could be a password typed in the wrong place.
fn masked_word(scheme: &str) -> &str {
    let known = ["redis", "rediss", "unix", "http", "https"];
    let first = scheme.split('+').next().unwrap_or_default();
    if known.contains(&first) { scheme } else { "***" }
}

fn mask_parameters(host: &str) -> String {
    let Some((path, query)) = host.split_once('?') else { return host.into() };
    let parameters: Vec<_> = query
        .split('&')
        .map(|parameter| match parameter.split_once('=') {
            Some((name, _)) if name.ends_with("pass") || name.ends_with("password") => {
                format!("{name}=***")
            }
            _ => parameter.into(),
        })
        .collect();
    format!("{path}?{}", parameters.join("&"))
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
        check(
            "redis+sentinel://:a@h,i/main?sentinel_password=b redis://u:c@k",
            "redis+sentinel://:***@h,i/main?sentinel_password=*** redis://u:***@k",
        );
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
        for url in ["", "redis://h", "redis://u:p@h:1/2", "unix:///run/r", "rediss://h"] {
            assert_eq!(SecretUrl::read(url), Ok(()), "{url}");
        }
        for url in ["localhost", "http://h", "redis://", "redis:///1", "redis://a redis://a"] {
            assert!(SecretUrl::read(url).is_err(), "{url}");
        }
    }
}
