//! The addresses of Redis in the configuration: one URL, or several separated by blanks. Pure.
//!
//! - `redis://[user:password@]host[:port][/db][?name=N]`, `rediss://` with TLS, `unix:///path`
//! - `redis+sentinel://[user:password@]host[:port],host…/NAME[/db]`, the parameters
//!   `sentinel_user` and `sentinel_password` for the sentinels themselves
//! - `redis+cluster://[user:password@]host[:port],host…`
//!
//! `rediss+…` is the same with TLS. `name` is what rooms are placed by where there are several
//! servers: nodes that reach one server at different addresses must give it the same name.

use redis::io::tcp::TcpSettings;
use redis::{Client, ErrorKind, IntoConnectionInfo, ProtocolVersion, RedisResult, TlsCertificates};
use std::time::Duration;

use super::endpoint::{RedisEndpoint, TlsTrust};

/// The peer's kernel acknowledges sent bytes within this, or the connection is closed.
const USER_TIMEOUT: Duration = Duration::from_secs(5);
/// Default port of sentinels.
const SENTINEL_PORT: u16 = 26379;
/// Default port of servers.
const PORT: u16 = 6379;

/// The Redis of a deployment.
pub(crate) enum RedisTopology {
    /// Primaries, with rooms placed by their names; mostly one.
    Servers(Vec<Address>),
    /// Nodes of a Redis Cluster; any of them knows the others.
    Cluster(Vec<RedisEndpoint>),
}

/// One primary. It contains passwords, so it must never be shown.
pub(crate) struct Address {
    /// The URL it was read from.
    pub(crate) url: String,
    /// The name that rooms are placed by.
    pub(crate) name: String,
    /// How it is reached.
    pub(crate) target: Target,
}

/// How a primary is reached.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    /// Always at this address.
    At(RedisEndpoint),
    /// At the address that its sentinels name.
    Sentinels {
        /// The sentinels.
        asked: Vec<RedisEndpoint>,
        /// The primary's name among them.
        name: String,
        /// Settings of the primary's connections, to be completed with its address.
        settings: RedisEndpoint,
    },
}

/// A URL taken apart.
struct Parts<'a> {
    tls: bool,
    kind: &'a str,
    access: &'a str,
    hosts: Vec<&'a str>,
    path: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
}

/// Reads one URL or several. `tls` holds for each of them that is reached by TLS.
pub(crate) fn read(text: &str, tls: TlsTrust<'_>) -> RedisResult<RedisTopology> {
    let urls: Vec<_> = text.split_whitespace().collect();
    let mut servers: Vec<Address> = Vec::new();
    for url in &urls {
        if url.starts_with("unix:") || url.starts_with("redis+unix:") {
            let target = Target::At(settled(url, tls)?);
            let (url, name) = ((*url).to_owned(), (*url).to_owned());
            servers.push(Address { url, name, target });
            continue;
        }
        let parts = take_apart(url)?;
        if parts.kind == "cluster" {
            let nodes = parts.each_host(PORT, tls)?;
            return match urls.len() {
                1 => Ok(RedisTopology::Cluster(nodes)),
                _ => Err(invalid("a cluster must be the only address: it places rooms itself")),
            };
        }
        let address = parts.address(url, tls)?;
        if servers.iter().any(|known| known.name == address.name) {
            return Err(invalid("two servers have the same name"));
        }
        servers.push(address);
    }
    if servers.is_empty() {
        return Err(invalid("no server is named"));
    }
    Ok(RedisTopology::Servers(servers))
}

impl Parts<'_> {
    fn address(&self, url: &str, tls: TlsTrust<'_>) -> RedisResult<Address> {
        let host = self.hosts[0];
        if self.kind.is_empty() {
            if self.hosts.len() > 1 {
                return Err(invalid("several hosts need redis+sentinel:// or redis+cluster://"));
            }
            let name = self.parameter("name").map_or_else(
                || format!("{}/{}", with_port(host, PORT), self.path.trim_matches('/')),
                str::to_owned,
            );
            let one = format!("{}{}{host}/{}", self.scheme(), self.access, self.path);
            let target = Target::At(settled(&one, tls)?);
            return Ok(Address { url: url.to_owned(), name, target });
        }
        let (name, db) = self.path.split_once('/').unwrap_or((self.path, ""));
        if name.is_empty() {
            return Err(invalid("the primary's name is missing: redis+sentinel://host/NAME"));
        }
        let settings = settled(&format!("{}{}{host}/{db}", self.scheme(), self.access), tls)?;
        let user = self.parameter("sentinel_user").unwrap_or_default();
        let access = match self.parameter("sentinel_password") {
            Some(password) => format!("{user}:{password}@"),
            None => String::new(),
        };
        let asked =
            Parts { access: &access, hosts: self.hosts.clone(), parameters: vec![], ..*self }
                .each_host(SENTINEL_PORT, tls)?;
        let placed = self.parameter("name").unwrap_or(name).to_owned();
        Ok(Address {
            url: url.to_owned(),
            name: placed,
            target: Target::Sentinels { asked, name: name.to_owned(), settings },
        })
    }

    fn each_host(&self, port: u16, tls: TlsTrust<'_>) -> RedisResult<Vec<RedisEndpoint>> {
        let one = |host: &&str| {
            settled(&format!("{}{}{}", self.scheme(), self.access, with_port(host, port)), tls)
        };
        self.hosts.iter().map(one).collect()
    }

    fn scheme(&self) -> &'static str {
        if self.tls { "rediss://" } else { "redis://" }
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}

fn take_apart(url: &str) -> RedisResult<Parts<'_>> {
    let (scheme, rest) = url
        .split_once("://")
        .ok_or_else(|| invalid("redis:// is missing before the address, or rediss:// for TLS"))?;
    let (scheme, kind) = scheme.split_once('+').unwrap_or((scheme, ""));
    if !matches!(scheme, "redis" | "rediss") || !matches!(kind, "" | "sentinel" | "cluster") {
        return Err(invalid(
            "the scheme is none of redis, redis+sentinel, redis+cluster, and these with rediss",
        ));
    }
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority_end = rest.rfind('@').map_or(0, |at| at + 1);
    let (access, rest) = rest.split_at(authority_end);
    let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
    let hosts: Vec<_> = hosts.split(',').collect();
    if hosts.iter().any(|host| host.is_empty() || host.starts_with(':')) {
        return Err(invalid("a host is missing"));
    }
    let mut parameters = Vec::new();
    for parameter in query.split('&').filter(|text| !text.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if !matches!(name, "name" | "sentinel_user" | "sentinel_password") {
            return Err(invalid("the only parameters are name, sentinel_user, sentinel_password"));
        }
        parameters.push((name, value));
    }
    Ok(Parts { tls: scheme == "rediss", kind, access, hosts, path, parameters })
}

fn with_port(host: &str, port: u16) -> String {
    let has_port = match host.rsplit_once(']') {
        Some((_, after)) => after.starts_with(':'),
        None => host.contains(':'),
    };
    if has_port { host.to_owned() } else { format!("{host}:{port}") }
}

/// Settings of every connection: RESP3, no delay, and a timeout for a peer whose kernel does not
/// answer.
fn settled(url: &str, tls: TlsTrust<'_>) -> RedisResult<RedisEndpoint> {
    let mut info = url.into_connection_info()?;
    if matches!(info.addr(), redis::ConnectionAddr::TcpTls { .. }) {
        // If the program has installed its own provider already, that one is used.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let root_cert = tls.ca.map(<[u8]>::to_vec);
        let client = Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert })?;
        info = client.get_connection_info().clone();
    }
    let protocol = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    let tcp = TcpSettings::default().set_nodelay(true).set_user_timeout(USER_TIMEOUT);
    let info = info.set_redis_settings(protocol).set_tcp_settings(tcp);
    Ok(RedisEndpoint::new(info, tls.name))
}

fn invalid(what: &'static str) -> redis::RedisError {
    (ErrorKind::InvalidClientConfig, what).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The topology in words; each password must be at the right place.
    fn topology_text(text: &str) -> String {
        let at = |info: &RedisEndpoint| {
            let redis = info.redis_settings();
            let access = match (redis.username(), redis.password()) {
                (None, None) => String::new(),
                (user, password) => {
                    format!("{}:{}@", user.unwrap_or_default(), password.unwrap_or_default())
                }
            };
            format!("{access}{}/{}", info.addr(), redis.db())
        };
        let all = |infos: &[RedisEndpoint]| infos.iter().map(at).collect::<Vec<_>>().join(" ");
        match read(text, TlsTrust::default()) {
            Err(error) => format!("error {error}"),
            Ok(RedisTopology::Cluster(nodes)) => format!("cluster {}", all(&nodes)),
            Ok(RedisTopology::Servers(servers)) => {
                let one = |address: &Address| match &address.target {
                    Target::At(info) => format!("{} = {}", address.name, at(info)),
                    Target::Sentinels { asked, name, settings } => {
                        format!("{} = {name} of {} as {}", address.name, all(asked), at(settings))
                    }
                };
                servers.iter().map(one).collect::<Vec<_>>().join(" | ")
            }
        }
    }

    #[test]
    fn every_form_is_read() {
        for (text, expected) in [
            ("redis://h", "h:6379/ = h:6379/0"),
            ("redis://u:p@h:1/2", "h:1/2 = u:p@h:1/2"),
            ("redis://:p%40@h?name=one", "one = :p@@h:6379/0"),
            ("rediss://h:1", "h:1/ = h:1/0"),
            ("redis://[::1]:1", "[::1]:1/ = ::1:1/0"),
            ("redis://a?name=x redis://b:7?name=y", "x = a:6379/0 | y = b:7/0"),
            (
                "redis+sentinel://:p@a,b:7/main/3?sentinel_password=s",
                "main = main of :s@a:26379/0 :s@b:7/0 as :p@a:6379/3",
            ),
            ("redis+cluster://u:p@a:1,b", "cluster u:p@a:1/0 u:p@b:6379/0"),
        ] {
            assert_eq!(topology_text(text), expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for text in [
            "",
            "h",
            "http://h",
            "redis://",
            "redis://a,b",
            "redis+sentinel://a",
            "redis+cluster://a redis://b",
            "redis://a redis://a",
            "redis://a?nam=x",
            "redis+proxy://a",
        ] {
            assert!(topology_text(text).starts_with("error "), "{text}: {}", topology_text(text));
        }
    }
}
