//! Giving volumes to a group, as the kubelet does for `fsGroup` (V56).

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, chmod, chownat, fstat, openat};
use serde::{Deserialize, Serialize};

use super::{PreparedVolumes, VolumeKind, VolumePath};
use crate::sys::beneath::DescriptorPath;
use crate::sys::tree::{TreeEntry, walk};

const SETGID: u32 = 0o2000;
const READ: u32 = 0o440;
const WRITE: u32 = 0o660;
const ENTER: u32 = 0o110;

/// Directories that are given to a group.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ChownJob {
    group: u32,
    keeps_what_fits: bool,
    directories: Vec<Directory>,
    /// Directories that are given to a user by themselves, without what is in them.
    #[serde(default)]
    owned: Vec<PathBuf>,
    #[serde(default)]
    owner: (u32, u32),
}

#[derive(Debug, Serialize, Deserialize)]
struct Directory {
    path: PathBuf,
    mask: u32,
    /// Whether petset wrote the files in it.
    written: bool,
}

impl PreparedVolumes {
    /// Returns the volumes to give to a group: those that petset wrote always, all others when the
    /// pod starts, and with `keeps_what_fits` only those whose top directory does not fit.
    pub(crate) fn job(&self, group: u32, begins: bool, keeps_what_fits: bool) -> ChownJob {
        let places = self.places.values().filter(|place| !place.of_host);
        let directory = |place: &VolumePath| {
            let written = place.sort == VolumeKind::Written;
            let mask = match written || place.read_only {
                true => READ,
                false => WRITE,
            };
            let path = place.path.clone();
            (written || begins).then_some(Directory {
                path,
                mask,
                written,
            })
        };
        ChownJob {
            group,
            keeps_what_fits,
            directories: places.filter_map(directory).collect(),
            owned: Vec::new(),
            owner: (0, 0),
        }
    }
}

impl ChownJob {
    /// Gives directories to a user and a group.
    pub(crate) const fn to_user(owned: Vec<PathBuf>, owner: (u32, u32)) -> Self {
        Self {
            group: owner.1,
            keeps_what_fits: true,
            directories: Vec::new(),
            owned,
            owner,
        }
    }

    /// Changes the group and mode of all files; needs the rights over them.
    pub(crate) fn give(&self) -> io::Result<()> {
        for Directory {
            path,
            mask,
            written,
        } in &self.directories
        {
            if *written || !(self.keeps_what_fits && fits(path, self.group, *mask)?) {
                give(path, self.group, *mask)?;
            }
        }
        let (uid, gid) = self.owner;
        self.owned.iter().try_for_each(|path| {
            let mode = fs::symlink_metadata(path)?.mode() & 0o7777;
            lchown(path, Some(uid), Some(gid))?;
            // Changing the owner takes bits away.
            fs::set_permissions(path, Permissions::from_mode(mode))
        })
    }
}

fn fits(path: &Path, group: u32, mask: u32) -> io::Result<bool> {
    let found = fs::metadata(path)?;
    let wanted = mask | ENTER | SETGID;
    Ok(found.gid() == group && found.mode() & wanted == wanted)
}

/// Gives a file, or a directory and everything below it, to a group. Links are not followed, also
/// where a pet puts one into the place of a file meanwhile.
fn give(path: &Path, group: u32, mask: u32) -> io::Result<()> {
    walk(path, &mut |found| match found.is_done {
        true => Ok(()),
        false => give_one(found, group, mask),
    })
}

fn give_one(found: &TreeEntry<'_>, group: u32, mask: u32) -> io::Result<()> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = openat(found.parent, found.name, flags, Mode::empty())?;
    let stat = fstat(&opened)?;
    if stat.st_gid != group {
        let group = Some(Gid::from_raw(group));
        chownat(&opened, c"", None, group, AtFlags::EMPTY_PATH)?;
    }
    let kind = FileType::from_raw_mode(stat.st_mode);
    if kind == FileType::Symlink {
        return Ok(());
    }
    let mut mode = stat.st_mode & 0o7777 | mask;
    if kind == FileType::Directory {
        mode |= ENTER | SETGID;
    }
    // Changing the group may have taken bits away.
    let path = DescriptorPath::of(&opened);
    Ok(chmod(path.as_c_str(), Mode::from_raw_mode(mode))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_gets_what_it_needs_and_links_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        fs::set_permissions(outside.path(), Permissions::from_mode(0o700)).unwrap();
        std::os::unix::fs::symlink(outside.path(), dir.path().join("link")).unwrap();
        let group = rustix::process::getegid().as_raw();
        assert!(!fits(dir.path(), group, WRITE).unwrap());
        give(dir.path(), group, WRITE).unwrap();
        assert!(fits(dir.path(), group, WRITE).unwrap());
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
        assert_eq!(mode(&file), 0o660);
        assert_eq!(mode(outside.path()), 0o700);
    }
}
