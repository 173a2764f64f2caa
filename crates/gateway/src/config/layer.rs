//! One source's values under their keys in full, and what is wrong with keys that do not exist.

use config::{Map, Source, Value, ValueKind};

use super::key::{self, Key, Section};
use super::nearest::nearest_key;
use super::{Problem, SECTIONS, api_keys, namespaces};

/// Values of one source under their keys in full.
#[derive(Debug, Clone, Default)]
pub(super) struct Layer(Vec<(String, Value)>);

impl Layer {
    pub(super) fn new(values: Vec<(String, Value)>) -> Self {
        Self(values)
    }

    /// The defaults of every key, with this name for the node.
    pub(super) fn defaults(node: &str) -> Self {
        let default = "default".to_owned();
        let keys =
            SECTIONS.into_iter().flat_map(|section| section.keys.iter().map(move |k| (section, k)));
        let value = |(section, key): (&Section, &Key)| match key.full_name(section) {
            name if name == "node.id" => (name, Value::new(Some(&default), node)),
            name => (name, Value::new(Some(&default), key.default)),
        };
        Self(keys.map(value).collect())
    }

    /// The leaves of a tree of tables. An empty table counts as a leaf: `[namespaces.chat]`
    /// without keys still names a namespace.
    pub(super) fn flatten(table: Map<String, Value>) -> Self {
        let mut leaves = Vec::new();
        let mut open: Vec<_> = table.into_iter().collect();
        while let Some((path, value)) = open.pop() {
            match value.kind {
                ValueKind::Table(table) if !table.is_empty() => open
                    .extend(table.into_iter().map(|(key, value)| (format!("{path}.{key}"), value))),
                _ => leaves.push((path, value)),
            }
        }
        leaves.sort_by(|(one, _), (other, _)| one.cmp(other));
        Self(leaves)
    }

    pub(super) fn with_origin(self, origin: impl Fn(&str) -> String) -> Self {
        let moved = |(key, value): (String, Value)| {
            (key.clone(), Value::new(Some(&origin(&key)), value.kind))
        };
        Self(self.0.into_iter().map(moved).collect())
    }

    /// The namespaces that its keys name.
    pub(super) fn namespaces(&self) -> impl Iterator<Item = String> {
        self.0.iter().filter_map(|(key, _)| namespace_of(key))
    }

    /// The API keys that its keys name.
    pub(super) fn api_keys(&self) -> impl Iterator<Item = String> {
        let names = self.0.iter().filter_map(|(key, _)| api_keys::name_in(key));
        names.filter(|name| api_keys::is_name(name)).map(str::to_owned)
    }

    pub(super) fn into_values(self) -> Vec<(String, Value)> {
        self.0
    }

    /// Keeps the known keys; names what is wrong with the others.
    pub(super) fn split(self) -> (Self, Vec<Problem>) {
        let (known, rest): (Vec<_>, Vec<_>) =
            self.0.into_iter().partition(|(key, _)| key::find(key).is_some());
        let problem = |(key, value): (String, Value)| {
            let message = unknown(&key, &value.kind)?;
            Some(Problem { origin: origin(&value), key: shown_key(&key), message })
        };
        (Self(known), rest.into_iter().filter_map(problem).collect())
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, config::ConfigError> {
        Ok(self.0.iter().cloned().collect())
    }
}

/// What is wrong with a key that is not in the tables; nothing if it is an empty section or known.
pub(super) fn unknown(key: &str, value: &ValueKind) -> Option<String> {
    if key::find(key).is_some() {
        return None;
    }
    let empty_table = matches!(value, ValueKind::Table(_));
    if empty_table && (key == "namespaces" || key == "api_keys") {
        return None;
    }
    if let Some(section) = key::find_section(key) {
        return (!empty_table)
            .then(|| format!("this is a section; its keys are {}", names(section)));
    }
    if let Some(name) = key.strip_prefix("namespaces.").and_then(|rest| rest.split('.').next())
        && !namespaces::is_name(name)
    {
        return Some("names of namespaces are made of a-z, 0-9, _ and -".into());
    }
    if api_keys::name_in(key).is_some_and(|name| !api_keys::is_name(name)) {
        return Some("names of API keys are made of a-z, 0-9, _ and -".into());
    }
    let meant = nearest_key(key).map(|key| format!(" (did you mean {key}?)")).unwrap_or_default();
    let section = key.rsplit_once('.').map_or("", |(section, _)| section);
    Some(match key::find_section(section) {
        Some(section) if !section.name.is_empty() => {
            let names = names(section);
            format!("there is no such key{meant}; those of this section are {names}")
        }
        _ => {
            let sections = SECTIONS.iter().map(|section| section.name).filter(|n| !n.is_empty());
            let sections = sections.collect::<Vec<_>>().join(", ");
            format!(
                "there is no such key{meant}; the sections are {sections}, and before them `insecure`"
            )
        }
    })
}

fn names(section: &Section) -> String {
    section.keys.iter().map(|key| key.name).collect::<Vec<_>>().join(", ")
}

/// A key as typed, up to what no key has: a value may follow that was not separated from it.
pub(super) fn shown_key(key: &str) -> String {
    let part_of_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    match key.find(|c| !part_of_key(c)) {
        Some(end) => format!("{}…", &key[..end]),
        None => key.into(),
    }
}

/// Where a value came from, in words.
pub(super) fn origin(value: &Value) -> String {
    value.origin().unwrap_or("default").into()
}

fn namespace_of(key: &str) -> Option<String> {
    let name = key.strip_prefix("namespaces.")?.split('.').next()?;
    namespaces::is_name(name).then(|| name.into())
}
