//! What pets may see of the state directory: a second one, laid out as the first.
//!
//! `view/` holds what `petset discover`, `petset dns` and `petset get` read, and nothing else: no
//! configuration, secret, claim or log, and of sets and pods neither what they run nor with which
//! variables. It is mounted in the place of the state directory where a pet has a file system of
//! its own. Whoever replaces one of these files calls [`show`] too.

use std::io;
use std::path::Path;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;

use super::files::{self, Sync};
use super::{Layout, Store};
use crate::model::{ISOLATION_ANNOTATION, ObjectRef, json};
use crate::problem::Result;
use crate::yaml;

/// Lets pets see the file at `path` of the state directory, as JSON. Nothing waits for that, and
/// who cannot write it has failed to write the file itself, too.
pub(crate) fn show<T: Serialize>(layout: &Layout, path: &Path, value: &T) -> io::Result<()> {
    match layout.shown(path) {
        Some(shown) => files::replace_open(&shown, &serde_json::to_vec(value)?),
        None => Ok(()),
    }
}

/// Takes a file or directory of the state directory out of the sight of pets.
pub(crate) fn unshow(layout: &Layout, path: &Path) -> io::Result<()> {
    let Some(shown) = layout.shown(path) else {
        return Ok(());
    };
    match shown.is_dir() {
        true => files::remove_tree(&shown),
        false => files::remove(&shown),
    }
}

/// Returns what pets may see of a set.
pub(crate) fn of_set(set: &StatefulSet) -> StatefulSet {
    let mut set = set.clone();
    bare(&mut set.metadata);
    if let Some(spec) = &mut set.spec {
        bare(spec.template.metadata.get_or_insert_default());
        spec.template.spec.iter_mut().for_each(bare_pod);
    }
    set
}

/// Returns what pets may see of a service.
pub(crate) fn of_service(service: &Service) -> Service {
    let mut service = service.clone();
    bare(&mut service.metadata);
    service
}

/// Returns what pets may see of a pod.
pub(crate) fn of_pod(pod: &Pod) -> Pod {
    let mut pod = pod.clone();
    bare(&mut pod.metadata);
    pod.spec.iter_mut().for_each(bare_pod);
    pod
}

/// Annotations may hold anything, such as the whole manifest.
fn bare(meta: &mut ObjectMeta) {
    if let Some(notes) = &mut meta.annotations {
        notes.retain(|name, _| name == ISOLATION_ANNOTATION);
    }
    meta.managed_fields = None;
}

fn bare_pod(spec: &mut PodSpec) {
    let init = spec.init_containers.iter_mut().flatten();
    for container in init.chain(&mut spec.containers) {
        *container = Container {
            name: std::mem::take(&mut container.name),
            image: container.image.take(),
            ports: container.ports.take(),
            restart_policy: container.restart_policy.take(),
            ..Container::default()
        };
    }
    spec.volumes = None;
}

/// Lets pets see the list of addresses: it only grows, so that a second name for it is enough.
pub(crate) fn show_addresses(layout: &Layout) -> io::Result<()> {
    let Some(shown) = layout.shown(&layout.addresses()) else {
        return Ok(());
    };
    for folder in [layout.view().wanted(), layout.view().pets()] {
        files::make_open_dir(&folder)?;
    }
    files::make_open_dir(&layout.view().seen())?;
    match std::fs::hard_link(layout.addresses(), shown) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Makes the view anew from what is wanted and seen, for a state directory whose view may have
/// fallen behind: one that lost power, or that an older petset wrote.
pub(crate) fn refresh(store: &Store, boot: &str) -> Result<()> {
    let layout = store.layout();
    let view = layout.view();
    for folder in [view.wanted(), view.seen(), view.pets()] {
        files::make_open_dir(&folder)?;
    }
    copy_file(layout, &layout.block())?;
    let mark = view.root().join("boot");
    if files::read(&mark)?.as_deref() == Some(boot) {
        return Ok(());
    }
    for folder in [view.wanted(), view.pets()] {
        files::names_in(&folder)?
            .iter()
            .try_for_each(|name| files::remove_tree(&folder.join(name)))?;
    }
    for namespace in store.namespaces()? {
        for set in store.all::<StatefulSet>(&namespace)? {
            write_object(layout, &set, &of_set(&set))?;
        }
        for service in store.all::<Service>(&namespace)? {
            write_object(layout, &service, &of_service(&service))?;
        }
        copy(layout, &layout.set_statuses(&namespace))?;
        copy(layout, &layout.endpoints(&namespace))?;
    }
    refresh_pods(layout)?;
    if let Some(format) = files::read(&layout.format())? {
        files::replace_open(&view.format(), format.as_bytes())?;
    }
    files::replace(&mark, boot.as_bytes(), Sync::No)?;
    Ok(())
}

fn refresh_pods(layout: &Layout) -> Result<()> {
    for namespace in files::names_in(&layout.pets())? {
        let Ok(namespace) = namespace.parse() else {
            continue;
        };
        for pod in files::names_in(&layout.pets_of(&namespace))? {
            let files = layout.pet(&namespace, &pod);
            if let Ok(Some(pod)) = files::read_json::<Pod>(&files.pod()) {
                show(layout, &files.pod(), &of_pod(&pod))?;
                copy_file(layout, &files.status())?;
            }
        }
    }
    Ok(())
}

fn write_object<T: super::Kept>(layout: &Layout, object: &T, shown: &T) -> Result<()> {
    let ObjectRef { namespace, name } = ObjectRef::of(object.metadata())?;
    let path = layout
        .view()
        .wanted_object(&namespace, T::OBJECT_KIND, &name);
    files::replace_open(&path, yaml::to_string(&json::to_value(shown)?)?.as_bytes())?;
    Ok(())
}

fn copy(layout: &Layout, folder: &Path) -> io::Result<()> {
    let names = files::names_in(folder)?;
    names
        .iter()
        .try_for_each(|name| copy_file(layout, &folder.join(name)))
}

fn copy_file(layout: &Layout, path: &Path) -> io::Result<()> {
    match (files::read(path)?, layout.shown(path)) {
        (Some(text), Some(shown)) => files::replace_open(&shown, text.as_bytes()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_is_shown_without_what_it_runs_and_its_variables() {
        let pod = json!({"metadata": {"name": "db-0", "annotations": {"note": "hush",
            "petset.dev/isolation": "full"}}, "spec": {
            "containers": [{"name": "db", "image": "db", "command": ["hush"], "args": ["hush"],
                "env": [{"name": "PASSWORD", "value": "hush"}], "ports": [{"containerPort": 1}],
                "readinessProbe": {"exec": {"command": ["hush"]}}}],
            "initContainers": [{"name": "init", "command": ["hush"]}],
            "volumes": [{"name": "v", "hostPath": {"path": "/hush"}}]}});
        let pod: Pod = serde_json::from_value(pod).unwrap();
        let shown = serde_json::to_string(&of_pod(&pod)).unwrap();
        assert!(!shown.contains("hush"), "{shown}");
        for word in ["db-0", "containerPort", "init", "petset.dev/isolation"] {
            assert!(shown.contains(word), "{word}: {shown}");
        }
    }

    #[test]
    fn only_what_is_in_the_state_directory_has_a_place_in_the_view() {
        let layout = Layout::new("/s");
        let path = layout.shown(Path::new("/s/seen/block"));
        assert_eq!(path.unwrap(), Path::new("/s/view/seen/block"));
        assert_eq!(layout.shown(Path::new("/t")), None);
    }
}
