//! The files of the tree that the rules look at: Rust sources, manifests, documents.

use std::fs;
use std::path::{Path, PathBuf};

/// A file of the tree.
pub(crate) struct SourceFile {
    /// From the tree's root, with slashes.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// The tree's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A file of the tree, by its path from the root.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The folders of all packages, from the root.
pub(crate) fn packages() -> Vec<String> {
    let entries = fs::read_dir(root().join("crates")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut packages: Vec<_> = names.map(|name| format!("crates/{name}")).collect();
    packages.push("loadtest".into());
    packages.retain(|package| root().join(package).join("Cargo.toml").is_file());
    packages.sort();
    packages
}

/// Every Rust file of every package.
pub(crate) fn rust_files() -> Vec<SourceFile> {
    let mut files = Vec::new();
    packages().iter().for_each(|package| collect(package, &mut files));
    files.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(files.len() > 300, "the tree has {} Rust files only", files.len());
    files
}

fn collect(folder: &str, files: &mut Vec<SourceFile>) {
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{folder}/{}", entry.file_name().into_string().unwrap());
        if entry.file_type().unwrap().is_dir() {
            collect(&path, files);
        } else if path.ends_with(".rs") {
            files.push(SourceFile { text: read(&path), path });
        }
    }
}
