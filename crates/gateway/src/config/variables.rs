//! The environment: variables that are keys, and those that look as if they were meant to be.

use std::ffi::OsString;

use config::{Environment, Map, Source};

use super::Problem;
use super::layer::{Layer, shown_key};
use super::nearest::nearest_key;

/// What every key's variable begins with.
const PREFIX: &str = "ROOMCAST__";
/// What begins like ours.
const NEARLY: &str = "ROOMCAST_";

/// The variable of a key.
fn variable_of(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "__").to_uppercase())
}

/// The values of the keys' variables; only these must be text.
pub(super) fn read(variables: Vec<(OsString, OsString)>) -> (Layer, Vec<Problem>) {
    let mut ours = Map::new();
    let mut problems = Vec::new();
    for (name, value) in variables {
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
        match value.into_string() {
            Ok(value) => drop(ours.insert(name.to_owned(), value)),
            Err(_) => problems.push(Problem {
                key: name.to_owned(),
                origin: "environment".into(),
                message: "its value is no Unicode text".into(),
            }),
        }
    }
    let environment = Environment::with_prefix("ROOMCAST")
        .prefix_separator("__")
        .separator("__")
        .ignore_empty(true)
        .source(Some(ours));
    let values = environment.collect().expect("variables given as text are text");
    let layer = Layer::flatten(values)
        .with_origin(|key| format!("environment {}", shown_key(&variable_of(key))));
    (layer, problems)
}

/// What is said of variables that are not read although they look like it. Those that Kubernetes
/// sets for a service of the name `roomcast` are not meant for the program.
pub(super) fn warnings(variables: &[(OsString, OsString)]) -> Vec<String> {
    let names = variables.iter().filter_map(|(name, value)| Some((name.to_str()?, value)));
    let unread = names.filter(|(name, value)| {
        let is_url = || value.to_str().is_some_and(|value| value.contains("://"));
        name.starts_with(NEARLY) && !name.starts_with(PREFIX) && !is_services(name, is_url)
    });
    let mut warnings: Vec<_> = unread
        .map(|(name, _)| match nearest_key(&name[NEARLY.len()..]) {
            Some(key) => format!("{name} is not read: did you mean {}?", variable_of(&key)),
            None => format!("{name} is not read: a key's variable is {PREFIX}SECTION__KEY"),
        })
        .collect();
    warnings.sort();
    warnings
}

/// Whether Kubernetes sets such a variable for a service: `…_SERVICE_HOST`, `…_SERVICE_PORT[_…]`,
/// `…_PORT` with a URL, `…_PORT_80_TCP[_…]`.
fn is_services(name: &str, is_url: impl Fn() -> bool) -> bool {
    if name.ends_with("_SERVICE_HOST") || name.contains("_SERVICE_PORT") {
        return true;
    }
    let Some((_, rest)) = name.split_once("_PORT") else { return false };
    let mut words = rest.split('_').skip(1);
    match (words.next(), words.next()) {
        (None, _) => rest.is_empty() && is_url(),
        (Some(port), Some(protocol)) => {
            port.bytes().all(|b| b.is_ascii_digit()) && matches!(protocol, "TCP" | "UDP" | "SCTP")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(variables: &[(&str, &str)]) -> Vec<String> {
        let variables: Vec<_> = variables
            .iter()
            .map(|(name, value)| (OsString::from(name), OsString::from(value)))
            .collect();
        warnings(&variables)
    }

    #[test]
    fn variables_that_are_nearly_ours_are_named() {
        let listen = "ROOMCAST_HTTP_LISTEN is not read: did you mean ROOMCAST__HTTP__LISTEN?";
        assert_eq!(told(&[("ROOMCAST_HTTP_LISTEN", "127.0.0.1:1")]), [listen]);
        let redis = "ROOMCAST_REDIS_URL is not read: did you mean ROOMCAST__BUS__REDIS_URL?";
        assert_eq!(told(&[("ROOMCAST_REDIS_URL", "redis://:secret@h")]), [redis]);
        let none = "ROOMCAST_IMAGE is not read: a key's variable is ROOMCAST__SECTION__KEY";
        assert_eq!(told(&[("ROOMCAST_IMAGE", "x"), ("PATH", "/bin")]), [none]);
        assert_eq!(told(&[("ROOMCAST_PORT", "8080")]).len(), 1);
        assert_eq!(told(&[("ROOMCAST__HTTP__LISTEN", "x"), ("ROOMCAST", "x")]), [""; 0]);
    }

    #[test]
    fn variables_of_a_service_are_left_alone() {
        for (name, value) in [
            ("ROOMCAST_PORT", "tcp://10.0.0.1:80"),
            ("ROOMCAST_PORT_80_TCP", "tcp://10.0.0.1:80"),
            ("ROOMCAST_PORT_80_TCP_PROTO", "tcp"),
            ("ROOMCAST_PORT_80_TCP_ADDR", "10.0.0.1"),
            ("ROOMCAST_SERVICE_HOST", "10.0.0.1"),
            ("ROOMCAST_SERVICE_PORT", "80"),
            ("ROOMCAST_SERVICE_PORT_HTTP", "80"),
            ("ROOMCAST_METRICS_PORT", "tcp://10.0.0.1:9100"),
        ] {
            assert_eq!(told(&[(name, value)]), [""; 0], "{name}");
        }
    }
}
