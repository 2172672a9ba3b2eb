//! The state directories in a container: of its own the view that is made for pets, of others
//! nothing.

use std::ffi::{CStr, CString};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{PRIVATE, RootfsPlan, bind, empty_file, entries, inside, plain_dir};
use crate::runner::isolation::step::{MountStep, c_path};
use crate::sys::mounts::joined;

impl RootfsPlan<'_> {
    /// Covers the state directory with a directory of the pet's own.
    pub(super) fn cover_state(&mut self) {
        let state = self.spec.state;
        if self.spec.other_user {
            self.let_through(state);
        }
        match self.is_shown(state) {
            true => self.cover(state, c"s"),
            false => self.make_dir(state),
        }
        for name in ["wanted", "seen", "pets"] {
            let at = state.join(name);
            self.top.push(plain_dir(inside(&at), 0o755));
            self.top
                .push(bind(&state.join("view").join(name), &at, true));
        }
        let settings = state.join("petset.toml");
        for (from, at) in [
            (state.join("view/format"), state.join("format")),
            (settings.clone(), settings),
        ] {
            if from.is_file() {
                self.top.push(empty_file(inside(&at)));
                self.top.push(bind(&from, &at, true));
            }
        }
        self.show_programs();
    }

    /// Lets every user pass through the directories above a path: one that only its owner may enter
    /// shows nothing but the next, since the container's user is not its owner.
    fn let_through(&mut self, path: &Path) {
        let mut above: Vec<&Path> = path.ancestors().skip(1).collect();
        above.reverse();
        for path in above {
            let Some(found) = self.visible(path) else {
                continue;
            };
            if found.mode() & 0o001 != 0 || self.layer_of(path).is_none() {
                continue;
            }
            let at = self.place(path);
            let (mode, owner) = (found.mode() & 0o7777 | 0o111, self.owner(&found));
            self.made.insert(path.to_owned());
            self.layers.push(MountStep::Dir {
                at: at.clone(),
                mode,
                owner,
            });
            self.layers.push(MountStep::Mode { at, mode });
            self.hide(path);
        }
    }

    /// Covers other state directories, and this one by its other names, as far as they would be
    /// seen.
    pub(super) fn cover_others(&mut self) {
        let own = self.spec.state;
        for state in self.states.clone() {
            let Ok(below) = state.strip_prefix(self.spec.root) else {
                continue;
            };
            let path = Path::new("/").join(below);
            let around = own.starts_with(&path);
            if !around && !path.starts_with(own) && self.is_shown(&path) {
                self.hide_state(&path);
            }
        }
    }

    /// Covers the state directories in a directory of the host that is shown in another place.
    pub(super) fn cover_within(&mut self, from: &Path, at: &Path) {
        let Ok(from) = from.canonicalize() else {
            return;
        };
        for state in self.states.clone() {
            if let Ok(below) = state.strip_prefix(&from) {
                self.hide_state(&joined(at, below));
            }
        }
    }

    /// Mounts an empty directory over another state directory.
    fn hide_state(&mut self, at: &Path) {
        self.layers.push(plain_dir(c"o".to_owned(), 0o755));
        self.top.push(MountStep::Cover {
            by: c"o".to_owned(),
            at: inside(at),
        });
    }

    /// Covers the sockets of the host that are there now, where directories are shown as they are:
    /// a socket under an overlay cannot be connected to.
    pub(super) fn cover_sockets(&mut self) {
        let bound = self.bound.iter();
        let seen: Vec<CString> = bound.flat_map(|top| self.sockets_below(top)).collect();
        self.shown
            .extend(seen.into_iter().map(|at| MountStep::Cover {
                by: c"/dev/null".to_owned(),
                at,
            }));
    }

    /// Lists where in the staging directory the sockets below a path will be seen.
    pub(super) fn sockets_below<'a>(&'a self, top: &'a Path) -> impl Iterator<Item = CString> + 'a {
        let below = self.sockets.iter().filter(move |it| it.starts_with(top));
        below.map(|socket| inside(socket))
    }

    /// Covers the state directory with a directory of its own.
    fn cover(&mut self, path: &Path, by: &CStr) {
        self.layers.push(plain_dir(by.to_owned(), 0o755));
        self.top.push(MountStep::Bind {
            from: by.to_owned(),
            beneath: None,
            at: inside(path),
            read_only: false,
        });
    }

    /// Returns whether the pet sees a directory of the host.
    fn is_shown(&self, path: &Path) -> bool {
        let bound = self.bound.iter().any(|top| path.starts_with(top));
        let seen = bound || self.visible(path).is_some();
        let private = PRIVATE.iter().any(|private| path.starts_with(private));
        seen && !private && self.on_host(path).is_dir()
    }

    /// Puts this program where the state directory has links to it.
    fn show_programs(&mut self) {
        let bin = self.spec.state.join("bin");
        let program = bin.join("petset");
        self.top.push(plain_dir(inside(&bin), 0o755));
        self.top.push(empty_file(inside(&program)));
        self.top.push(bind(self.spec.program, &program, true));
        for link in entries(&bin).into_iter().filter(|link| *link != program) {
            let (at, to) = (inside(&link), c_path("petset"));
            self.top.push(MountStep::Link { at, to });
        }
    }
}
