//! Where values come from: gathers each source into a layer and lays the layers over one another.
//! Every value remembers its origin.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use config::{Source, Value};
use roomcast_protocol::NodeId;

use super::layer::{Layer, origin};
use super::{Config, ConfigError, Problem, ServeArgs};
use super::{api_keys, file, key, namespace_keys, resolve, value, variables};

/// What a configuration is made of.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    file: Option<PathBuf>,
    /// `None`: the environment of this process.
    variables: Option<Vec<(OsString, OsString)>>,
    /// (key, value, flag), the later over the earlier.
    flags: Vec<(String, String, &'static str)>,
}

/// One key as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigEntry {
    /// The key in full.
    pub key: String,
    /// Its value as typed; what is or may be a secret is masked.
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
        Self { variables: Some(Vec::new()), ..Self::of(args) }
    }

    /// The file; no environment, no flags.
    pub fn file_only(file: &Path) -> Self {
        Self { file: Some(file.into()), variables: Some(Vec::new()), flags: Vec::new() }
    }

    /// With these variables in place of the process's environment.
    pub fn with_variables<K: Into<OsString>, V: Into<OsString>>(
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
        let (layered, problems) = self.layered(node.as_str())?;
        resolve::resolve(layered, problems)
    }

    /// Every key with its value and origin, sorted by key, whether or not the values are valid.
    pub fn explain(&self) -> Result<Vec<ConfigEntry>, ConfigError> {
        let entry = |(key, value): (String, Value)| {
            let typed = value.to_string();
            let shown = match key::find(&key) {
                Some(known) => known.kind.shown(&typed),
                None => value::shown(&typed).into(),
            };
            ConfigEntry { key, value: shown, origin: origin(&value) }
        };
        let (layered, _told_by_load) = self.layered("")?;
        Ok(layered.values.into_iter().map(entry).collect())
    }

    /// What is to be said of the environment although nothing in it is wrong.
    pub fn warnings(&self) -> Vec<String> {
        variables::warnings(&self.variables())
    }

    fn variables(&self) -> Vec<(OsString, OsString)> {
        self.variables.clone().unwrap_or_else(|| std::env::vars_os().collect())
    }

    /// The values under known keys, and what is wrong with the others and with the sources.
    fn layered(&self, node: &str) -> Result<(Layered, Vec<Problem>), ConfigError> {
        let mut builder = config::Config::builder();
        let (mut names, mut api_keys) = (BTreeSet::new(), BTreeSet::new());
        let (file, mut problems) = self.file_layer()?;
        let (variables, no_text) = variables::read(self.variables());
        problems.extend(no_text);
        for layer in [Layer::defaults(node), file, variables, self.flag_layer()] {
            names.extend(layer.namespaces());
            api_keys.extend(layer.api_keys());
            let (layer, unknown) = layer.split();
            builder = builder.add_source(layer);
            problems.extend(unknown);
        }
        let merged = builder.build().and_then(|merged| merged.collect());
        let merged = merged.expect("layers hold only values under known keys");
        let mut layered = Layered { values: BTreeMap::new(), inherited: BTreeSet::new() };
        layered.values.extend(Layer::flatten(merged).into_values());
        layered.inherit(names);
        layered.complete(api_keys);
        Ok((layered, problems))
    }

    fn file_layer(&self) -> Result<(Layer, Vec<Problem>), ConfigError> {
        let Some(path) = &self.file else { return Ok((Layer::default(), Vec::new())) };
        let text = fs::read_to_string(path)
            .map_err(|error| ConfigError::Read { path: path.clone(), error })?;
        Ok(file::read(path, &text))
    }

    fn flag_layer(&self) -> Layer {
        let value = |flag: &str, value: &str| Value::new(Some(&format!("flag {flag}")), value);
        Layer::new(
            self.flags.iter().map(|(key, text, flag)| (key.clone(), value(flag, text))).collect(),
        )
    }
}

impl Layered {
    /// Gives each named API key the keys it lacks.
    fn complete(&mut self, names: BTreeSet<String>) {
        for name in names {
            for key in api_keys::SECTION.keys {
                let default = || Value::new(Some(&"default".to_owned()), key.default);
                let full_name = format!("api_keys.{name}.{}", key.name);
                self.values.entry(full_name).or_insert_with(default);
            }
        }
    }

    /// Gives each named namespace the keys it lacks from the default one.
    fn inherit(&mut self, names: BTreeSet<String>) {
        for name in names {
            for key in namespace_keys::SECTION.keys {
                let own = format!("namespaces.{name}.{}", key.name);
                if self.values.contains_key(&own) {
                    continue;
                }
                let parent = &self.values[&key.full_name(&namespace_keys::SECTION)];
                let from = format!("{} ({})", namespace_keys::SECTION.name, origin(parent));
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
