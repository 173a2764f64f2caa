//! No two types that others may name have one name, over the whole workspace: a reader who meets a
//! name knows which type it is. What is private to its module may be called as its file likes.

use std::collections::{BTreeMap, BTreeSet};

use crate::items::after_group;
use crate::modules::modules;
use crate::tree::packages;

/// The package that may use a name twice in itself, but none that the product has.
const APART: &str = "loadtest";

/// A type that more than its own module may name.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Declared {
    package: String,
    file: String,
    name: String,
}

/// The names of types that a file declares `pub`, `pub(crate)`, `pub(super)` or `pub(in …)`.
fn declared(product: &[&str]) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in product.iter().enumerate().filter(|(_, token)| **token == "pub") {
        let next = at + 1;
        let next = if product.get(next) == Some(&"(") { after_group(product, next) } else { next };
        if let [kind, name, ..] = product[next.min(product.len())..]
            && ["struct", "enum", "trait", "type", "union"].contains(&kind)
        {
            names.push(name.to_owned());
        }
    }
    names
}

/// Each name that is declared more than once, with its files.
fn shared(types: &[Declared]) -> Vec<String> {
    let mut by_name = BTreeMap::<&str, Vec<&Declared>>::new();
    types.iter().for_each(|found| by_name.entry(&found.name).or_default().push(found));
    by_name.retain(|_, found| {
        let all_apart = found.iter().all(|found| found.package == APART);
        found.len() > 1 && !all_apart
    });
    by_name
        .into_iter()
        .map(|(name, found)| {
            let files: BTreeSet<_> = found.iter().map(|found| found.file.as_str()).collect();
            format!(
                "{name} ({}): {}",
                found.len(),
                files.into_iter().collect::<Vec<_>>().join(", ")
            )
        })
        .collect()
}

#[test]

fn no_two_types_share_a_name() {
    let mut types = Vec::new();
    for package in packages() {
        for module in modules(&package) {
            let names = declared(&module.product()).into_iter();
            types.extend(names.map(|name| Declared {
                package: package.clone(),
                file: module.file.clone(),
                name,
            }));
        }
    }
    assert!(types.len() > 300, "the tree has {} types only", types.len());
    crate::assert_none("unique names of types", &shared(&types));
}

#[test]
fn a_planted_name_is_found() {
    let text = "pub struct A; pub(crate) enum B {} pub(in crate::x) trait C {} pub(super) type D = u8; \
                struct Private; pub fn f() {} impl T for A { type Item = u8; } pub use x::E;";
    let names = declared(&crate::tokens::tokens(text));
    assert_eq!(names, ["A", "B", "C", "D"]);
    let found = |package: &str, file: &str, name: &str| Declared {
        package: package.into(),
        file: file.into(),
        name: name.into(),
    };
    let product = found("crates/bus", "crates/bus/src/a.rs", "Line");
    let own = found("loadtest", "loadtest/src/a.rs", "Run");
    assert!(shared(&[product.clone(), own.clone(), own.clone()]).is_empty());
    let other = found("crates/gateway", "crates/gateway/src/b.rs", "Line");
    let twice = shared(&[product.clone(), other]);
    assert_eq!(twice, ["Line (2): crates/bus/src/a.rs, crates/gateway/src/b.rs"]);
    let taken = found("loadtest", "loadtest/src/b.rs", "Line");
    assert_eq!(shared(&[product, taken]).len(), 1);
}
