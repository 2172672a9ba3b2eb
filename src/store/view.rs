//! The view of the state directory for isolated pets: a redacted copy with the same layout.
//!
//! `view/` holds only the files that `petset discover`, `petset dns` and `petset get` read: no
//! config map, secret, claim or log, and sets and pods without commands and variables. Isolated
//! pets have it mounted in place of the state directory. [`publish`] and [`withdraw`] change a file
//! together with its copy.

use std::io;
use std::path::Path;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Pod, Service};
use serde::Serialize;

use super::directory::Store;
use super::files::{self, Sync};
use super::kept::Kept;
use super::paths::Layout;
use super::redact;
use crate::model::{ObjectRef, json};
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

/// Adds the list of addresses to the view, as a hard link: the file is only ever appended to.
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
    if files::read(&mark)?.as_deref() == Some(boot.as_str()) {
        return Ok(());
    }
    // Commands that are about to start this supervisor too write to the view meanwhile.
    let _lock = store.lock("supervise", None)?;
    for folder in [view.wanted(), view.pets()] {
        files::names_in(&folder)?
            .iter()
            .try_for_each(|name| files::remove_tree(&folder.join(name)))?;
    }
    for namespace in store.namespaces()? {
        for set in store.all::<StatefulSet>(&namespace)? {
            write_object(layout, &set, &redact::of_set(&set))?;
        }
        for service in store.all::<Service>(&namespace)? {
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
    let text = files::read(path)?;
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
