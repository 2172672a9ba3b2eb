//! Which module may import which: the table that keeps the parts small and able to die alone; and
//! that the documents for contributors name files that exist.

#![expect(clippy::unwrap_used, reason = "a test ends with what is wrong")]

mod circles;
mod documents;
mod imports;
mod parse;
mod resolver_tests;
mod sources;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use circles::{circles, ties};
use imports::Crate;
use sources::{sources, texts};
use text::{Kind, stretches};

/// For each module below `src`, what of this crate it may use.
const ALLOWED: [(&str, &[&str]); 17] = [
    ("problem", &[]),
    // Only what is compiled for tests imports it.
    ("mangling", &[]),
    ("sys", &[]),
    ("role", &["sys"]),
    ("hello", &["role"]),
    ("sorted", &[]),
    ("model", &["problem", "sorted"]),
    ("yaml", &["problem"]),
    (
        "manifest",
        &["mangling", "model", "problem", "sorted", "yaml"],
    ),
    (
        "store",
        &[
            "mangling", "model", "problem", "role", "sorted", "sys", "yaml",
        ],
    ),
    (
        "dns",
        &["mangling", "model", "problem", "sorted", "store", "sys"],
    ),
    ("relay", &[]),
    (
        "proxy",
        &[
            "model", "problem", "relay", "role", "sorted", "store", "sys",
        ],
    ),
    (
        "network",
        &[
            "dns", "mangling", "model", "problem", "proxy", "relay", "role", "sorted", "store",
            "sys",
        ],
    ),
    (
        "runner",
        &["model", "problem", "role", "sorted", "store", "sys"],
    ),
    (
        "supervisor",
        &[
            "dns", "model", "network", "problem", "proxy", "role", "runner", "sorted", "store",
            "sys",
        ],
    ),
    (
        "cli",
        &[
            "dns",
            "manifest",
            "model",
            "network",
            "problem",
            "proxy",
            "role",
            "runner",
            "sorted",
            "store",
            "supervisor",
            "sys",
            "yaml",
        ],
    ),
];

/// What is re-exported at the root and may be used by that name everywhere.
const ROOT: [&str; 4] = ["Kind", "Problem", "Result", "report"];

/// Names that one module alone may use, because it owns the package.
const OWNERS: [(&str, &str); 6] = [
    ("comfy_table", "cli/shared/render.rs"),
    ("serde_yaml", "yaml/"),
    ("fs2", "store/lock.rs"),
    ("simple_dns", "dns/"),
    ("ratatui_core", "cli/top/live/"),
    ("rustls", "runner/tls.rs"),
];

/// Type names that several files below a folder may declare, and why.
const TERMS_OF_THE_PLACE: [(&str, &str, &str); 3] = [
    ("Args", "cli/", "what a verb accepts; each has its own"),
    (
        "ListArgs",
        "cli/",
        "what the subcommand `list` of a verb accepts",
    ),
    ("Verb", "cli/", "the subcommands of a verb"),
];

/// Where values without a type may be handled.
const UNTYPED: [&str; 4] = ["store", "manifest", "yaml", "model"];

/// Columns that a line with a comment may take.
const WIDEST_COMMENT: usize = 100;

#[test]
fn modules_import_only_what_the_table_allows() {
    let allowed: BTreeMap<_, _> = ALLOWED.into_iter().collect();
    let mut faults = Vec::new();
    for (path, code) in sources() {
        let module = room_of(&path).to_owned();
        let Some(may_use) = allowed.get(module.as_str()) else {
            continue;
        };
        for used in uses(&code) {
            let fine =
                used == module || may_use.contains(&used.as_str()) || ROOT.contains(&used.as_str());
            if !fine {
                faults.push(format!("{path} uses crate::{used}"));
            }
        }
    }
    none(&faults);
}

#[test]
fn the_model_touches_nothing_outside_itself() {
    let outside = [
        "std::fs",
        "TcpStream",
        "TcpListener",
        "UdpSocket",
        "ToSocketAddrs",
        "std::process",
        "std::thread",
        "std::env",
        "::now()",
    ];
    let mut faults = Vec::new();
    for (path, code) in sources() {
        if room_of(&path) != "model" {
            continue;
        }
        let found = outside.iter().filter(|word| code.contains(**word));
        faults.extend(found.map(|word| format!("{path} uses {word}")));
    }
    none(&faults);
}

#[test]
fn each_package_has_one_owner() {
    let mut faults = Vec::new();
    for (path, code) in sources() {
        for (package, owner) in OWNERS {
            if code.contains(&format!("{package}::")) && !path.starts_with(owner) {
                faults.push(format!("{path} uses {package}, which belongs to {owner}"));
            }
        }
    }
    none(&faults);
}

#[test]
fn documents_name_what_there_is() {
    none(&documents::missing());
}

#[test]
fn no_files_import_one_another() {
    none(&circles(&Crate::of(&sources()).imports()));
}

#[test]
fn a_verb_imports_no_verb() {
    let imports = Crate::of(&sources()).imports();
    let forbidden = imports.iter().filter(|import| {
        let (verb, other) = (verb_of(&import.from), verb_of(&import.to));
        let inside = verb.is_some() && other.is_some();
        inside && verb != Some("mod") && other != verb && other != Some("shared")
    });
    none(&ties(forbidden));
}

#[test]
fn values_without_a_type_stay_at_the_edge() {
    let mut faults = Vec::new();
    for (file, names) in Crate::of(&sources()).files() {
        let fine = UNTYPED.contains(&room_of(file)) || file.starts_with("cli/shared/render");
        let used = names.uses.iter().map(|used| &used.path);
        let paths: BTreeSet<String> = used
            .chain(&names.paths)
            .filter(|path| path[0] == "serde_json")
            .filter_map(|path| path.get(1).cloned())
            .filter(|name| name == "Value" || name == "json")
            .collect();
        faults.extend(
            paths
                .iter()
                .filter(|_| !fine)
                .map(|name| format!("{file} uses serde_json::{name}")),
        );
    }
    none(&faults);
}

#[test]
fn a_type_name_is_declared_once() {
    let mut files_of: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let house = Crate::of(&sources());
    for (file, names) in house.files() {
        for name in &names.types {
            files_of.entry(name).or_default().push(file);
        }
    }
    let twice = files_of.iter().filter(|(name, files)| {
        let places = files.iter().map(|file| place_of(name, file));
        places.collect::<BTreeSet<_>>().len() > 1
    });
    let faults: Vec<_> = twice
        .map(|(name, files)| format!("{name} {}: {}", files.len(), files.join(" ")))
        .collect();
    none(&faults);
}

/// Returns where a type name is declared: a file, or the folder in which it is a term.
fn place_of<'a>(name: &str, file: &'a str) -> &'a str {
    let mut terms = TERMS_OF_THE_PLACE.into_iter();
    let term = terms.find(|(term, folder, _)| *term == name && file.starts_with(folder));
    term.map_or(file, |(_, folder, _)| folder)
}

#[test]
fn comments_are_narrow_and_end_with_a_word() {
    let mut faults = Vec::new();
    for folder in ["src", "tests", "benches"] {
        for (file, text) in texts(folder) {
            faults.extend(comment_faults(&text).map(|fault| format!("{folder}/{file}:{fault}")));
        }
    }
    none(&faults);
}

/// Lists the lines with a comment that are too wide or end with a space.
fn comment_faults(text: &str) -> impl Iterator<Item = String> {
    let stretches = stretches(text).into_iter();
    let comments = stretches.filter(|(kind, _)| *kind == Kind::Comment);
    let numbers = comments.flat_map(|(_, range)| {
        let first = text[..range.start].matches('\n').count();
        first..=first + text[range].matches('\n').count()
    });
    let lines: Vec<&str> = text.split('\n').collect();
    numbers.filter_map(move |number| {
        let line = lines[number];
        let width = line.chars().count();
        let fault = if width > WIDEST_COMMENT {
            format!("{width} columns")
        } else if line.ends_with(char::is_whitespace) {
            "a space at the end".to_owned()
        } else {
            return None;
        };
        Some(format!("{}: {fault}: {}", number + 1, line.trim()))
    })
}

/// Fails with all faults, one a line.
fn none(faults: &[String]) {
    assert!(
        faults.is_empty(),
        "{} faults:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

/// Returns the folder below `src` that a file belongs to, or the name of a file that has none.
fn room_of(path: &str) -> &str {
    path.split(['/', '.']).next().unwrap_or(path)
}

/// Returns the verb that a file of `cli` belongs to; `shared` and `mod` count as such.
fn verb_of(path: &str) -> Option<&str> {
    path.strip_prefix("cli/").map(room_of)
}

/// Returns what follows `crate::` in the code.
fn uses(code: &str) -> BTreeSet<String> {
    let after = code.split("crate::").skip(1);
    after
        .map(|rest| rest.chars().take_while(|c| text::is_word(*c)).collect())
        .collect()
}
