//! The modules of a crate that are product: found by following `mod` from its root, as the compiler
//! does. What only tests compile is not reached.

use crate::items::without_tests;
use crate::tokens::{is_name, tokens};
use crate::tree;

/// One module in a file of its own.
pub(crate) struct Module {
    /// The file, from the tree's root.
    pub(crate) file: String,
    /// Its names from the crate's root, which has none.
    pub(crate) path: Vec<String>,
    pub(crate) text: String,
}

impl Module {
    /// Its product, as tokens.
    pub(crate) fn product(&self) -> Vec<&str> {
        without_tests(&tokens(&self.text))
    }
}

/// All modules of a package's library or program; the root comes first.
pub(crate) fn modules(package: &str) -> Vec<Module> {
    let roots = ["lib.rs", "main.rs"].map(|file| format!("{package}/src/{file}"));
    let roots: Vec<_> =
        roots.into_iter().filter(|file| tree::root().join(file).is_file()).collect();
    let [file] = &roots[..] else { panic!("{package}: one root, not {roots:?}") };
    let text = tree::read(file);
    let mut modules = vec![Module { file: file.clone(), path: Vec::new(), text }];
    let mut next = 0;
    while next < modules.len() {
        let parent = &modules[next];
        let folder = format!("{package}/src/{}", parent.path.join("/"));
        let children: Vec<_> = children(&parent.product())
            .into_iter()
            .map(|name| {
                let file = format!("{}/{name}.rs", folder.trim_end_matches('/'));
                let path = [&parent.path[..], &[name]].concat();
                Module { text: tree::read(&file), file, path }
            })
            .collect();
        modules.extend(children);
        next += 1;
    }
    modules
}

/// The names of the modules that a file declares to be in files of their own.
fn children(product: &[&str]) -> Vec<String> {
    let declarations = product.windows(3);
    declarations
        .filter(|window| window[0] == "mod" && is_name(window[1]) && window[2] == ";")
        .map(|window| window[1].to_owned())
        .collect()
}

#[test]
fn modules_of_tests_are_not_reached() {
    let text = "mod a; pub(crate) mod b; #[cfg(test)] mod tests; mod inline { use x; }";
    let product = without_tests(&tokens(text));
    assert_eq!(children(&product), ["a", "b"]);
    let bus = modules("crates/bus");
    assert!(bus.len() > 20 && bus[0].path.is_empty());
    assert!(bus.iter().all(|module| !module.file.ends_with("tests.rs")));
}
