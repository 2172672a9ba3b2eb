//! The mounts that a process sees, as `/proc/<pid>/mountinfo` lists them (proc_pid_mountinfo(5)).

use std::fs;
use std::path::{Path, PathBuf};

/// The types of file systems that wait for somebody else; those of FUSE all begin alike.
const REMOTE: [&str; 10] = [
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "lustre", "nfs", "nfs4", "smb3",
];

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MountEntry {
    pub(crate) id: u64,
    /// The number of its file system.
    pub(crate) device: String,
    /// The directory of the file system that is mounted.
    pub(crate) root: PathBuf,
    /// Where it is mounted, below the root of the process.
    pub(crate) point: PathBuf,
    /// The type of its file system.
    pub(crate) kind: String,
}

impl MountEntry {
    /// Returns whether its file system waits for somebody else, and may hang.
    pub(crate) fn may_hang(&self) -> bool {
        self.kind.starts_with("fuse") || REMOTE.contains(&self.kind.as_str())
    }
}

/// Lists the mounts that a process sees, in the order in which they were made; none where that is
/// not told.
pub(crate) fn mounts_of(pid: u32) -> Vec<MountEntry> {
    let text = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
    text.lines().filter_map(parse).collect()
}

fn parse(line: &str) -> Option<MountEntry> {
    let (mount, source) = line.split_once(" - ")?;
    let mut fields = mount.split(' ');
    Some(MountEntry {
        id: fields.next()?.parse().ok()?,
        device: fields.nth(1)?.to_owned(),
        root: unescaped(fields.next()?)?,
        point: unescaped(fields.next()?)?,
        kind: source.split(' ').next()?.to_owned(),
    })
}

/// Returns a path, in which blanks are written as `\040`.
fn unescaped(text: &str) -> Option<PathBuf> {
    let mut path = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        path.push_str(&rest[..at]);
        let code = u8::from_str_radix(rest.get(at + 1..at + 4)?, 8).ok()?;
        path.push(char::from(code));
        rest = &rest[at + 4..];
    }
    path.push_str(rest);
    Some(PathBuf::from(path))
}

/// Where a directory lies in its file system, so that it is found wherever that is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DirectoryOnDevice {
    device: String,
    path: PathBuf,
}

impl DirectoryOnDevice {
    /// Finds it by the mounts that lead to it; `None` where its file system may hang.
    pub(crate) fn find(directory: &Path, mounts: &[MountEntry]) -> Option<Self> {
        let around = mounts.iter().filter(|it| directory.starts_with(&it.point));
        // Of two mounts at one place the later one is seen.
        let mount = around.max_by_key(|mount| mount.point.components().count())?;
        let rest = directory.strip_prefix(&mount.point).ok()?;
        (!mount.may_hang()).then(|| Self {
            device: mount.device.clone(),
            path: joined(&mount.root, rest),
        })
    }

    /// Returns where a mount shows it.
    pub(crate) fn below(&self, mount: &MountEntry) -> Option<PathBuf> {
        let rest = self.path.strip_prefix(&mount.root).ok()?;
        (mount.device == self.device).then(|| joined(&mount.point, rest))
    }
}

/// Joins a path that may be empty.
pub(crate) fn joined(base: &Path, rest: &Path) -> PathBuf {
    match rest.as_os_str().is_empty() {
        true => base.to_owned(),
        false => base.join(rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_point_may_hold_blanks() {
        let line = r"36 35 98:0 / /mnt/my\040disk rw,noatime - ext3 /dev/root rw";
        let mount = parse(line).unwrap();
        assert_eq!((mount.id, mount.device.as_str()), (36, "98:0"));
        assert_eq!(mount.point, Path::new("/mnt/my disk"));
        assert!(!mount.may_hang());
    }

    #[test]
    fn what_waits_for_somebody_else_may_hang() {
        let may_hang = |kind: &str| {
            let line = format!("36 35 0:9 / /m rw shared:1 - {kind} x rw");
            parse(&line).unwrap().may_hang()
        };
        for kind in ["fuse", "fuse.sshfs", "fuseblk", "nfs4", "9p", "cifs"] {
            assert!(may_hang(kind), "{kind}");
        }
        for kind in ["ext4", "overlay", "tmpfs", "proc", "autofs"] {
            assert!(!may_hang(kind), "{kind}");
        }
    }

    #[test]
    fn a_directory_is_found_wherever_its_file_system_is_mounted() {
        let text = "1 0 8:1 / / rw - ext4 a rw\n2 1 8:2 / /home rw - ext4 b rw\n\
                    3 1 8:2 /me /mnt/me rw - ext4 b rw\n4 1 8:1 /home /old rw - ext4 a rw";
        let mounts: Vec<MountEntry> = text.lines().filter_map(parse).collect();
        let state = DirectoryOnDevice::find(Path::new("/home/me/state"), &mounts).unwrap();
        let shown: Vec<PathBuf> = mounts.iter().filter_map(|it| state.below(it)).collect();
        assert_eq!(
            shown,
            [Path::new("/home/me/state"), Path::new("/mnt/me/state")]
        );
        let whole = DirectoryOnDevice::find(Path::new("/home/me"), &mounts).unwrap();
        assert_eq!(whole.below(&mounts[2]).unwrap(), Path::new("/mnt/me"));
    }
}
