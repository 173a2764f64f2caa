//! Circles of a graph: the parts that reach each other both ways.

use std::collections::BTreeSet;

use super::PartGraph;

/// Each circle, as the parts in it and the files of each import among them.
pub(super) fn circles(graph: &PartGraph) -> Vec<String> {
    let mut circles = Vec::new();
    let mut seen = BTreeSet::new();
    for part in graph.keys() {
        let reached = reached(graph, part);
        if !reached.contains(part.as_str()) || seen.contains(part.as_str()) {
            continue;
        }
        let both = |other: &&&str| self::reached(graph, other).contains(part.as_str());
        let circle: BTreeSet<&str> = reached.iter().filter(both).copied().collect();
        seen.extend(circle.iter().copied());
        circles.push(told(graph, &circle));
    }
    circles
}

/// Every part that one imports, directly or by others.
fn reached<'a>(graph: &'a PartGraph, part: &'a str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open = vec![part];
    while let Some(part) = open.pop() {
        let edges = graph.get(part).into_iter().flatten();
        open.extend(edges.map(|(name, _)| name.as_str()).filter(|&name| reached.insert(name)));
    }
    reached
}

fn told(graph: &PartGraph, circle: &BTreeSet<&str>) -> String {
    let names: Vec<_> = circle.iter().copied().collect();
    let mut told = format!("circle of {}: {}", names.len(), names.join(", "));
    for part in &names {
        for (name, files) in &graph[*part] {
            if circle.contains(name.as_str()) {
                let files: Vec<_> = files.iter().map(String::as_str).collect();
                told.push_str(&format!("\n  {part} -> {name}: {}", files.join(", ")));
            }
        }
    }
    told
}

#[test]
fn circles_are_found_whole_and_apart() {
    let graph: PartGraph = [("a", "b"), ("b", "c"), ("c", "a"), ("d", "a"), ("d", "e"), ("e", "d")]
        .into_iter()
        .fold(PartGraph::new(), |mut graph, (from, to)| {
            let edges = graph.entry(from.into()).or_default();
            edges.entry(to.into()).or_default().insert(format!("{from}.rs"));
            graph
        });
    let circles = circles(&graph);
    assert_eq!(circles.len(), 2, "{circles:?}");
    assert!(circles[0].starts_with("circle of 3: a, b, c\n  a -> b: a.rs\n"), "{circles:?}");
    assert!(circles[1].starts_with("circle of 2: d, e\n"), "{circles:?}");
}
