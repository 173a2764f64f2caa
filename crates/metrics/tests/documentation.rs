//! Holds `docs/metrics.md` and the registry together: names, types, labels and their values, in
//! both directions.

use std::collections::{BTreeMap, BTreeSet};

use roomcast_metrics::Metrics;

/// Labels whose values come from the configuration or the build; the page names no values.
const OPEN: [&str; 3] = ["namespace", "worker", "version"];

/// A family's type and its labels with their values.
#[derive(Debug, Default, PartialEq, Eq)]
struct Family {
    kind: String,
    labels: BTreeMap<String, BTreeSet<String>>,
}

#[test]
fn the_page_and_the_registry_agree() {
    let registry = registered();
    let page = documented();
    let missing: Vec<_> = registry.keys().filter(|name| !page.contains_key(*name)).collect();
    let stale: Vec<_> = page.keys().filter(|name| !registry.contains_key(*name)).collect();
    assert!(missing.is_empty(), "docs/metrics.md lacks {missing:?}");
    assert!(stale.is_empty(), "docs/metrics.md describes families that are gone: {stale:?}");
    for (name, family) in &registry {
        assert_eq!(page[name], *family, "docs/metrics.md (left) differs in {name}");
    }
}

#[test]
fn names_follow_the_conventions() {
    for (name, family) in registered() {
        assert!(name.starts_with("roomcast_") || name.starts_with("process_"), "{name}");
        assert_eq!(name.ends_with("_total"), family.kind == "counter", "{name} is a {family:?}");
        for unit in ["_ms", "_millis", "_micros", "_kb", "_mb", "_minutes"] {
            assert!(!name.contains(unit), "{name} is not in base units");
        }
    }
}

/// The families of a new registry, read from its text form.
fn registered() -> BTreeMap<String, Family> {
    let metrics = Metrics::new();
    metrics.namespace("default").rooms.set(1);
    metrics.node.last_tick(0).set(1.0);
    let text = metrics.render();
    let mut families = BTreeMap::<String, Family>::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("TYPE name type");
            families.entry(name.into()).or_default().kind = kind.into();
        } else if !line.starts_with('#') {
            let (series, _) = line.rsplit_once(' ').expect("series value");
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            let family = families.get_mut(family_of(name)).expect("TYPE comes first");
            for pair in labels.trim_end_matches('}').split(',').filter(|pair| !pair.is_empty()) {
                let (label, value) = pair.split_once('=').expect("label=value");
                if label == "le" {
                    continue;
                }
                let values = family.labels.entry(label.into()).or_default();
                if !OPEN.contains(&label) {
                    values.insert(value.trim_matches('"').into());
                }
            }
        }
    }
    assert!(families.len() > 40, "the text form has {} families only", families.len());
    families
}

/// A histogram's series carry suffixes that its family's name lacks.
fn family_of(series: &str) -> &str {
    ["_bucket", "_sum", "_count"]
        .into_iter()
        .find_map(|suffix| series.strip_suffix(suffix))
        .unwrap_or(series)
}

/// The families of the page: table rows that begin with a name in backquotes.
fn documented() -> BTreeMap<String, Family> {
    let page = include_str!("../../../docs/metrics.md");
    let mut families = BTreeMap::new();
    for line in page.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 7, "five columns: {line}");
        let labels = cells[3].split(';').map(str::trim).filter(|label| !label.is_empty());
        let family = Family { kind: cells[2].into(), labels: labels.map(label).collect() };
        assert!(!cells[4].is_empty() && !cells[5].is_empty(), "unit and meaning: {line}");
        assert!(families.insert(unquote(cells[1]), family).is_none(), "twice: {line}");
    }
    families
}

/// Reads "`name`: `value`, `value`".
fn label(cell: &str) -> (String, BTreeSet<String>) {
    let (name, values) = cell.split_once(':').unwrap_or((cell, ""));
    let values = values.split(',').map(unquote).filter(|value| !value.is_empty());
    (unquote(name), values.collect())
}

fn unquote(word: &str) -> String {
    word.trim().trim_matches('`').into()
}
