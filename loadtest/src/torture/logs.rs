//! The folder of a run: the nodes' logs and the clients' diary.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::TortureArgs;

/// Where the nodes write.
pub(super) struct Logs {
    pub(super) path: PathBuf,
    temporary: Option<tempfile::TempDir>,
}

impl Logs {
    /// In the folder that the run names, or in one that is removed unless it is kept.
    pub(super) fn make(args: &TortureArgs) -> Result<Self> {
        if let Some(path) = &args.logs {
            std::fs::create_dir_all(path).with_context(|| format!("making {}", path.display()))?;
            return Ok(Self { path: path.clone(), temporary: None });
        }
        let folder = tempfile::Builder::new().prefix("torture-").tempdir()?;
        Ok(Self { path: folder.path().to_owned(), temporary: Some(folder) })
    }

    /// Keeps the folder after the run.
    pub(super) fn keep(mut self) {
        if let Some(folder) = self.temporary.take() {
            drop(folder.keep());
        }
    }
}
