//! Where values come from: gathers each source into a layer and lays the layers over one another.
//! Every value remembers its origin.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use config::{Environment, File, FileFormat, Map, Source, Value};
use roomcast_protocol::NodeId;

use super::layer::{Layer, origin};
use super::{Config, ConfigError, ServeArgs, key, namespaces, resolve, secret};

const VARIABLE_PREFIX: &str = "ROOMCAST__";

/// What a configuration is made of.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    file: Option<PathBuf>,
    /// `None`: the environment of this process.
    variables: Option<Map<String, String>>,
    /// (key, value, flag), the later over the earlier.
    flags: Vec<(String, String, &'static str)>,
}

/// One key as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key in full.
    pub key: String,
    /// Its value as typed; secrets are masked.
    pub value: String,
    /// `default`, `file PATH`, `environment NAME`, `flag --NAME`, or `namespaces.default (…)`.
    pub origin: String,
}

/// All layers together.
pub(super) struct Layered {
    pub(super) values: BTreeMap<String, Value>,
    /// Keys of namespaces that stand only in `namespaces.default`.
    pub(super) inherited: BTreeSet<String>,
}

impl Sources {
    /// The arguments, the file they name and the environment of this process.
    pub fn of(args: &ServeArgs) -> Self {
        Self { file: args.config.clone(), variables: None, flags: flags(args) }
    }

    /// The arguments and the file they name; no environment.
    pub fn flags_only(args: &ServeArgs) -> Self {
        Self { variables: Some(Map::new()), ..Self::of(args) }
    }

    /// The file; no environment, no flags.
    pub fn file_only(file: &Path) -> Self {
        Self { file: Some(file.into()), variables: Some(Map::new()), flags: Vec::new() }
    }

    /// With these variables in place of the process's environment.
    pub fn with_variables<K: Into<String>, V: Into<String>>(
        mut self,
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let variables = variables.into_iter().map(|(name, value)| (name.into(), value.into()));
        self.variables = Some(variables.collect());
        self
    }

    /// The configuration, under a random node name unless one is configured.
    pub fn load(&self) -> Result<Config, ConfigError> {
        let name = format!("node-{:08x}", rand::random::<u32>());
        self.load_as(&NodeId::parse(&name).expect("a word and digits are a valid name"))
    }

    /// The configuration, under the given node name unless one is configured.
    pub fn load_as(&self, node: &NodeId) -> Result<Config, ConfigError> {
        resolve::resolve(self.layered(node.as_str())?)
    }

    /// Every key with its value and origin, sorted by key.
    pub fn explain(&self) -> Result<Vec<Entry>, ConfigError> {
        let entry = |(key, value): (String, Value)| {
            let shown = value.to_string();
            let secret = key::find(&key).is_some_and(|key| key.kind.is_secret());
            let value_shown = if secret { secret::mask(&shown) } else { shown };
            Entry { key, value: value_shown, origin: origin(&value) }
        };
        Ok(self.layered("")?.values.into_iter().map(entry).collect())
    }

    fn layered(&self, node: &str) -> Result<Layered, ConfigError> {
        let mut builder = config::Config::builder();
        let mut names = BTreeSet::new();
        let mut problems = Vec::new();
        for layer in
            [Layer::defaults(node), self.file_layer()?, self.variable_layer()?, self.flag_layer()]
        {
            names.extend(layer.namespaces());
            let (layer, unknown) = layer.split();
            builder = builder.add_source(layer);
            problems.extend(unknown);
        }
        if !problems.is_empty() {
            return Err(ConfigError::Invalid(problems));
        }
        let merged = builder.build().and_then(|merged| merged.collect());
        let merged = merged.expect("layers hold only values under known keys");
        let mut layered = Layered { values: BTreeMap::new(), inherited: BTreeSet::new() };
        layered.values.extend(Layer::flatten(merged).into_values());
        layered.inherit(names);
        Ok(layered)
    }

    fn file_layer(&self) -> Result<Layer, ConfigError> {
        let Some(path) = &self.file else { return Ok(Layer::default()) };
        let text = fs::read_to_string(path)
            .map_err(|error| ConfigError::Read { path: path.clone(), error })?;
        // Parsed here first, as this parser's message can be told without the line's text,
        // which may hold a password.
        let syntax = |message| ConfigError::Syntax { path: path.clone(), message };
        if let Err(error) = text.parse::<toml::Table>() {
            let start = error.span().map_or(0, |span| span.start);
            let line = text.bytes().take(start).filter(|b| *b == b'\n').count() + 1;
            return Err(syntax(format!("line {line}: {}", error.message())));
        }
        let table = File::from_str(&text, FileFormat::Toml).collect();
        let table = table.map_err(|_| syntax("a number is out of range".into()))?;
        Ok(Layer::flatten(table).with_origin(|_| format!("file {}", path.display())))
    }

    fn variable_layer(&self) -> Result<Layer, ConfigError> {
        let variables = match &self.variables {
            Some(variables) => variables.clone(),
            None => process_variables()?,
        };
        let environment = Environment::with_prefix("ROOMCAST")
            .prefix_separator("__")
            .separator("__")
            .ignore_empty(true)
            .source(Some(variables));
        let values = environment.collect().expect("variables given as text are text");
        let variable = |key: &str| key.replace('.', "__").to_uppercase();
        Ok(Layer::flatten(values)
            .with_origin(|key| format!("environment {VARIABLE_PREFIX}{}", variable(key))))
    }

    fn flag_layer(&self) -> Layer {
        let value = |flag: &str, value: &str| Value::new(Some(&format!("flag {flag}")), value);
        Layer::new(
            self.flags.iter().map(|(key, text, flag)| (key.clone(), value(flag, text))).collect(),
        )
    }
}

impl Layered {
    /// Gives each named namespace the keys it lacks from the default one.
    fn inherit(&mut self, names: BTreeSet<String>) {
        for name in names {
            for key in namespaces::SECTION.keys {
                let own = format!("namespaces.{name}.{}", key.name);
                if self.values.contains_key(&own) {
                    continue;
                }
                let parent = &self.values[&key.full_name(&namespaces::SECTION)];
                let from = format!("{} ({})", namespaces::SECTION.name, origin(parent));
                let value = Value::new(Some(&from), parent.kind.clone());
                self.inherited.insert(own.clone());
                self.values.insert(own, value);
            }
        }
    }
}

fn flags(args: &ServeArgs) -> Vec<(String, String, &'static str)> {
    let mut flags: Vec<_> = args
        .set
        .iter()
        .map(|setting| (setting.key.clone(), setting.value.clone(), "--set"))
        .collect();
    let named = [
        ("http.listen", &args.listen, "--listen"),
        ("bus.redis_url", &args.redis_url, "--redis-url"),
        ("node.id", &args.node_id, "--node-id"),
    ];
    for (key, value, flag) in named {
        flags.extend(value.as_ref().map(|value| (key.into(), value.clone(), flag)));
    }
    if args.insecure {
        flags.push(("insecure".into(), "true".into(), "--insecure"));
    }
    flags
}

/// Our variables of this process; only ours must be text.
fn process_variables() -> Result<Map<String, String>, ConfigError> {
    let mut variables = Map::new();
    for (name, value) in std::env::vars_os() {
        let Some(name) = name.to_str().filter(|name| name.starts_with(VARIABLE_PREFIX)) else {
            continue;
        };
        let value = value.into_string();
        let value = value.map_err(|_| ConfigError::Environment { name: name.into() })?;
        variables.insert(name.into(), value);
    }
    Ok(variables)
}
