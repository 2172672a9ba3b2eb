//! Reading records that may be damaged, and putting those that are out of the way.

use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::damage::{cause, is_damage, set_aside};
use super::files::read_json;

/// A file that could not be read, and was put out of the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Damaged {
    pub(crate) path: PathBuf,
    /// Where what is left of it is kept.
    pub(crate) kept: PathBuf,
    pub(crate) why: String,
}

impl Damaged {
    /// Returns the sentence for users.
    pub(crate) fn words(&self) -> String {
        let Self { path, kept, why } = self;
        let (path, kept) = (path.display(), kept.display());
        format!("{path} was damaged ({why}); what is left of it is kept as {kept}")
    }
}

/// Reads a record that `is_whole`. A damaged one reads as none: it is put out of the way, and noted
/// in `lost`.
pub(crate) fn salvage<T: DeserializeOwned>(
    path: &Path,
    lost: &mut Vec<Damaged>,
    is_whole: impl FnOnce(&T) -> bool,
) -> io::Result<Option<T>> {
    let why = match read_json::<T>(path) {
        Ok(Some(record)) if !is_whole(&record) => "it is not complete".to_owned(),
        Err(error) if is_damage(&error) => cause(&error),
        read => return read,
    };
    let (path, kept) = (path.to_owned(), set_aside(path)?);
    lost.push(Damaged { path, kept, why });
    Ok(None)
}

/// Reads a record that its writer will write again: a damaged one reads as none.
pub(crate) fn read_if_whole<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match read_json(path) {
        Err(error) if is_damage(&error) => Ok(None),
        read => read,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::store::damage::is_kept_aside;

    #[test]
    fn a_damaged_record_reads_as_none_and_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("web.json");
        let mut lost = Vec::new();
        let salvage = |lost: &mut Vec<_>| salvage::<Vec<u8>>(&path, lost, |it| !it.is_empty());
        assert_eq!(salvage(&mut lost).unwrap(), None);
        for damage in ["", "[1,", "\u{0}\u{1}", "[]"] {
            fs::write(&path, damage).unwrap();
            assert_eq!(salvage(&mut lost).unwrap(), None, "{damage:?}");
        }
        fs::write(&path, b"\xff\xfe").unwrap();
        assert_eq!(salvage(&mut lost).unwrap(), None);
        fs::create_dir(&path).unwrap();
        assert_eq!(salvage(&mut lost).unwrap(), None);
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, 0o600.into()).unwrap();
        assert_eq!(salvage(&mut lost).unwrap(), None);
        assert_eq!(lost.len(), 7);
        let kept = |it: &Damaged| fs::symlink_metadata(&it.kept).is_ok();
        assert!(lost.iter().all(kept));
        let named = |it: &Damaged| is_kept_aside(&it.kept.file_name().unwrap().to_string_lossy());
        assert!(lost.iter().all(named));
        assert!(lost[0].words().contains("EOF while parsing"), "{lost:?}");
        fs::write(&path, "[1]").unwrap();
        assert_eq!(salvage(&mut lost).unwrap(), Some(vec![1]));
    }
}
