//! Every manifest of the corpus of real ones is read.

use std::path::{Path, PathBuf};

use super::super::{load, sources};
use crate::model::Namespace;
use crate::model::kind::ObjectKind;
use crate::model::object::Object;

/// Files that are refused, each for a reason that Kubernetes shares: none.
const REFUSED: [(&str, &str); 0] = [];
/// Files that hold nothing for petset.
const FOREIGN: [&str; 2] = ["e2e-cassandra.pdb.yaml", "e2e-etcd.pdb.yaml"];

fn corpus() -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/manifests");
    let folder = std::env::var_os("PETSET_MANIFESTS").map_or(default, PathBuf::from);
    let exists = folder.is_dir();
    if !exists {
        println!("skipped: no manifests at {}", folder.display());
    }
    exists.then_some(folder)
}

fn manifests(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let yaml = |path: &PathBuf| path.extension().is_some_and(|ending| ending != "tsv");
    let mut paths: Vec<PathBuf> = paths.filter(yaml).collect();
    paths.sort();
    paths
}

#[test]
fn every_real_manifest_is_accepted_or_refused_for_a_reason_that_kubernetes_shares() {
    let Some(folder) = corpus() else { return };
    for path in manifests(&folder) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let sources = sources(std::slice::from_ref(&path)).unwrap();
        let outcome = load(&sources, &Namespace::default());
        match REFUSED.iter().find(|(refused, _)| *refused == name) {
            Some((_, reason)) => {
                let message = outcome.unwrap_err().to_string();
                assert!(message.contains(reason), "{name}: {message}");
            }
            None => {
                let loaded = outcome.unwrap_or_else(|error| panic!("{name}: {error}"));
                let foreign = FOREIGN.contains(&name);
                assert_eq!(loaded.objects.is_empty(), foreign, "{name}");
            }
        }
    }
}

#[test]
fn the_corpus_read_as_one_directory_would_clash_in_names_only() {
    let Some(folder) = corpus() else { return };
    let sources = sources(&[folder]).unwrap();
    let message = load(&sources, &Namespace::default())
        .unwrap_err()
        .to_string();
    for line in message.lines() {
        assert!(line.contains(" is given twice, first at "), "{line}");
    }
}

#[test]
fn the_pet_sets_of_the_corpus_keep_their_init_containers_and_selectors() {
    let Some(folder) = corpus() else { return };
    for name in [
        "petset-docs-1.3-peers.yaml",
        "petset-contrib-zookeeper.yaml",
    ] {
        let sources = sources(&[folder.join(name)]).unwrap();
        let loaded = load(&sources, &Namespace::default()).unwrap();
        let is_set = |object: &&Object| object.kind() == ObjectKind::StatefulSet;
        let set = loaded.objects.iter().find(is_set).unwrap();
        let spec = set.to_json().unwrap()["spec"].clone();
        let inits = spec["template"]["spec"]["initContainers"]
            .as_array()
            .unwrap();
        assert!(!inits.is_empty(), "{name}");
        let labels = &spec["template"]["metadata"]["labels"];
        assert_eq!(spec["selector"]["matchLabels"], *labels, "{name}");
    }
}
