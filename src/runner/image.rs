//! What an image brings along beside its command: scripts, applets, files, empty directories and a
//! shell.
//!
//! With isolation they are mounted, unless a volume of the manifest is there. Without, scripts are
//! found by PATH and the shell by its name; files and directories are the host's.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Container;

use super::applets;
use crate::model::image::ImageLaunch as Image;
use crate::problem::Problem;
use crate::store::{self, Mount, make_dir};

/// Where a container finds the scripts of its image.
const BIN: &str = "/run/petset/bin";
/// Where a container finds the programs that the shell of its image is under other names.
const APPLETS: &str = "/run/petset/applets";
/// The variable that says whether an image's files are at their own paths (`full`) or not.
const LEVEL_VARIABLE: &str = "PETSET_ISOLATION";
/// The volume name of an image's mounts.
pub(super) const IMAGE_VOLUME: &str = "(image)";

/// Writes the files of an image below `place`, anew for each run; returns its mounts.
///
/// Programs of its shell are links that are made once below `shared`, for all pods.
pub(super) fn unpack(
    image: &mut Image,
    container: &Container,
    (place, shared): (&Path, &Path),
    full: bool,
) -> Result<Vec<Mount>, Problem> {
    let level = if full { "full" } else { "none" };
    image
        .env
        .push((LEVEL_VARIABLE.to_owned(), level.to_owned()));
    let mut unpacking = Unpacking {
        place,
        shared,
        container,
        mounts: Vec::new(),
    };
    let done = unpacking.clear().and_then(|()| {
        unpacking.scripts(image, full)?;
        if full {
            unpacking.directories(image)?;
            unpacking.files(image)?;
        } else {
            unpacking.entrypoint(image)?;
        }
        Ok(())
    });
    done.map_err(|error| format!("{}: {error}", place.display()))?;
    unpacking.shell(image, full);
    Ok(unpacking.mounts)
}

struct Unpacking<'a> {
    place: &'a Path,
    shared: &'a Path,
    container: &'a Container,
    mounts: Vec<Mount>,
}

impl Unpacking<'_> {
    /// Removes what an earlier run has left: an image begins anew with each container.
    fn clear(&self) -> io::Result<()> {
        store::remove_tree(self.place)
    }

    fn scripts(&mut self, image: &mut Image, full: bool) -> io::Result<()> {
        let shell = image.shell.clone().unwrap_or_default();
        let own = image.bin.iter().map(|(name, _)| name);
        let own: Vec<&String> = own.collect();
        let applets = image.applets.iter().filter(|name| !own.contains(name));
        let applets: Vec<&String> = applets.collect();
        if !applets.is_empty() {
            let links = applets::provide(self.shared, &shell, &applets)?;
            if full {
                self.mount(Path::new(APPLETS), links, true);
                image.path.insert(0, PathBuf::from(APPLETS));
            } else {
                image.path.insert(0, links);
            }
        }
        if image.bin.is_empty() {
            return Ok(());
        }
        let bin = self.make(Path::new("bin"), 0o755)?;
        for (name, text) in &image.bin {
            write(&bin.join(name), text)?;
        }
        if full {
            self.mount(Path::new(BIN), bin, true);
            image.path.insert(0, PathBuf::from(BIN));
        } else {
            image.path.insert(0, bin);
        }
        Ok(())
    }

    fn directories(&mut self, image: &Image) -> io::Result<()> {
        for (number, path) in image.data.iter().enumerate() {
            if !self.is_covered(path) {
                // A directory for sockets is open to every user, with the bits that images give it.
                let mode = if is_below_run(path) { 0o3777 } else { 0o777 };
                let made = self.make(&Path::new("data").join(number.to_string()), mode)?;
                self.mount(Path::new(path), made, false);
            }
        }
        Ok(())
    }

    fn files(&mut self, image: &Image) -> io::Result<()> {
        for (number, (path, text)) in image.files.iter().enumerate() {
            if !self.is_covered(path) {
                let file = self
                    .make(Path::new("files"), 0o755)?
                    .join(number.to_string());
                write(&file, text)?;
                self.mount(Path::new(path), file, false);
            }
        }
        Ok(())
    }

    /// Writes the file that the image itself starts, which has no place of its own here.
    fn entrypoint(&self, image: &mut Image) -> io::Result<()> {
        for (at, word) in image.argv.iter_mut().enumerate() {
            let own = image.files.iter().find(|(path, _)| path == word);
            if let Some((path, text)) = own.filter(|_| !image.typed.contains(&at)) {
                let name = Path::new(path).file_name().unwrap_or_default();
                let file = self.make(Path::new("files"), 0o755)?.join(name);
                write(&file, text)?;
                *word = file.display().to_string();
            }
        }
        Ok(())
    }

    fn shell(&mut self, image: &mut Image, full: bool) {
        let Some(shell) = &image.shell else {
            return;
        };
        if full {
            self.mount(Path::new("/bin/sh"), shell.clone(), true);
            return;
        }
        let asked = image.argv.first().map(String::as_str);
        if image.typed.contains(&0) && matches!(asked, Some("sh" | "/bin/sh")) {
            image.argv[0] = shell.display().to_string();
            if shell.file_name() == Some("busybox".as_ref()) {
                // Its name, or else its first argument, selects one of its programs.
                image.argv.insert(1, "sh".to_owned());
                image.typed.end += 1;
            }
        }
    }

    /// Returns whether a volume of the manifest is at a path or above it.
    fn is_covered(&self, path: &str) -> bool {
        let mounts = self.container.volume_mounts.iter().flatten();
        let mut places = mounts.map(|mount| Path::new("/").join(&mount.mount_path));
        places.any(|place| Path::new(path).starts_with(place))
    }

    /// Makes a directory that is open to servers which drop to a user of their own.
    fn make(&self, below: &Path, mode: u32) -> io::Result<PathBuf> {
        let path = self.place.join(below);
        make_dir(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(mode))?;
        Ok(path)
    }

    fn mount(&mut self, at: &Path, path: PathBuf, read_only: bool) {
        self.mounts.push(Mount {
            volume: IMAGE_VOLUME.to_owned(),
            mount_path: at.display().to_string(),
            path,
            read_only,
            within: None,
        });
    }
}

fn is_below_run(path: &str) -> bool {
    ["/run", "/var/run"]
        .iter()
        .any(|run| Path::new(path).starts_with(run))
}

/// Lists the directories of an image that its programs write to.
pub(super) fn data_directories(mounts: &[Mount]) -> Vec<PathBuf> {
    let own = mounts
        .iter()
        .filter(|it| it.volume == IMAGE_VOLUME && !it.read_only);
    let directories = own.filter(|it| it.path.is_dir());
    directories.map(|it| it.path.clone()).collect()
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    fs::write(path, text)?;
    let mode = if text.starts_with("#!") { 0o755 } else { 0o644 };
    fs::set_permissions(path, Permissions::from_mode(mode))
}
