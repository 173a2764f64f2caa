//! The edges between crates are those of ARCHITECTURE.md, no more and no fewer.

use std::collections::{BTreeMap, BTreeSet};

use crate::table;
use crate::tree::{packages, read};

/// What a crate imports of the workspace: in its product, and besides that in its tests.
#[derive(Debug, Default, PartialEq, Eq)]
struct Imports {
    product: BTreeSet<String>,
    tests: BTreeSet<String>,
}

/// What each crate imports, by the last part of its name.
type CrateGraph = BTreeMap<String, Imports>;

/// Reads one manifest.
fn imports(manifest: &str) -> Imports {
    let mut imports = Imports::default();
    let mut section = "";
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line.trim();
        } else if let Some(dependency) = line.strip_prefix("roomcast-") {
            let name = dependency.split(['.', ' ', '=']).next().unwrap_or_default().to_owned();
            match section {
                "[dependencies]" => imports.product.insert(name),
                "[dev-dependencies]" => imports.tests.insert(name),
                _ => panic!("a dependency in {section}: {line}"),
            };
        }
    }
    imports
}

/// Reads the table of ARCHITECTURE.md.
fn drawn(document: &str) -> CrateGraph {
    let rows = table::rows(document, "Crate");
    rows.into_iter()
        .map(|row| {
            let [name, product, tests, ..] = &row[..] else { panic!("three cells: {row:?}") };
            let (product, tests) = (table::list(product).collect(), table::list(tests).collect());
            (name.clone(), Imports { product, tests })
        })
        .collect()
}

fn differences(actual: &CrateGraph, drawn: &CrateGraph) -> Vec<String> {
    let names: BTreeSet<_> = actual.keys().chain(drawn.keys()).collect();
    let differing = names.into_iter().filter(|name| actual.get(*name) != drawn.get(*name));
    differing
        .map(|name| format!("{name}: {:?}, drawn {:?}", actual.get(name), drawn.get(name)))
        .collect()
}

#[test]
fn crates_import_each_other_as_drawn() {
    let actual = packages()
        .into_iter()
        .map(|package| {
            let name = package.trim_start_matches("crates/").to_owned();
            (name, imports(&read(&format!("{package}/Cargo.toml"))))
        })
        .collect();
    let found = differences(&actual, &drawn(&read("ARCHITECTURE.md")));
    crate::assert_none("edges between crates", &found);
}

#[test]
fn a_planted_edge_is_found() {
    let document = "| Crate | Imports | In tests |\n| - | - | - |\n| `a` | `b` | `c` |\n";
    let graph = |manifest| CrateGraph::from([("a".to_owned(), imports(manifest))]);
    let right = "[dependencies]\nroomcast-b.workspace = true\nserde = \"1\"\n\
                 [dev-dependencies]\nroomcast-c = { path = \"c\" }\n";
    assert!(differences(&graph(right), &drawn(document)).is_empty());
    for wrong in [
        "[dependencies]\n",
        "[dependencies]\nroomcast-b.workspace = true\nroomcast-c.workspace = true\n",
        "[dependencies]\nroomcast-b.workspace = true\nroomcast-d.workspace = true\n\
         [dev-dependencies]\nroomcast-c.workspace = true\n",
    ] {
        assert_eq!(differences(&graph(wrong), &drawn(document)).len(), 1, "{wrong}");
    }
    let unknown = CrateGraph::from([("z".to_owned(), Imports::default())]);
    assert_eq!(differences(&unknown, &drawn(document)).len(), 2);
}
