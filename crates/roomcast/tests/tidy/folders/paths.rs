//! Which names of its crate's root a module imports, by paths that begin with `crate` or `super`, in
//! `use` and elsewhere.

use std::collections::BTreeMap;

use crate::items::after_group;
use crate::tokens::is_name;

/// The names that a crate's root takes from its parts.
pub(super) struct Exports(BTreeMap<String, String>);

impl Exports {
    /// Reads the root's `use` items.
    pub(super) fn of(root: &[&str]) -> Self {
        let mut exports = BTreeMap::new();
        for (at, _) in root.iter().enumerate().filter(|(_, token)| **token == "use") {
            let mut path = at + 1;
            while ["self", "crate", "::"].contains(&root[path]) {
                path += 1;
            }
            let end =
                root[at..].iter().position(|token| *token == ";").map_or(root.len(), |n| at + n);
            let names = root[path..end].iter().filter(|token| is_name(token));
            exports.extend(names.map(|name| ((*name).to_owned(), root[path].to_owned())));
        }
        Self(exports)
    }

    /// The part that a name of the root is, or comes from.
    pub(super) fn part_of<'a>(&'a self, name: &'a String) -> &'a String {
        self.0.get(name).unwrap_or(name)
    }
}

/// The first names after the crate's root of all paths in a module's product.
pub(super) fn imports(product: &[&str], module: &[String]) -> Vec<String> {
    let mut names = Vec::new();
    // How deep each module in the file begins, around the present place.
    let mut inner: Vec<usize> = Vec::new();
    let mut depth = 0;
    let mut at = 0;
    while at < product.len() {
        match product[at] {
            "mod" if product.get(at + 2) == Some(&"{") => inner.push(depth),
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                inner.pop_if(|begin| *begin == depth);
            }
            "crate" | "super" if product.get(at + 1) == Some(&"::") => {
                let levels = module.len() + inner.len();
                let (above, rest) = ancestor(product, at, levels);
                if above == 0 {
                    first_names(product, rest, &mut names);
                }
                at = rest;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    names
}

/// How many levels below the root a path begins that `crate` or `super` opens, and where it goes on.
fn ancestor(product: &[&str], mut at: usize, levels: usize) -> (usize, usize) {
    if product[at] == "crate" {
        return (0, at + 2);
    }
    let mut above = levels;
    while product[at..].starts_with(&["super", "::"]) {
        above = above.saturating_sub(1);
        at += 2;
    }
    (above, at)
}

/// The names that a path, or each path of a list, begins with.
fn first_names(product: &[&str], at: usize, names: &mut Vec<String>) {
    if product.get(at) != Some(&"{") {
        names.extend(product.get(at).map(|&name| name.to_owned()));
        return;
    }
    let end = after_group(product, at) - 1;
    let mut next = at + 1;
    while next < end {
        names.push(product[next].to_owned());
        while next < end && product[next] != "," {
            next = if product[next] == "{" { after_group(product, next) } else { next + 1 };
        }
        next += 1;
    }
}

#[test]
fn paths_are_followed_to_the_root() {
    let module = ["hub".to_owned(), "driver".to_owned()];
    for (text, expected) in [
        ("use crate::a::B;", &["a"][..]),
        ("use crate::{a, b::{c, d}, E as F, g::*};", &["a", "b", "E", "g"]),
        ("use super::a; use super::super::b;", &["b"]),
        ("use super::super::{b, c::d};", &["b", "c"]),
        (
            "mod inner { use super::super::a; use super::super::super::b; } use super::super::c;",
            &["b", "c"],
        ),
        ("pub(crate) fn f(a: crate::a::B) -> super::C {}", &["a"]),
        ("pub(in crate::hub) struct A;", &["hub"]),
        ("use roomcast_bus::a::B; use self::x;", &[]),
    ] {
        assert_eq!(imports(&crate::tokens::tokens(text), &module), expected, "{text}");
    }
    let root = crate::tokens::tokens("mod a; pub use a::{B, c::D as E}; pub use self::f::G;");
    let exports = Exports::of(&root);
    let [e, g, a] = ["E", "G", "a"].map(str::to_owned);
    assert_eq!([exports.part_of(&e), exports.part_of(&g), exports.part_of(&a)], ["a", "f", "a"]);
}
