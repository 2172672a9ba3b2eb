//! Covering state directories in the pets that run: they see directories of the host, and one that
//! is made in there later must not be shown to them.
//!
//! Who makes a state directory enters it in the registry, and covers it in all containers of this
//! user, before anything is written to it. A container that is being started meanwhile either is
//! found by that, or its runner finds the entry. Containers of another user, who is root then, are
//! those of supervisors that watch the registry.

use std::ffi::{CString, OsStr};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::addresses::block_of;
use super::files::{names_in, read_json};
use super::launch::Launch;
use super::paths::{Layout, PetLayout};
use super::record::RunnerRecord;
use super::registry::{Blocks, RegistryEntry};
use crate::sorted::SortedSet;
use crate::sys::cover::{CoverPlace, cover, has_own_mounts};
use crate::sys::mounts::{DirectoryOnDevice, MountEntry, joined, mounts_of};
use crate::sys::{own_ids, proc};

/// What the registry lists.
#[derive(Debug, Default)]
pub(crate) struct EnteredStates(SortedSet<RegistryEntry>);

impl EnteredStates {
    /// Reads the registry.
    pub(crate) fn read() -> Self {
        Self(Blocks::of_this_machine().entered())
    }

    /// Lists the state directories in it, but for those that `hides` says must not be looked at.
    /// What is none may become one, and is forgotten, so that it is found then.
    pub(crate) fn directories(&mut self, hides: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
        let mut found = Vec::new();
        self.0.retain(|entry| {
            let hidden = hides(&entry.path);
            let directory = (!hidden).then(|| state_directory(entry)).flatten();
            let is_one = directory.is_some();
            found.extend(directory);
            hidden || is_one
        });
        found
    }

    /// Lists the state directories that it has and an earlier one had not.
    pub(crate) fn beyond(&self, earlier: &Self) -> Vec<PathBuf> {
        let new = self.0.difference(&earlier.0);
        new.filter_map(state_directory).collect()
    }
}

/// Returns the state directory that an entry of the registry names, without links; `None` if it
/// names no state directory, or was made by somebody who owns none there.
pub(crate) fn state_directory(entry: &RegistryEntry) -> Option<PathBuf> {
    let path = real_state_directory(&entry.path)?;
    let owner = fs::metadata(&path).ok()?.uid();
    (entry.user == 0 || entry.user == owner).then_some(path)
}

/// Returns the path without links of a directory, if it is a state directory.
pub(crate) fn real_state_directory(path: &Path) -> Option<PathBuf> {
    let is_one = path.join("format").is_file();
    is_one.then(|| path.canonicalize().ok()).flatten()
}

/// Enters a state directory that is being made, and covers it in all containers that run.
pub(super) fn announce(layout: &Layout) {
    let blocks = Blocks::of_this_machine();
    let has = block_of(layout).ok().flatten();
    let Ok(new) = layout.root().canonicalize() else {
        return;
    };
    // An entry that is left of a directory that was removed tells nobody anything new.
    blocks.release(&new);
    blocks.claim(&new, has, |other| block_of(&Layout::new(other)).ok()?);
    let entered = blocks.entered();
    let others = entered.iter().filter_map(state_directory);
    for other in others.filter(|other| *other != new) {
        // Into those of others there is no way.
        if fs::metadata(&other).is_ok_and(|found| found.uid() == own_ids().0) {
            cover_in_pets(&Layout::new(other), std::slice::from_ref(&new));
        }
    }
}

/// Covers these state directories in all containers of another one. Those that cannot be covered
/// are told of by nobody: their runner, if it still works, has tried too.
pub(crate) fn cover_in_pets(layout: &Layout, directories: &[PathBuf]) {
    let namespaces = names_in(&layout.pets()).unwrap_or_default();
    let namespaces = namespaces.iter().filter_map(|name| name.parse().ok());
    for namespace in namespaces {
        for pod in names_in(&layout.pets_of(&namespace)).unwrap_or_default() {
            for container in containers_of(&layout.pet(&namespace, &pod)) {
                let _ = cover_in(&container, layout.root(), directories);
            }
        }
    }
}

/// Lists the containers of a pet that its runner has started and that have mounts of their own.
fn containers_of(pet: &PetLayout) -> Vec<Launch> {
    let record = RunnerRecord::read(pet).ok().flatten();
    let Some(record) = record.filter(RunnerRecord::is_alive) else {
        return Vec::new();
    };
    let files = names_in(&pet.launches()).unwrap_or_default().into_iter();
    let launches = files.filter_map(|file| read_json::<Launch>(&pet.launches().join(file)).ok()?);
    // What has the pid of a container that ended is no child of the runner's.
    let runs = |pid: u32| proc::stat(pid).is_ok_and(|it| it.parent == record.runner.pid);
    launches
        .filter(|launch| runs(launch.pid) && has_own_mounts(launch.pid))
        .collect()
}

/// Covers state directories in a container, as far as it sees them, but not its own.
pub(crate) fn cover_in(container: &Launch, own: &Path, directories: &[PathBuf]) -> io::Result<()> {
    let host = mounts_of(std::process::id());
    let inner = mounts_of(container.pid);
    let others = directories.iter().filter(|it| !own.starts_with(it));
    let places: SortedSet<CoverPlace> = others
        .flat_map(|other| places_of(other, &host, &inner, container))
        .collect();
    if places.is_empty() {
        return Ok(());
    }
    let places: Vec<CoverPlace> = places.into_iter().collect();
    cover(container.pid, &places)
}

/// Lists where the mounts of a container may show a directory of the host.
fn places_of(
    directory: &Path,
    host: &[MountEntry],
    inner: &[MountEntry],
    container: &Launch,
) -> Vec<CoverPlace> {
    let Some(place) = DirectoryOnDevice::find(directory, host) else {
        return Vec::new();
    };
    let is_of_host = |mount: &MountEntry| host.iter().any(|it| it.device == mount.device);
    let on_host: Vec<PathBuf> = host.iter().filter_map(|it| place.below(it)).collect();
    let root = container.rootfs.as_deref().unwrap_or(Path::new("/"));
    let shown = |mount: &MountEntry| -> Vec<CoverPlace> {
        if let Some(path) = place.below(mount) {
            return vec![cover_place(mount, &path, Path::new(""))];
        }
        if mount.kind != "overlay" || is_of_host(mount) {
            return Vec::new();
        }
        // It was laid over the directory of the host that has its name.
        let lower = mount.point.strip_prefix("/").unwrap_or(&mount.point);
        let lower = joined(root, lower);
        let below = on_host
            .iter()
            .filter_map(|path| path.strip_prefix(&lower).ok());
        below
            .map(|rest| cover_place(mount, &mount.point, rest))
            .collect()
    };
    inner.iter().flat_map(shown).collect()
}

fn cover_place(mount: &MountEntry, path: &Path, below: &Path) -> CoverPlace {
    let text = |name: &OsStr| CString::new(name.as_bytes()).unwrap_or_default();
    CoverPlace {
        mount: mount.id,
        path: text(path.as_os_str()),
        made: below.iter().map(text).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(id: u64, device: &str, root: &str, point: &str, kind: &str) -> MountEntry {
        MountEntry {
            id,
            device: device.to_owned(),
            root: root.into(),
            point: point.into(),
            kind: kind.to_owned(),
        }
    }

    fn said(places: &[CoverPlace]) -> Vec<String> {
        let words = |place: &CoverPlace| {
            let made: Vec<_> = place.made.iter().map(|it| it.to_string_lossy()).collect();
            format!(
                "{} {} {}",
                place.mount,
                place.path.to_string_lossy(),
                made.join("/")
            )
        };
        places.iter().map(words).collect()
    }

    #[test]
    fn a_state_directory_is_found_below_every_mount_that_shows_it() {
        let host = [
            mount(1, "8:1", "/", "/", "ext4"),
            mount(2, "0:9", "/", "/srv", "overlay"),
        ];
        let inner = [
            mount(10, "0:30", "/", "/", "tmpfs"),
            mount(11, "0:31", "/", "/home", "overlay"),
            mount(12, "8:1", "/", "/host", "ext4"),
            mount(13, "8:1", "/home/me/state/volumes/v", "/data", "ext4"),
            mount(14, "0:9", "/x", "/x", "overlay"),
        ];
        let plain = Launch::default();
        let places = |path: &str, container: &Launch| {
            said(&places_of(Path::new(path), &host, &inner, container))
        };
        assert_eq!(
            places("/home/me/state", &plain),
            ["11 /home me/state", "12 /host/home/me/state "]
        );
        assert_eq!(places("/srv/x/state", &plain), ["14 /x/state "]);
        let of_image = Launch {
            rootfs: Some("/images/a".into()),
            ..Launch::default()
        };
        let expected = ["11 /home state", "12 /host/images/a/home/state "];
        assert_eq!(places("/images/a/home/state", &of_image), expected);
    }

    #[test]
    fn an_entry_counts_that_names_a_state_directory_of_who_made_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().canonicalize().unwrap();
        let own = own_ids().0;
        let entry = |user| RegistryEntry {
            path: path.clone(),
            user,
            made: (0, 0),
        };
        let none = EnteredStates::default();
        let mut entered = EnteredStates(SortedSet::from([entry(own), entry(own + 1)]));
        assert!(entered.beyond(&none).is_empty());
        fs::write(path.join("format"), "1\n").unwrap();
        let found = std::slice::from_ref(&path);
        assert_eq!(entered.beyond(&none), found);
        assert_eq!(entered.directories(|_| false), found);
        // It is known now.
        assert!(
            EnteredStates(SortedSet::from([entry(own)]))
                .beyond(&entered)
                .is_empty()
        );
    }
}
