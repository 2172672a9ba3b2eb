//! Every manifest of the corpus of real ones is read.

use std::path::{Path, PathBuf};

use super::{load, sources};
use crate::model::Namespace;

fn corpus() -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/manifests");
    let folder = std::env::var_os("PETSET_MANIFESTS").map_or(default, PathBuf::from);
    let exists = folder.is_dir();
    if !exists {
        println!("skipped: no manifests at {}", folder.display());
    }
    exists.then_some(folder)
}

#[test]
fn every_real_manifest_is_accepted_or_refused_for_a_reason_that_kubernetes_shares() {
    let Some(folder) = corpus() else {
        return;
    };
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending != "tsv"))
        .collect();
    files.sort();
    for file in files {
        let sources = sources(std::slice::from_ref(&file)).unwrap();
        match load(&sources, &Namespace::default()) {
            Ok(loaded) => println!(
                "{}: {} objects\n{}",
                file.display(),
                loaded.objects.len(),
                loaded.warnings.join("\n")
            ),
            Err(error) => println!("{}: REFUSED\n{error}", file.display()),
        }
    }
}
