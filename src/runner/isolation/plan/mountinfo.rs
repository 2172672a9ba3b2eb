//! The mount points of the host, from `/proc/self/mountinfo`.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

/// Returns the mount points of this process's mount namespace.
pub(super) fn mount_points() -> BTreeSet<PathBuf> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    text.lines().filter_map(mount_point).collect()
}

/// Takes the mount point out of a line of mountinfo, in which blanks are written as `\040`.
fn mount_point(line: &str) -> Option<PathBuf> {
    let point = line.split(' ').nth(4)?;
    let mut path = String::new();
    let mut rest = point;
    while let Some(at) = rest.find('\\') {
        path.push_str(&rest[..at]);
        let code = u8::from_str_radix(rest.get(at + 1..at + 4)?, 8).ok()?;
        path.push(char::from(code));
        rest = &rest[at + 4..];
    }
    path.push_str(rest);
    Some(PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_point_may_hold_blanks() {
        let line = r"36 35 98:0 / /mnt/my\040disk rw,noatime - ext3 /dev/root rw";
        assert_eq!(mount_point(line), Some(PathBuf::from("/mnt/my disk")));
    }
}
