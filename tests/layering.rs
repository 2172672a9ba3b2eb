//! Which module may import which: the table that keeps the parts small and able to die alone.

#![expect(clippy::unwrap_used, reason = "a test ends with what is wrong")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// For each module below `src`, what of this crate it may use.
const ALLOWED: [(&str, &[&str]); 13] = [
    ("problem", &[]),
    ("sys", &[]),
    ("hello", &[]),
    ("model", &["problem"]),
    ("yaml", &["problem"]),
    ("manifest", &["model", "problem", "yaml"]),
    ("store", &["model", "problem", "sys", "yaml"]),
    ("dns", &["model", "problem", "store", "sys"]),
    ("proxy", &["model", "problem", "store", "sys"]),
    (
        "network",
        &["dns", "model", "problem", "proxy", "store", "sys"],
    ),
    ("runner", &["model", "problem", "store", "sys"]),
    (
        "supervisor",
        &[
            "dns", "model", "network", "problem", "proxy", "runner", "store", "sys",
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
            "runner",
            "store",
            "supervisor",
            "yaml",
        ],
    ),
];

/// What is re-exported at the root and may be used by that name everywhere.
const ROOT: [&str; 4] = ["Kind", "Problem", "Result", "report"];

/// Names that one module alone may use, because it owns the package.
const OWNERS: [(&str, &str); 4] = [
    ("comfy_table", "cli/shared/render.rs"),
    ("serde_yaml", "yaml/"),
    ("fs2", "store/lock.rs"),
    ("simple_dns", "dns/"),
];

#[test]
fn modules_import_only_what_the_table_allows() {
    let allowed: BTreeMap<_, _> = ALLOWED.into_iter().collect();
    let mut faults = Vec::new();
    for (path, text) in sources() {
        let module = path.split(['/', '.']).next().unwrap().to_owned();
        let Some(may_use) = allowed.get(module.as_str()) else {
            continue;
        };
        for used in uses(&text) {
            let fine =
                used == module || may_use.contains(&used.as_str()) || ROOT.contains(&used.as_str());
            if !fine {
                faults.push(format!("{path} uses crate::{used}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
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
    for (path, text) in sources()
        .into_iter()
        .filter(|(path, _)| path.starts_with("model/"))
    {
        let code = without_tests(&text);
        let found = outside.iter().filter(|word| code.contains(**word));
        faults.extend(found.map(|word| format!("{path} uses {word}")));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn each_package_has_one_owner() {
    let mut faults = Vec::new();
    for (path, text) in sources() {
        let code = without_tests(&text);
        for (package, owner) in OWNERS {
            if code.contains(&format!("{package}::")) && !path.starts_with(owner) {
                faults.push(format!("{path} uses {package}, which belongs to {owner}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Returns the source files with their paths below `src`, test modules left out.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut dirs = vec![root.clone()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
                continue;
            }
            let name = path
                .strip_prefix(&root)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            if name.ends_with(".rs") && !name.contains("tests") && !name.contains("simulation") {
                found.push((name, fs::read_to_string(path).unwrap()));
            }
        }
    }
    found
}

/// Returns what follows `crate::` in the code.
fn uses(text: &str) -> BTreeSet<String> {
    let code = without_tests(text);
    let after = code.split("crate::").skip(1);
    after
        .map(|rest| {
            rest.chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect()
        })
        .collect()
}

/// Cuts off the tests at the end of a file, and comments.
fn without_tests(text: &str) -> String {
    let code = text
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or(text);
    let lines = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}
