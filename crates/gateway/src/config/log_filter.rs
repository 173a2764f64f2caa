//! The log's filter, as `log.level` says it: `level`, or `level,target=level,…`.
//!
//! `trace` is for the node's own parts only: at that level libraries write out what they carry, and
//! what was published belongs in no log. A release build has no `trace` compiled in; asked for it
//! nevertheless, `EnvFilter` would print prose between the lines of the log.

use tracing::level_filters::STATIC_MAX_LEVEL;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{LevelFilter, ParseError};

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Checks a filter. Stricter than `EnvFilter`, which takes a misspelt level for the name of a
/// target.
pub(super) fn read(text: &str) -> Result<String, String> {
    let is_level = |word: &str| LEVELS.contains(&word.to_ascii_lowercase().as_str());
    let level = |part: &str| part.rsplit_once('=').map_or(part, |(_, level)| level).to_owned();
    let parts = || text.split(',').map(str::trim);
    if parts().all(|part| is_level(&level(part))) && filter(text).is_ok() {
        return Ok(text.into());
    }
    let shown = super::value::quoted(text);
    Err(format!("{shown} is none of {}, nor level,target=level,…", LEVELS.join(", ")))
}

/// The filter that a checked text stands for.
pub(super) fn filter(text: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::try_new(capped(text, STATIC_MAX_LEVEL))
}

/// The text with `trace` for the node's own parts only, and nowhere if it is not `compiled` in.
fn capped(text: &str, compiled: LevelFilter) -> String {
    let own = if compiled < LevelFilter::TRACE { "debug" } else { "trace" };
    let mut all = false;
    let mut parts = Vec::new();
    for part in text.split(',').map(str::trim) {
        let (target, level) = match part.rsplit_once('=') {
            Some((target, level)) => (Some(target), level),
            None => (None, part),
        };
        if !level.eq_ignore_ascii_case("trace") {
            parts.push(part.to_owned());
            continue;
        }
        all |= target.is_none();
        parts.push(match target {
            None => "debug".into(),
            Some(target) if is_own(target) => format!("{target}={own}"),
            Some(target) => format!("{target}=debug"),
        });
    }
    // First, so that what the text itself says about these parts overrides it.
    if all {
        parts.insert(0, format!("roomcast={own}"));
    }
    parts.join(",")
}

/// Whether a target is one of the node's crates, or lies in one.
fn is_own(target: &str) -> bool {
    let rest = target.strip_prefix("roomcast");
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('_') || rest.starts_with("::"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trace_is_for_the_nodes_own_parts() {
        for (text, debug, release) in [
            ("info", "info", "info"),
            ("trace", "roomcast=trace,debug", "roomcast=debug,debug"),
            ("TRACE", "roomcast=trace,debug", "roomcast=debug,debug"),
            (
                "roomcast_bus=info, trace",
                "roomcast=trace,roomcast_bus=info,debug",
                "roomcast=debug,roomcast_bus=info,debug",
            ),
            ("info,roomcast_bus=trace", "info,roomcast_bus=trace", "info,roomcast_bus=debug"),
            (
                "info,roomcast::serve=trace",
                "info,roomcast::serve=trace",
                "info,roomcast::serve=debug",
            ),
            ("warn,tungstenite=trace", "warn,tungstenite=debug", "warn,tungstenite=debug"),
            (
                "off,[publish]=trace,roomcaster=trace",
                "off,[publish]=debug,roomcaster=debug",
                "off,[publish]=debug,roomcaster=debug",
            ),
        ] {
            assert_eq!(capped(text, LevelFilter::TRACE), debug, "{text}");
            assert_eq!(capped(text, LevelFilter::DEBUG), release, "{text}");
            assert_eq!(read(text).as_deref(), Ok(text));
            // What `EnvFilter` is given names no level that is not compiled in.
            let highest = filter(text).expect("valid").max_level_hint();
            assert!(highest.is_some_and(|highest| highest <= STATIC_MAX_LEVEL), "{text}");
        }
    }
}
