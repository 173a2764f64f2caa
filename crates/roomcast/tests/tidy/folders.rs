//! The parts of a crate, which are the modules directly under its root with their folders, import
//! each other one way, and as ARCHITECTURE.md says.

mod circles;
mod paths;

use std::collections::{BTreeMap, BTreeSet};

use self::circles::circles;
use self::paths::{Exports, imports};
use crate::modules::{Module, modules};
use crate::table;
use crate::tree::read;

/// Which parts each part imports, and the files that do it.
type PartGraph = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// The parts of a crate. Its root imports all of them and is none.
fn graph(modules: &[Module]) -> PartGraph {
    let parts: BTreeSet<_> = modules.iter().filter_map(|module| module.path.first()).collect();
    let exports = Exports::of(&modules[0].product());
    let mut graph: PartGraph = parts.iter().map(|&part| (part.clone(), BTreeMap::new())).collect();
    for module in modules {
        let Some(part) = module.path.first() else { continue };
        for name in imports(&module.product(), &module.path) {
            let name = exports.part_of(&name);
            if parts.contains(name) && name != part {
                let edges = graph.entry(part.clone()).or_default();
                edges.entry(name.clone()).or_default().insert(module.file.clone());
            }
        }
    }
    graph
}

/// What differs between the edges of the code and the rows of a table: a part and its imports. Each
/// difference is written as the row that the table should have.
fn differences(graph: &PartGraph, rows: &[Vec<String>]) -> Vec<String> {
    let mut drawn = BTreeMap::<&str, BTreeSet<String>>::new();
    for row in rows {
        let [part, imports, ..] = &row[..] else { panic!("two cells or more: {row:?}") };
        drawn.insert(part, table::list(imports).collect());
    }
    let mut found = Vec::new();
    for (part, edges) in graph {
        let actual: BTreeSet<String> = edges.keys().cloned().collect();
        if drawn.remove(part.as_str()) != Some(actual) {
            let imports: Vec<_> = edges.keys().map(|name| format!("`{name}`")).collect();
            let row = format!("| `{part}` | {} |", imports.join(", "));
            found.push(row.replace("|  |", "| |"));
        }
    }
    found.extend(drawn.keys().map(|part| format!("{part}: there is no such part")));
    found
}

const CRATES: [&str; 2] = ["bus", "gateway"];

#[test]

fn no_parts_import_each_other_in_a_circle() {
    let graphs = CRATES.map(|name| graph(&modules(&format!("crates/{name}"))));
    crate::assert_none("no circle of parts", &graphs.each_ref().map(circles).concat());
}

#[test]

fn parts_import_each_other_as_drawn() {
    let document = read("ARCHITECTURE.md");
    let found = CRATES.map(|name| {
        let graph = graph(&modules(&format!("crates/{name}")));
        let rows = table::rows(&document, &format!("Part of `{name}`"));
        differences(&graph, &rows)
    });
    crate::assert_none("imports between parts", &found.concat());
}

#[test]
fn a_planted_edge_between_parts_is_found() {
    let module = |path: &[&str], text: &str| Module {
        file: format!("{}.rs", path.join("/")),
        path: path.iter().map(|&name| name.to_owned()).collect(),
        text: text.to_owned(),
    };
    let planted = |text: &str| {
        graph(&[
            module(&[], "mod hub; mod room; mod worker; pub use worker::Worker; use x::Y;"),
            module(&["hub"], "mod driver;"),
            module(&["hub", "driver"], "use super::Hub; use crate::room::Room;"),
            module(&["room"], text),
            module(&["worker"], "use crate::hub::{Hub, self};"),
        ])
    };
    let fine =
        planted("use crate::Y; #[cfg(test)] use crate::worker::Worker; fn f() { super::g() }");
    assert!(circles(&fine).is_empty());
    let rows = [["hub", "room"], ["room", ""], ["worker", "hub"]];
    let rows = rows.map(|row| row.map(str::to_owned).to_vec());
    assert!(differences(&fine, &rows).is_empty());
    for text in [
        "use crate::worker::Worker;",
        "use crate::{Y, worker::{Worker}};",
        "use crate::Worker;",
        "fn f(worker: &crate::worker::Worker) {}",
        "use super::worker;",
        "use super::{Y, Worker as W};",
        "mod inner { use super::super::worker; }",
    ] {
        let graph = planted(text);
        assert_eq!(circles(&graph).len(), 1, "{text}");
        assert_eq!(differences(&graph, &rows), ["| `room` | `worker` |"], "{text}");
    }
    assert_eq!(differences(&fine, &rows[..2]), ["| `worker` | `hub` |"]);
    let stale = [&rows[..], &[vec!["gone".into(), String::new()]]].concat();
    assert_eq!(differences(&fine, &stale).len(), 1);
}
