//! The payload rules of all namespaces, read from the configuration and from the folders of
//! schemas that it names. It reads files; it judges nothing itself.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hashbrown::HashMap;
use roomcast_schema::{MAX_SCHEMA_BYTES, PayloadRules, RuleSource, SchemaError};

use crate::config::{NamespaceConfig, Namespaces};

/// The rules of each namespace that has some, by the namespace's name.
#[derive(Debug, Clone, Default)]
pub(crate) struct RuleBook {
    rules: HashMap<String, Arc<PayloadRules>>,
}

/// Rules that cannot be used. Correct the files, or let the node read them.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// The folder or a file of it cannot be read.
    #[error("cannot read {0}: {1}")]
    Read(PathBuf, io::Error),
    /// A file is no schema that can be used.
    #[error("{0}: {1}")]
    Schema(PathBuf, SchemaError),
}

impl RuleBook {
    /// Reads all rules; those of every namespace can be used, or none is returned. The error says
    /// which namespace it is about.
    pub(crate) fn read(namespaces: &Namespaces) -> Result<Self, (String, RulesError)> {
        let mut rules = HashMap::new();
        for (name, config) in namespaces.iter() {
            if config.events.is_empty() && config.schemas.is_none() && config.max_text == 0 {
                continue;
            }
            let read = read_rules(config).map_err(|error| (name.to_owned(), error))?;
            rules.insert(name.to_owned(), Arc::new(read));
        }
        Ok(Self { rules })
    }

    /// The rules of a namespace, if it has some.
    pub(crate) fn of(&self, namespace: &str) -> Option<&Arc<PayloadRules>> {
        self.rules.get(namespace)
    }
}

fn read_rules(config: &NamespaceConfig) -> Result<PayloadRules, RulesError> {
    let folder = config.schemas.as_deref();
    let files = folder.map(read_folder).transpose()?.unwrap_or_default();
    let schemas = files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    let source = RuleSource { events: config.events.clone(), schemas, max_text: config.max_text };
    let in_folder =
        |error| RulesError::Schema(folder.map(Path::to_owned).unwrap_or_default(), error);
    PayloadRules::load(source).map_err(in_folder)
}

/// The files of a folder whose names end in `.json`, but for hidden ones, each with at most one
/// byte more than a schema may have.
fn read_folder(folder: &Path) -> Result<Vec<(String, Vec<u8>)>, RulesError> {
    let failed = |path: &Path, error| RulesError::Read(path.to_owned(), error);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|error| failed(folder, error))? {
        let path = entry.map_err(|error| failed(folder, error))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('.') || !name.ends_with(".json") {
            continue;
        }
        let bytes = read_bounded(&path).map_err(|error| failed(&path, error))?;
        files.push((name, bytes));
    }
    Ok(files)
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    use io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_SCHEMA_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
