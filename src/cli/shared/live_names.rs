//! The names that objects have now: for completions, and for what a wrong name meant.

use std::path::Path;

use crate::manifest::nearest;
use crate::model::Namespace;
use crate::model::kind::ObjectKind;
use crate::store::{Layout, names_in};

/// Returns the names of the objects of a kind; none where they cannot be read.
pub(crate) fn of_kind(layout: &Layout, namespace: &Namespace, kind: ObjectKind) -> Vec<String> {
    if kind == ObjectKind::Pod {
        names_in(&layout.pets_of(namespace)).unwrap_or_default()
    } else if kind == ObjectKind::PersistentVolumeClaim {
        without_ending(&layout.claims(namespace), ".json")
    } else {
        without_ending(&layout.wanted_kind(namespace, kind), ".yaml")
    }
}

fn without_ending(dir: &Path, ending: &str) -> Vec<String> {
    let files = names_in(dir).unwrap_or_default();
    let names = files.iter().filter_map(|file| file.strip_suffix(ending));
    names.map(str::to_owned).collect()
}

/// Returns what a name that is not there probably meant: one that differs by a slip, or the same
/// in another namespace.
pub(crate) fn meant(
    layout: &Layout,
    namespace: &Namespace,
    kinds: &[ObjectKind],
    name: &str,
) -> Option<String> {
    let there = |namespace: &Namespace| -> Vec<String> {
        let names = kinds.iter().map(|kind| of_kind(layout, namespace, *kind));
        names.flatten().collect()
    };
    let names = there(namespace);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    if let Some(meant) = nearest(name, &names) {
        return Some(format!("did you mean {meant}?"));
    }
    let namespaces = names_in(&layout.wanted()).unwrap_or_default();
    let mut namespaces = namespaces.iter().filter_map(|name| name.parse().ok());
    let other = namespaces.find(|other| there(other).iter().any(|it| it == name))?;
    Some(format!(
        "{name} is in namespace {other}: add --namespace {other}"
    ))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_slip_and_another_namespace_are_recognized() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let sets = |namespace: &str| {
            layout.wanted_kind(&namespace.parse().unwrap(), ObjectKind::StatefulSet)
        };
        for (namespace, set) in [("default", "redis"), ("shop", "orders")] {
            fs::create_dir_all(sets(namespace)).unwrap();
            fs::write(sets(namespace).join(format!("{set}.yaml")), "").unwrap();
        }
        let kinds = [ObjectKind::StatefulSet];
        let answer = |name: &str| meant(&layout, &Namespace::default(), &kinds, name);
        assert_eq!(answer("rdis").as_deref(), Some("did you mean redis?"));
        let other = "orders is in namespace shop: add --namespace shop";
        assert_eq!(answer("orders").as_deref(), Some(other));
        assert_eq!(answer("web"), None);
    }
}
