//! The view of the state directory for isolated pets: a redacted copy with the same layout.
//!
//! `view/` holds only the files that `petset discover`, `petset dns` and `petset get` read: no
//! config map, secret, claim or log, and sets and pods without commands and variables. Isolated
//! pets have it mounted in place of the state directory. [`publish`] and [`withdraw`] change a file
//! together with its copy.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Pod, Service};
use serde::Serialize;

use super::damage::is_damage;
use super::directory::Store;
use super::files::{self, Sync};
use super::kept::Kept;
use super::paths::Layout;
use super::{redact, reserve};
use crate::model::{Namespace, ObjectRef, json};
use crate::problem::Result;
use crate::sys::proc::boot_id;
use crate::yaml;

/// Replaces the file at `path` by `value` as JSON, and its copy in the view. Neither is synced,
/// because published status can be observed again.
pub(crate) fn publish<T: Serialize>(layout: &Layout, path: &Path, value: &T) -> io::Result<()> {
    let bytes = serde_json::to_vec(value)?;
    files::replace(path, &bytes, Sync::No)?;
    show(layout, path, &bytes)
}

/// Does the same for what tells of an end, on a full disk too. What pets see of it may then be
/// older.
pub(crate) fn publish_at_any_cost<T: Serialize>(
    layout: &Layout,
    path: &Path,
    value: &T,
) -> io::Result<()> {
    let bytes = serde_json::to_vec(value)?;
    reserve::replace(layout, path, &bytes, Sync::No)?;
    match show(layout, path, &bytes) {
        Err(error) if reserve::is_full(&error) => Ok(()),
        shown => shown,
    }
}

/// Removes the file at `path`, and its copy in the view.
pub(crate) fn withdraw(layout: &Layout, path: &Path) -> io::Result<()> {
    files::remove(path)?;
    hide(layout, path)
}

/// Writes these bytes as the copy of the file at `path`.
pub(super) fn show(layout: &Layout, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let shown = layout.shown(path);
    shown.map_or(Ok(()), |shown| files::replace_open(&shown, bytes))
}

/// Removes the copy of a file or directory.
pub(super) fn hide(layout: &Layout, path: &Path) -> io::Result<()> {
    let Some(shown) = layout.shown(path) else {
        return Ok(());
    };
    if shown.is_dir() {
        files::remove_tree(&shown)
    } else {
        files::remove(&shown)
    }
}

/// Adds the list of addresses to the view, as a hard link: the file is appended to, and the link is
/// made anew when the list was replaced. What is no file is not shown; the supervisor writes the
/// list again.
pub(crate) fn show_addresses(layout: &Layout) -> io::Result<()> {
    let Some(shown) = layout.shown(&layout.addresses()) else {
        return Ok(());
    };
    for folder in [layout.view().wanted(), layout.view().pets()] {
        files::make_open_dir(&folder)?;
    }
    files::make_open_dir(&layout.view().seen())?;
    let inode = |path: &Path| fs::metadata(path).map(|found| found.ino());
    let list = layout.addresses();
    if fs::symlink_metadata(&list).is_ok_and(|found| !found.is_file()) {
        return Ok(());
    }
    // A list that was damaged or has become shorter is another file.
    if matches!((inode(&list), inode(&shown)), (Ok(list), Ok(shown)) if list != shown) {
        return files::replace_link(&list, &shown);
    }
    match fs::hard_link(list, shown) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Lets the next [`refresh`] rebuild the whole view.
pub(crate) fn forget(store: &Store) -> io::Result<()> {
    files::remove(&store.layout().view().root().join("boot"))
}

/// Rebuilds the view, which may be outdated after a power loss or an upgrade of petset.
pub(crate) fn refresh(store: &Store) -> Result<()> {
    let boot = boot_id();
    let layout = store.layout();
    let view = layout.view();
    for folder in [view.wanted(), view.seen(), view.pets()] {
        files::make_open_dir(&folder)?;
    }
    copy_file(layout, &layout.block())?;
    let mark = view.root().join("boot");
    if files::read(&mark).is_ok_and(|mark| mark.as_deref() == Some(boot.as_str())) {
        return verify(store);
    }
    // Commands that are about to start this supervisor too write to the view meanwhile.
    let _lock = store.lock("supervise", None)?;
    for folder in [view.wanted(), view.pets()] {
        files::names_in(&folder)?
            .iter()
            .try_for_each(|name| files::remove_tree(&folder.join(name)))?;
    }
    for namespace in store.namespaces()? {
        // What cannot be read is not shown; the supervisor tells of it.
        for set in store.readable::<StatefulSet>(&namespace, |_, _| {})? {
            write_object(layout, &set, &redact::of_set(&set))?;
        }
        for service in store.readable::<Service>(&namespace, |_, _| {})? {
            write_object(layout, &service, &redact::of_service(&service))?;
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

/// Makes the copy of a wanted object what it should be: a command that was killed may have changed
/// the object alone.
pub(crate) fn verify_object<T: Kept>(
    layout: &Layout,
    key: &ObjectRef,
    object: Option<&T>,
) -> Result<()> {
    let view = layout.view();
    let copy = view.wanted_object(&key.namespace, T::OBJECT_KIND, &key.name);
    let Some(shown) = object.map(|object| object.shown()) else {
        return Ok(files::remove(&copy)?);
    };
    let Some(shown) = shown else { return Ok(()) };
    let text = yaml::to_string(&json::to_value(&shown)?)?;
    if !files::read(&copy).is_ok_and(|there| there.as_ref() == Some(&text)) {
        files::replace_open(&copy, text.as_bytes())?;
    }
    Ok(())
}

/// Makes every copy what it should be that a process may have left behind when it was killed
/// between a file and its copy.
pub(crate) fn verify(store: &Store) -> Result<()> {
    let layout = store.layout();
    for namespace in store.namespaces()? {
        verify_kind::<StatefulSet>(store, &namespace)?;
        verify_kind::<Service>(store, &namespace)?;
        for folder in [
            layout.set_statuses(&namespace),
            layout.endpoints(&namespace),
        ] {
            verify_files(layout, &folder)?;
        }
    }
    verify_pods(layout)
}

fn verify_kind<T: Kept>(store: &Store, namespace: &Namespace) -> Result<()> {
    let layout = store.layout();
    let copies = layout.view().wanted_kind(namespace, T::OBJECT_KIND);
    let there = files::names_in(&copies)?;
    let there = there
        .iter()
        .filter_map(|file| file.strip_suffix(".yaml")?.parse().ok());
    let mut names = store.names(namespace, T::OBJECT_KIND)?;
    names.extend(there);
    names.sort();
    names.dedup();
    for name in names {
        let file = layout.wanted_object(namespace, T::OBJECT_KIND, &name);
        if is_newer(&copies.join(format!("{name}.yaml")), &file) {
            continue;
        }
        // What cannot be read is told of by whoever needs it.
        if let Ok(object) = store.find::<T>(namespace, &name) {
            let key = ObjectRef::new(namespace.clone(), name);
            verify_object(layout, &key, object.as_ref())?;
        }
    }
    Ok(())
}

/// Returns whether a copy was written after its file. One that was written at the same time, as far
/// as the clock of the file system tells, may be that of the file before.
fn is_newer(copy: &Path, file: &Path) -> bool {
    let changed = |path: &Path| fs::metadata(path).and_then(|found| found.modified());
    matches!((changed(copy), changed(file)), (Ok(copy), Ok(file)) if copy > file)
}

fn verify_files(layout: &Layout, folder: &Path) -> io::Result<()> {
    let Some(copies) = layout.shown(folder) else {
        return Ok(());
    };
    let mut names = files::names_in(folder)?;
    names.extend(files::names_in(&copies)?);
    names.sort();
    names.dedup();
    names
        .iter()
        .try_for_each(|name| verify_file(layout, &folder.join(name), &copies.join(name)))
}

fn verify_file(layout: &Layout, file: &Path, copy: &Path) -> io::Result<()> {
    if is_newer(copy, file) {
        return Ok(());
    }
    match files::read(file) {
        Ok(None) => files::remove(copy),
        Ok(text) if files::read(copy).is_ok_and(|copy| copy == text) => Ok(()),
        Ok(Some(text)) => show(layout, file, text.as_bytes()),
        Err(error) if is_damage(&error) => Ok(()),
        Err(error) => Err(error),
    }
}

fn verify_pods(layout: &Layout) -> Result<()> {
    let view = layout.view();
    let mut namespaces = files::names_in(&layout.pets())?;
    namespaces.extend(files::names_in(&view.pets())?);
    namespaces.sort();
    namespaces.dedup();
    for namespace in namespaces {
        let Ok(namespace) = namespace.parse() else {
            continue;
        };
        let mut pods = files::names_in(&layout.pets_of(&namespace))?;
        pods.extend(files::names_in(&view.pets_of(&namespace))?);
        pods.sort();
        pods.dedup();
        for pod in pods {
            let (own, copy) = (layout.pet(&namespace, &pod), view.pet(&namespace, &pod));
            if !own.pod().exists() {
                files::remove_tree(copy.root())?;
                continue;
            }
            if !is_newer(&copy.pod(), &own.pod())
                && let Ok(Some(pod)) = files::read_json::<Pod>(&own.pod())
            {
                let shown = serde_json::to_vec(&redact::of_pod(&pod))?;
                show(layout, &own.pod(), &shown)?;
            }
            verify_file(layout, &own.status(), &copy.status())?;
        }
    }
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
                show(
                    layout,
                    &files.pod(),
                    &serde_json::to_vec(&redact::of_pod(&pod))?,
                )?;
                copy_file(layout, &files.status())?;
            }
        }
    }
    Ok(())
}

fn write_object<T: Kept>(layout: &Layout, object: &T, shown: &T) -> Result<()> {
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
    let text = match files::read(path) {
        Err(error) if is_damage(&error) => None,
        text => text?,
    };
    text.map_or(Ok(()), |text| show(layout, path, text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_in_the_state_directory_has_a_place_in_the_view() {
        let layout = Layout::new("/s");
        let path = layout.shown(Path::new("/s/seen/block"));
        assert_eq!(path.unwrap(), Path::new("/s/view/seen/block"));
        assert_eq!(layout.shown(Path::new("/t")), None);
    }
}
