//! Reads which files, and which items in them, the documents name.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders of the repository that documents name files of.
const FOLDERS: [&str; 5] = ["src/", "tests/", "docs/", "testdata/", ".ci/"];

/// What may declare an item.
const KEYWORDS: [&str; 6] = ["fn", "struct", "enum", "const", "static", "type"];

/// A file that a document names, and the items in parentheses after it.
#[derive(Debug, PartialEq)]
struct Named<'a> {
    path: &'a str,
    items: Vec<&'a str>,
}

/// Lists what documents name and the repository does not have.
pub(crate) fn missing() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut faults = Vec::new();
    for document in documents(root) {
        let text = fs::read_to_string(root.join(&document)).unwrap();
        for Named { path, items } in named(&text) {
            let document = document.display();
            if !root.join(path).exists() {
                faults.push(format!("{document} names {path}, which does not exist"));
                continue;
            }
            let code = fs::read_to_string(root.join(path)).unwrap_or_default();
            let missing = items.iter().filter(|item| !declares(&code, item));
            faults.extend(missing.map(|item| format!("{document} names {item} in {path}")));
        }
    }
    faults
}

fn documents(root: &Path) -> Vec<PathBuf> {
    let docs = fs::read_dir(root.join("docs")).unwrap().flatten();
    let docs = docs.map(|entry| Path::new("docs").join(entry.file_name()));
    docs.chain(["CONTRIBUTING.md".into()]).collect()
}

/// Lists the files that a text names in backquotes.
fn named(text: &str) -> Vec<Named<'_>> {
    let parts: Vec<&str> = text.split('`').collect();
    let mut found = Vec::new();
    for (index, path) in parts.iter().enumerate().skip(1).step_by(2) {
        let is_path = FOLDERS.iter().any(|folder| path.starts_with(folder));
        // NAME stands for any name, <name> too.
        if !is_path || path.contains("NAME") || path.contains(['<', ' ']) {
            continue;
        }
        let mut items = Vec::new();
        let mut rest = parts[index + 1..].chunks_exact(2);
        let mut before = "(";
        while let Some([between, item]) = rest.next()
            && between.trim() == before
        {
            items.push(*item);
            before = ",";
        }
        found.push(Named { path, items });
    }
    found
}

fn declares(code: &str, item: &str) -> bool {
    let declared = |keyword: &&str| {
        let words = format!("{keyword} {item}");
        let ends = code.match_indices(&words).map(|(at, _)| at + words.len());
        ends.into_iter()
            .any(|end| !code[end..].starts_with(crate::text::is_word))
    };
    KEYWORDS.iter().any(declared)
}

#[test]
fn a_document_names_files_and_the_items_after_them() {
    let text = "See `src/a.rs` (`one`,\n`Two`), `src/b.rs` and `scale`; `src/cli/NAME.rs` is new.";
    let (first, second) = (
        Named {
            path: "src/a.rs",
            items: vec!["one", "Two"],
        },
        Named {
            path: "src/b.rs",
            items: Vec::new(),
        },
    );
    assert_eq!(named(text), [first, second]);
    assert!(declares("pub(crate) fn one<T>() {}", "one"));
    assert!(!declares("fn one_more() {}", "one"));
}
