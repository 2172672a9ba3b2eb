//! Termination messages: a file that a container may write to, read when it has ended (V53).

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::OFlags;

use crate::store;

/// The longest message of a container: longer ones lose their beginning.
const LONGEST: u64 = 4 << 10;
/// The longest messages of a pod, of which each container has its share.
const OF_POD: usize = 12 << 10;

/// Makes the empty file for the next run of a container, which any user of it may write to.
pub(super) fn begin(path: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        store::make_dir(parent)?;
    }
    // What an earlier run holds open is another file.
    store::remove(path)?;
    let mut options = OpenOptions::new();
    let file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.set_permissions(Permissions::from_mode(0o666))
}

/// Returns the end of what a container wrote, if it wrote anything. Without isolation the path may
/// have become anything else, which is not read.
pub(super) fn read(path: &Path) -> Option<String> {
    let mut options = OpenOptions::new();
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = options.custom_flags(flags.bits().cast_signed());
    let mut file = flags.read(true).open(path).ok()?;
    let length = file.metadata().ok().filter(fs::Metadata::is_file)?.len();
    let start = length.saturating_sub(LONGEST);
    let bytes = end_of(&mut file, start).ok()?;
    // A letter that was cut in two is left out.
    let torn = |byte: &&u8| start > 0 && **byte & 0b1100_0000 == 0b1000_0000;
    let torn = bytes.iter().take(3).take_while(torn).count();
    let text = String::from_utf8_lossy(&bytes[torn..]).into_owned();
    Some(text).filter(|text| !text.is_empty())
}

fn end_of(file: &mut File, start: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(start))?;
    file.take(LONGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Cuts a message to the share of one of so many containers.
pub(super) fn share(mut message: String, containers: usize) -> String {
    let most = OF_POD / containers.max(1);
    message.truncate(message.floor_char_boundary(most));
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_bytes_of_what_was_written_are_the_message() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("messages/c");
        begin(&path).unwrap();
        assert_eq!(read(&path), None);
        fs::write(&path, "no licence file\n").unwrap();
        assert_eq!(read(&path).as_deref(), Some("no licence file\n"));
        fs::write(&path, format!("{}é{}", "a".repeat(5000), "b".repeat(4095))).unwrap();
        assert_eq!(read(&path), Some("b".repeat(4095)));
        begin(&path).unwrap();
        assert_eq!(read(&path), None);
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        assert_eq!(read(&path), None);
    }

    #[test]
    fn the_containers_of_a_pod_share_twelve_kibibytes() {
        assert_eq!(share("a".repeat(4096), 3).len(), 4096);
        assert_eq!(share("a".repeat(4096), 6).len(), 2048);
        assert_eq!(share("ab".to_owned(), 60), "ab");
    }
}
