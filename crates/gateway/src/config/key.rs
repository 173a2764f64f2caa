//! Keys: what each is called, takes, defaults to and is for. The tables are the one source of
//! defaults, bounds and documentation.

use std::net::SocketAddr;

use roomcast_access::origin::OriginList;
use roomcast_protocol::NodeId;

use super::demo;
use super::secret::{self, SecretText, SecretUrl};
use super::value::{self, Bounds};
use super::{Networks, SECTIONS, api_keys, auth, log_filter, namespace_keys, namespaces, networks};

/// Keys that stand together under one TOML table.
#[derive(Debug)]
pub struct Section {
    /// The table's name; empty for keys before any table.
    pub name: &'static str,
    /// What the section is about.
    pub about: &'static str,
    /// Its keys.
    pub keys: &'static [Key],
}

/// One key.
#[derive(Debug)]
pub struct Key {
    /// Its name within the section.
    pub name: &'static str,
    /// Its default, as it would be typed.
    pub default: &'static str,
    /// What values it takes.
    pub(super) kind: ValueKind,
    /// Whether a running node takes over a new value.
    pub change: Change,
    /// Meaning, and the reason for the default.
    pub about: &'static str,
}

impl Key {
    /// Its name with that of its section.
    pub(super) fn full_name(&self, section: &Section) -> String {
        match section.name {
            "" => self.name.into(),
            section => format!("{section}.{}", self.name),
        }
    }
}

/// When a new value takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// On SIGHUP.
    Reload,
    /// At the next start.
    Restart,
}

/// What values a key takes.
#[derive(Debug)]
pub(super) enum ValueKind {
    Flag,
    Count(Bounds),
    Bytes(Bounds),
    /// A time; the bounds are in ms.
    Time(Bounds),
    Word(&'static [&'static str]),
    WordOrEmpty(&'static [&'static str]),
    Text,
    SecretText,
    /// `NAME.SECRET`.
    DemoKey,
    Address,
    AddressOrEmpty,
    NodeName,
    RedisUrl,
    FileOrEmpty,
    FilesOrEmpty,
    KeysUrl,
    CookieName,
    HostOrEmpty,
    Fraction,
    HttpOrEmpty,
    Networks,
    /// The same, or the word `none`.
    NetworksOrNone,
    /// Origins of pages.
    Origins,
    /// Names of events.
    Events,
    Prefix,
    LogFilter,
    Digest,
    Scopes,
}

impl ValueKind {
    /// The value in the one form that configurations are compared and read in, or what is wrong
    /// with it.
    pub(super) fn read(&self, text: &str) -> Result<String, String> {
        match self {
            Self::Flag => value::flag(text).map(|flag| flag.to_string()),
            Self::Count(bounds) => bounds.hold(value::count(text)?, value::show_count),
            Self::Bytes(bounds) => bounds.hold(value::bytes(text)?, value::show_bytes),
            Self::Time(bounds) => bounds.hold(value::millis(text)?, value::show_millis),
            Self::WordOrEmpty(_) if text.is_empty() => Ok(String::new()),
            Self::Word(words) | Self::WordOrEmpty(words) if words.contains(&text) => {
                Ok(text.into())
            }
            Self::Word(words) | Self::WordOrEmpty(words) => {
                Err(format!("{} is none of {}", value::quoted(text), words.join(", ")))
            }
            Self::AddressOrEmpty if text.is_empty() => Ok(String::new()),
            Self::Address | Self::AddressOrEmpty => read_address(text),
            Self::NodeName => match NodeId::parse(text) {
                Ok(name) => Ok(name.to_string()),
                Err(error) => Err(error.to_string()),
            },
            Self::RedisUrl => SecretUrl::read(text).map(|()| text.into()),
            Self::FileOrEmpty | Self::FilesOrEmpty | Self::Text => Ok(text.into()),
            Self::SecretText => SecretText::read(text).map(|()| text.into()),
            Self::DemoKey => demo::DemoKey::read(text).map(|()| text.into()),
            Self::KeysUrl => auth::read_keys_url(text).map(|()| text.into()),
            Self::CookieName => auth::read_cookie_name(text).map(|()| text.into()),
            Self::HostOrEmpty => read_host(text),
            Self::Fraction => value::fraction(text).map(|part| part.to_string()),
            Self::HttpOrEmpty => read_http(text),
            Self::Networks => Networks::read(text).map(|_| text.into()),
            Self::NetworksOrNone => networks::read_or_none(text).map(|_| text.into()),
            Self::Origins => read_origins(text),
            Self::Events => namespaces::read_events(text).map(|_| text.into()),
            Self::Prefix => read_prefix(text),
            Self::LogFilter => log_filter::read(text),
            Self::Digest => api_keys::read_digest(text),
            Self::Scopes => api_keys::read_scopes(text),
        }
    }

    /// What the page says about it.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Flag => "`true` or `false`".into(),
            Self::Count(bounds) => bounds.describe(value::show_count),
            Self::Bytes(bounds) => bounds.describe(value::show_bytes),
            Self::Time(bounds) => bounds.describe(value::show_millis),
            Self::Word(words) => {
                words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or ")
            }
            Self::WordOrEmpty(words) => {
                let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
                format!("{}, or empty", words.join(", "))
            }
            Self::Text => "a text, or empty".into(),
            Self::SecretText => "a text of at least 32 bytes, or empty".into(),
            Self::DemoKey => "`NAME.SECRET`, or empty".into(),
            Self::FilesOrEmpty => "files separated by blanks, or empty".into(),
            Self::KeysUrl => "a URL `https://…`, or empty".into(),
            Self::CookieName => "the name of a cookie, or empty".into(),
            Self::Address => "IP address and port".into(),
            Self::AddressOrEmpty => "IP address and port, or empty".into(),
            Self::NodeName => "up to 64 bytes, no blanks".into(),
            Self::RedisUrl => "one URL or several separated by blanks, or empty".into(),
            Self::FileOrEmpty => "a file, or empty".into(),
            Self::HostOrEmpty => "a host's name or IP address, or empty".into(),
            Self::Fraction => "0 to 1".into(),
            Self::HttpOrEmpty => "a URL `http://…`, or empty".into(),
            Self::Networks => "networks separated by blanks, or empty".into(),
            Self::NetworksOrNone => "networks separated by blanks, or `none`".into(),
            Self::Origins => "origins separated by blanks, or empty".into(),
            Self::Events => "names separated by blanks, or empty".into(),
            Self::Prefix => "1 to 32 of `a–z A–Z 0–9 _ -`".into(),
            Self::Digest => "64 hex digits".into(),
            Self::Scopes => "words separated by blanks".into(),
            Self::LogFilter => "a level, or `level,target=level,…`".into(),
        }
    }

    /// Whether its value must not be shown.
    pub(super) fn is_secret(&self) -> bool {
        use ValueKind::{DemoKey, Digest, HttpOrEmpty, RedisUrl, SecretText};
        matches!(self, RedisUrl | HttpOrEmpty | SecretText | Digest | DemoKey)
    }

    /// A value as it may be shown. Where an address may be, a password may stand in the wrong place.
    pub(super) fn shown(&self, text: &str) -> String {
        match self {
            _ if self.is_secret() => self.mask(text),
            Self::Origins if self.read(text).is_ok() => text.into(),
            Self::KeysUrl | Self::Text if text.contains("://") => secret::mask(text),
            _ => value::shown(text).into(),
        }
    }

    /// A secret value as it may be shown: nothing of it, or a URL without its password.
    pub(super) fn mask(&self, text: &str) -> String {
        match self {
            Self::SecretText | Self::DemoKey => secret::hide(text).into(),
            _ => secret::mask(text),
        }
    }
}

/// The table's entry for a key in full. Every valid namespace has the keys of the default one.
pub(super) fn find(path: &str) -> Option<&'static Key> {
    let (section, name) = path.rsplit_once('.').unwrap_or(("", path));
    find_section(section)?.keys.iter().find(|key| key.name == name)
}

/// The section of that name.
pub(super) fn find_section(name: &str) -> Option<&'static Section> {
    if name.strip_prefix("api_keys.").is_some_and(api_keys::is_name) {
        return Some(&api_keys::SECTION);
    }
    let name = match name.strip_prefix("namespaces.") {
        Some(namespace) if namespaces::is_name(namespace) => namespace_keys::SECTION.name,
        _ => name,
    };
    SECTIONS.into_iter().find(|section| section.name == name)
}

fn read_address(text: &str) -> Result<String, String> {
    match text.parse::<SocketAddr>() {
        Ok(address) => Ok(address.to_string()),
        Err(_) => {
            let shown = value::quoted(text);
            Err(format!("{shown} is no IP address with a port; give one such as 127.0.0.1:8080"))
        }
    }
}

fn read_host(text: &str) -> Result<String, String> {
    if text.is_empty() || rustls::pki_types::ServerName::try_from(text).is_ok() {
        return Ok(text.into());
    }
    Err(format!("{} is no name of a host, such as redis.example.com", value::quoted(text)))
}

fn read_http(text: &str) -> Result<String, String> {
    let is_http = |uri: hyper::Uri| uri.scheme_str() == Some("http") && uri.host().is_some();
    if text.is_empty() || text.parse().is_ok_and(is_http) {
        return Ok(text.into());
    }
    let shown = if text.contains("://") {
        format!("{:?}", secret::mask(text))
    } else {
        value::quoted(text)
    };
    Err(format!("{shown} is no address such as http://127.0.0.1:4318"))
}

/// An origin has `://` and is no secret: it is shown.
fn read_origins(text: &str) -> Result<String, String> {
    OriginList::parse(text).map(|_| text.into()).map_err(|error| {
        if text.contains('@') {
            "this holds what is no origin".to_owned()
        } else {
            error.to_string()
        }
    })
}

/// The prefix stands in the names of keys and channels, before and between `:` and `{}`.
fn read_prefix(text: &str) -> Result<String, String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if (1..=32).contains(&text.len()) && text.bytes().all(plain) {
        return Ok(text.into());
    }
    Err(format!("{} is not 1 to 32 letters, digits, _ or -", value::quoted(text)))
}
