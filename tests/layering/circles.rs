//! Finds files that import one another, be it through others.

use std::collections::{BTreeMap, BTreeSet};

use crate::imports::Import;

/// Which files a file imports, and by which names.
type Graph<'a> = BTreeMap<&'a str, BTreeMap<&'a str, BTreeSet<&'a str>>>;

/// Describes imports, those from one file to another in one line: `a.rs -> b.rs: One, Two`.
pub(crate) fn ties<'a>(imports: impl IntoIterator<Item = &'a Import>) -> Vec<String> {
    let graph = graph_of(imports);
    let lines = graph.iter().flat_map(|(from, ties)| {
        ties.iter().map(move |(to, names)| {
            let names: Vec<&str> = names.iter().copied().collect();
            format!("{from} -> {to}: {}", names.join(", "))
        })
    });
    lines.collect()
}

fn graph_of<'a>(imports: impl IntoIterator<Item = &'a Import>) -> Graph<'a> {
    let mut graph = Graph::new();
    for import in imports {
        let ties = graph.entry(&import.from).or_default();
        ties.entry(&import.to).or_default().insert(&import.name);
    }
    graph
}

/// Describes each circle: its files, then the imports between them with the names that tie them.
pub(crate) fn circles(imports: &BTreeSet<Import>) -> Vec<String> {
    let imports: Vec<&Import> = imports.iter().filter(|import| !import.passed_on).collect();
    let graph = graph_of(imports.iter().copied());
    let reached: BTreeMap<&str, BTreeSet<&str>> = graph
        .keys()
        .map(|file| (*file, reached_from(&graph, file)))
        .collect();
    let mut circles = BTreeSet::new();
    for (file, others) in &reached {
        if others.contains(file) {
            let back = |other: &&&str| {
                reached
                    .get(**other)
                    .is_some_and(|there| there.contains(file))
            };
            let circle: BTreeSet<&str> = others.iter().filter(back).copied().collect();
            circles.insert(circle);
        }
    }
    let described = circles.iter().map(|circle| described(&imports, circle));
    described.collect()
}

fn reached_from<'a>(graph: &Graph<'a>, file: &str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open = vec![file];
    while let Some(file) = open.pop() {
        for next in graph.get(file).into_iter().flat_map(BTreeMap::keys) {
            if reached.insert(*next) {
                open.push(next);
            }
        }
    }
    reached
}

fn described(imports: &[&Import], circle: &BTreeSet<&str>) -> String {
    let files: Vec<&str> = circle.iter().copied().collect();
    let inside = imports.iter().copied().filter(|import| {
        circle.contains(import.from.as_str()) && circle.contains(import.to.as_str())
    });
    let mut lines = vec![format!("circle of {}: {}", files.len(), files.join(" "))];
    lines.extend(ties(inside).iter().map(|line| format!("  {line}")));
    lines.join("\n")
}
