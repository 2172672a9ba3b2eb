//! Folders of checks and recordings beside the checkout, and running what is in them side by side.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::skipped;

/// Returns the folder that the environment variable names, or else this one of those beside the
/// checkout. Where there is none it says so, or fails if `PETSET_TEST_REQUIRE` names `what`.
pub(crate) fn folder(what: &str, variable: &str, beside: &str) -> Option<PathBuf> {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/conformance");
    let given = std::env::var_os(variable).map(PathBuf::from);
    let folder = given.unwrap_or_else(|| all.join(beside));
    if let Ok(folder) = folder.canonicalize() {
        return Some(folder);
    }
    let required = std::env::var("PETSET_TEST_REQUIRE").unwrap_or_default();
    let demanded = required.split(',').any(|name| name.trim() == what);
    let shown = folder.display();
    assert!(
        !demanded,
        "PETSET_TEST_REQUIRE demands {what}, but there is no {shown}"
    );
    skipped(&format!("there is no {shown}: set {variable} to its place"));
    None
}

/// Returns the names of the files with this ending in a folder, without it, in their order.
pub(crate) fn names_in(folder: &Path, ending: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let files = paths.filter(|path| path.extension().is_some_and(|it| it == ending));
    let mut names: Vec<String> = files
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

/// Does something for each name, so many at a time.
pub(crate) fn side_by_side<T: Send>(
    names: &[String],
    at_a_time: usize,
    look: impl Fn(&String) -> T + Sync,
) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    let work = || {
        while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
            let outcome = look(name);
            done.lock().unwrap().push(outcome);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..at_a_time {
            scope.spawn(work);
        }
    });
    done.into_inner().unwrap()
}
