//! Reads the source files of the crate.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::text::code_of;

/// Parts of a path that mark a test module.
const TEST_MODULES: [&str; 3] = ["tests", "fixture", "simulation"];

/// Returns the code below `src`, by paths such as `cli/get.rs`: no comments, literals and tests.
pub(crate) fn sources() -> BTreeMap<String, String> {
    let mut files = texts("src");
    files.retain(|path, _| !TEST_MODULES.iter().any(|part| path.contains(part)));
    files
        .into_iter()
        .map(|(path, text)| (path, code_of(&text)))
        .collect()
}

/// Returns every Rust file below a folder of the crate, by its path below that folder.
pub(crate) fn texts(folder: &str) -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut found = BTreeMap::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap();
                found.insert(name.to_owned(), fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}
