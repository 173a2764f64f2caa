//! A URL that may hold a password, and a text that is a secret: shown, logged and printed without
//! what must stay hidden.

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
        let checked = match text.split_whitespace().any(has_raw_delimiter) {
            true => Err("a user or password with /, ? or # (write %2F, %3F, %23)".into()),
            false => roomcast_bus::check_url(text),
        };
        checked.map_err(|what| {
            let several = text.trim().contains(char::is_whitespace);
            let hint =
                if several { " (blanks separate servers; in a password write %20)" } else { "" };
            let shown = mask(text);
            format!("{what} in {shown:?}; give redis://[user:password@]host[:port][/db]{hint}")
        })
    }
}

/// Whether what stands before the last `@` would end the authority of the URL (RFC 3986, section
/// 3.2): a part of the password were read as path, parameters or nothing.
fn has_raw_delimiter(url: &str) -> bool {
    let access = url.split_once("://").and_then(|(_, rest)| rest.rsplit_once('@'));
    let is_file = url.starts_with("unix:") || url.starts_with("redis+unix:");
    !is_file && access.is_some_and(|(access, _)| access.contains(['/', '?', '#']))
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

/// A secret that never appears in `Debug`, and has no `Display`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct SecretText(String);

impl SecretText {
    /// The secret itself: for checking and making signatures only.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Checks the length; an empty text stands for no secret. The message holds no part of it.
    pub(super) fn read(text: &str) -> Result<(), String> {
        if text.is_empty() {
            return Ok(());
        }
        if text.contains('\n') {
            return Err("give one secret, or several in auth.hs_secret_file".into());
        }
        let read = roomcast_access::keys::read_secrets(text.as_bytes());
        read.map(drop).map_err(|error| error.to_string())
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretText({HIDDEN})")
    }
}

/// A secret as it is shown: whether there is one.
pub(super) fn hide(text: &str) -> &'static str {
    if text.is_empty() { "" } else { HIDDEN }
}

/// One URL or several without what is or may be a password. Each is taken apart, and put together
/// from the parts that are known to be harmless; if one cannot be, nothing of the text is shown, as
/// a password with a blank in it makes several words of one URL.
pub(super) fn mask(text: &str) -> String {
    let urls: Option<Vec<_>> = text.split_whitespace().map(mask_one).collect();
    urls.map_or_else(|| HIDDEN.into(), |urls| urls.join(" "))
}

const HIDDEN: &str = "***";
/// Parameters that URLs of Redis have.
const PARAMETERS: [&str; 8] =
    ["name", "db", "protocol", "user", "pass", "password", "sentinel_user", "sentinel_password"];

fn mask_one(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let (base, kind) = scheme.split_once('+').unwrap_or((scheme, ""));
    let known = matches!(base, "redis" | "rediss" | "unix" | "http" | "https")
        && matches!(kind, "" | "sentinel" | "cluster" | "unix");
    let (rest, query) = match rest.split_once('?') {
        Some((rest, query)) => (rest, format!("?{}", mask_query(query)?)),
        None => (rest, String::new()),
    };
    let (access, rest) = match rest.rsplit_once('@') {
        Some((access, rest)) => (mask_access(access)?, rest),
        None => (String::new(), rest),
    };
    let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
    let harmless = known && hosts.split(',').all(is_host) && path.split('/').all(is_word);
    harmless.then(|| format!("{scheme}://{access}{rest}{query}"))
}

/// A user is shown if it cannot be a password in the wrong place: if one follows.
fn mask_access(access: &str) -> Option<String> {
    if access.contains(['/', '#']) {
        return None;
    }
    match access.split_once(':') {
        Some((user, _)) => is_word(user).then(|| format!("{user}:{HIDDEN}@")),
        None => Some(format!(":{HIDDEN}@")),
    }
}

fn mask_query(query: &str) -> Option<String> {
    let mask = |parameter: &str| {
        let (name, value) = parameter.split_once('=')?;
        let harmless = !name.ends_with("pass") && !name.ends_with("password");
        let shown = if harmless { value } else { HIDDEN };
        (PARAMETERS.contains(&name) && !value.contains('@') && (!harmless || is_word(value)))
            .then(|| format!("{name}={shown}"))
    };
    query.split('&').map(mask).collect::<Option<Vec<_>>>().map(|all| all.join("&"))
}

/// A name or an address, with a port or without; none in `unix:///path`.
fn is_host(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, port),
        _ => (host, ""),
    };
    let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.split(':').all(is_word) && port.bytes().all(|b| b.is_ascii_digit())
}

fn is_word(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'%' | b'~'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
        check("redis://app:s:e@c@host", "redis://app:***@host");
        check("redis://secret@host", "redis://:***@host");
        check("rediss://app:secret@[::1]:6379/1", "rediss://app:***@[::1]:6379/1");
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

    /// What cannot be taken apart may be a password anywhere.
    #[test]
    fn nothing_is_shown_of_what_is_not_understood() {
        for text in [
            "redis://app:correct horse@redis.internal",
            "redis://app:12 34@host",
            "redis://app:secret",
            "redis://app:1234/0?secret@host",
            "redis://app:1234?name=secret@host",
            "redis://app:1234/#secret@host",
            "redis://app:s:e@c/r?e&t@host",
            "redis://secret horse",
            "redis://secret?@host",
            "redis://h?secret",
            "redis://h?secret=1",
            "app:secret@host",
            "secret://h",
            "secret",
        ] {
            assert_eq!(mask(text), "***", "{text}");
            assert!(SecretUrl::read(text).is_err(), "{text}");
        }
        assert_eq!(mask("  "), "");
    }

    proptest! {
        /// Whatever is in a password, encoded or not, no form of the URL shows a piece of it.
        #[test]
        fn no_password_is_shown(
            password in "[A-Z0-9 @:/?#%&=+,.;\"'\\\\\\n\\t\\[\\]äß€-]{4,24}", encoded in any::<bool>(),
            (before, after) in prop::sample::select(vec![
                ("redis://app:", "@host:6379/0"),
                ("redis://:", "@host"),
                ("redis://", "@host"),
                ("rediss://app:", "@[::1]:1/2?name=one"),
                ("redis+sentinel://app:", "@a,b/main?sentinel_password=x"),
                ("redis+sentinel://a/main?sentinel_password=", ""),
                ("redis://a redis://app:", "@b redis://c"),
                ("unix:///run/redis?pass=", "&db=1"),
                ("", ""),
                ("redis:/", "@host"),
            ]),
        ) {
            let typed = match encoded {
                true => password.bytes().map(|byte| format!("%{byte:02X}")).collect(),
                false => password.clone(),
            };
            let text = format!("{before}{typed}{after}");
            let url = SecretUrl(text.clone());
            let read = SecretUrl::read(&text).err().unwrap_or_default();
            let quoted = crate::config::value::quoted(&text);
            for shown in [url.to_string(), format!("{url:?}"), read] {
                // Of the advice on what to give, digits and signs are known.
                let shown = shown.replace(ADVICE, "");
                for piece in typed.split_whitespace().filter(|piece| piece.len() > 3) {
                    prop_assert!(!shown.contains(piece), "{piece:?} of {text:?} in {shown}");
                }
            }
            prop_assert!(before.is_empty() || !quoted.contains(typed.trim()), "{quoted}");
        }
    }

    const ADVICE: &str = "(blanks separate servers; in a password write %20)";

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
