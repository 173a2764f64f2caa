//! Where keys come from: reads the files that the configuration names. It knows no token.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use roomcast_access::keys::{KeyError, VerifyingKey, read_key_file, read_secrets};

use super::JwksSource;
use crate::config::AuthConfig;

/// Largest key file in bytes: a JWKS of 64 keys with certificates.
const MAX_KEY_FILE_BYTES: u64 = 1 << 20;

/// Why the keys of the configuration cannot be had. The text names the key and the file, and
/// holds nothing of what is in the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeySourceError {
    /// Correct the path, or let the node read the file.
    #[error("cannot read {path} (key {key}): {error}")]
    Read {
        /// The key of the configuration.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Correct the file.
    #[error("{path} (key {key}): {error}")]
    File {
        /// The key of the configuration.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: KeyError,
    },
    /// Correct the address, or wait until its server answers.
    #[error("the keys of auth.jwks_url cannot be fetched: {0}")]
    Fetch(String),
    /// Correct the secret.
    #[error("auth.hs_secret: {0}")]
    Secret(KeyError),
}

/// What the configuration says of keys, with the files read.
#[derive(Debug, Default)]
pub(crate) struct KeySources {
    pub(super) keys: Vec<VerifyingKey>,
    pub(super) jwks: Option<JwksSource>,
}

impl KeySources {
    /// Reads all files.
    pub(crate) fn read(config: &AuthConfig) -> Result<Self, KeySourceError> {
        let mut keys = Vec::new();
        if let Some(secret) = &config.hs_secret {
            let secrets = read_secrets(secret.expose().as_bytes());
            keys.extend(secrets.map_err(KeySourceError::Secret)?);
        }
        if let Some(path) = &config.hs_secret_file {
            let key = "auth.hs_secret_file";
            let secrets = read_secrets(&read_file(key, path)?);
            keys.extend(secrets.map_err(|error| not_usable(key, path, error))?);
        }
        for path in &config.keys {
            let key = "auth.keys";
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let read = read_key_file(&name, &read_file(key, path)?);
            keys.extend(read.map_err(|error| not_usable(key, path, error))?);
        }
        let jwks = match &config.jwks_url {
            Some(url) => {
                let ca = config.jwks_ca.as_ref();
                let authorities = ca.map(|path| read_file("auth.jwks_ca", path)).transpose()?;
                Some(JwksSource { url: url.expose().to_owned(), authorities })
            }
            None => None,
        };
        Ok(Self { keys, jwks })
    }
}

fn not_usable(key: &'static str, path: &Path, error: KeyError) -> KeySourceError {
    KeySourceError::File { key, path: path.into(), error }
}

fn read_file(key: &'static str, path: &Path) -> Result<Vec<u8>, KeySourceError> {
    let read = || {
        let mut bytes = Vec::new();
        File::open(path)?.take(MAX_KEY_FILE_BYTES + 1).read_to_end(&mut bytes)?;
        match bytes.len() as u64 > MAX_KEY_FILE_BYTES {
            true => Err(io::Error::other("it has more than 1 MiB")),
            false => Ok(bytes),
        }
    };
    read().map_err(|error| KeySourceError::Read { key, path: path.into(), error })
}
