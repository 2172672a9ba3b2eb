//! Mount points: where they are made in the root or a layer, and what exists there already.

use std::ffi::{CStr, CString, OsString};
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use super::{PRIVATE, RootfsPlan, empty_file, entries, inside, is_open, plain_dir};
use crate::runner::isolation::step::{MountStep, c_path};

const MOST_LINKS: u32 = 40;

impl RootfsPlan<'_> {
    /// Returns the host's path of what the pet sees at `path`.
    pub(super) fn on_host(&self, path: &Path) -> PathBuf {
        self.spec.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Lists the host's entries of a directory, by the paths that the pet sees.
    pub(super) fn entries(&self, path: &Path) -> Vec<PathBuf> {
        let all = entries(&self.on_host(path)).into_iter();
        all.filter_map(|entry| Some(path.join(entry.file_name()?)))
            .collect()
    }

    /// Makes something to mount on, unless it is there.
    pub(super) fn make_mount_point(&mut self, path: &Path, is_dir: bool) {
        let there = self.visible(path);
        if is_dir && there.as_ref().is_none_or(Metadata::is_dir) {
            return self.make_dir(path);
        }
        if there.is_some_and(|there| there.is_dir() == is_dir) || self.made.contains(path) {
            return;
        }
        if let Some(parent) = path.parent() {
            self.make_layers(parent);
        }
        let at = self.place(path);
        let step = match is_dir {
            true => plain_dir(at, 0o755),
            false => empty_file(at),
        };
        self.made.insert(path.to_owned());
        self.hidden.insert(path.to_owned());
        match self.layer_of(path) {
            Some(_) => self.layers.push(step),
            None => self.base.push(step),
        }
    }

    /// Makes a directory and those above it, as far as they are missing. The path has no links.
    pub(super) fn make_dir(&mut self, path: &Path) {
        if self.made.contains(path) || self.visible(path).is_some_and(|found| found.is_dir()) {
            return;
        }
        self.make_layers(path);
    }

    /// Makes a directory and those above it where the pet's own files lie: in the upper layer too
    /// if the host has them.
    fn make_layers(&mut self, path: &Path) {
        let mut above: Vec<&Path> = path.ancestors().collect();
        above.reverse();
        for path in above {
            match self.layer_of(path) {
                Some(number) if self.overlays[number] == path => {}
                Some(_) => self.copy_dir(path),
                None if self.made.contains(path) => {}
                None => {
                    self.made.insert(path.to_owned());
                    self.base.push(plain_dir(inside(path), 0o755));
                }
            }
        }
    }

    /// Makes a directory in the upper layer, as the host has it; one that the user may not look
    /// into is empty.
    pub(super) fn copy_dir(&mut self, path: &Path) {
        if !self.made.insert(path.to_owned()) {
            return;
        }
        let there = self.visible(path).filter(Metadata::is_dir);
        let (mut mode, mut owner) = (0o755, None);
        if let Some(found) = &there {
            mode = found.mode() & 0o7777 | 0o700;
            owner = self.owner(found);
        }
        let at = self.place(path);
        self.layers.push(MountStep::Dir { at, mode, owner });
        if there.is_some() && !is_open(&self.on_host(path)) {
            self.hide(path);
        }
    }

    pub(super) fn hide(&mut self, path: &Path) {
        if self.hidden.insert(path.to_owned()) {
            let mark: &CStr = match self.spec.ordinary {
                true => c"user.overlay.opaque",
                false => c"trusted.overlay.opaque",
            };
            let at = self.place(path);
            self.layers.push(MountStep::Opaque { at, mark });
        }
    }

    /// Returns the host's metadata of a path, if the pet sees it too.
    pub(super) fn visible(&self, path: &Path) -> Option<Metadata> {
        self.layer_of(path)?;
        let hidden = path.ancestors().any(|above| self.hidden.contains(above));
        fs::symlink_metadata(self.on_host(path))
            .ok()
            .filter(|_| !hidden)
    }

    /// Returns the number of the overlay that a path lies in.
    pub(super) fn layer_of(&self, path: &Path) -> Option<usize> {
        self.overlays.iter().position(|top| path.starts_with(top))
    }

    /// Returns where something has to be made so that the pet sees it at `path`.
    pub(super) fn place(&self, path: &Path) -> CString {
        match self.layer_of(path) {
            Some(number) => {
                let rest = path.strip_prefix(&self.overlays[number]);
                c_path(
                    Path::new("u")
                        .join(number.to_string())
                        .join(rest.unwrap_or(path)),
                )
            }
            None => inside(path),
        }
    }

    /// Follows the links in a path as the pet will see them.
    pub(super) fn resolve(&self, path: &Path) -> PathBuf {
        let mut left: Vec<OsString> = reversed(path);
        let mut at = PathBuf::from("/");
        let mut links = 0;
        while let Some(part) = left.pop() {
            if part == ".." {
                at.pop();
                continue;
            }
            let next = at.join(part);
            let private = PRIVATE.iter().any(|private| next.starts_with(private));
            match fs::read_link(self.on_host(&next)) {
                Ok(to) if !private && links < MOST_LINKS => {
                    links += 1;
                    if to.is_absolute() {
                        at = PathBuf::from("/");
                    }
                    left.extend(reversed(&to));
                }
                Ok(_) | Err(_) => at = next,
            }
        }
        at
    }
}

fn reversed(path: &Path) -> Vec<OsString> {
    let parts = path.components().rev();
    let named = parts.filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
    named.map(|part| part.as_os_str().to_owned()).collect()
}
