//! The directories below `/run` that packages make when a machine starts, as `tmpfiles.d` lists
//! them: servers expect them.

use std::fs;
use std::path::{Path, PathBuf};

use super::{RootfsPlan, inside};
use crate::runner::isolation::step::MountStep;

const LISTS: [&str; 2] = ["/usr/lib/tmpfiles.d", "/etc/tmpfiles.d"];

/// A line of `tmpfiles.d` that asks for a directory.
#[derive(Debug, PartialEq, Eq)]
struct TmpfilesEntry<'a> {
    path: PathBuf,
    mode: u32,
    user: &'a str,
    group: &'a str,
}

impl RootfsPlan<'_> {
    /// Makes the directories that packages want below `/run`.
    pub(super) fn make_run_dirs(&mut self) {
        let read = |path: &str| fs::read_to_string(self.on_host(Path::new(path)));
        let users = read("/etc/passwd").unwrap_or_default();
        let groups = read("/etc/group").unwrap_or_default();
        let lists = LISTS.map(|list| self.entries(Path::new(list)));
        for list in lists.into_iter().flatten() {
            let Ok(text) = fs::read_to_string(self.on_host(&list)) else {
                continue;
            };
            for entry in text.lines().filter_map(parse) {
                let owner = number(&users, entry.user).zip(number(&groups, entry.group));
                self.make_run_dir(&entry, owner);
            }
        }
    }

    fn make_run_dir(&mut self, entry: &TmpfilesEntry<'_>, owner: Option<(u32, u32)>) {
        if self.made.contains(&entry.path) {
            return;
        }
        if let Some(parent) = entry.path.parent() {
            self.make_dir(parent);
        }
        self.made.insert(entry.path.clone());
        let owner = owner.filter(|owner| self.can_own(*owner));
        let (at, mode) = (inside(&entry.path), entry.mode);
        self.base.push(MountStep::Dir { at, mode, owner });
    }
}

/// Reads a line that asks for a directory below `/run` and knows its name for sure.
fn parse(line: &str) -> Option<TmpfilesEntry<'_>> {
    let mut words = line.split_ascii_whitespace();
    let (kind, path) = (words.next()?, words.next()?);
    let path = path.strip_prefix("/var").unwrap_or(path);
    let plain = path.starts_with("/run/") && !path.contains('%') && !path.contains("..");
    // Some look there to learn whether systemd runs.
    let of_systemd = ["/run/systemd", "/run/user", "/run/log"];
    let plain = plain && !of_systemd.iter().any(|own| path.starts_with(own));
    if !plain || !kind.starts_with(['d', 'D']) {
        return None;
    }
    let mut word = || words.next().filter(|word| *word != "-");
    let mode = word().unwrap_or("0755");
    Some(TmpfilesEntry {
        path: Path::new(path).components().collect(),
        mode: u32::from_str_radix(mode.trim_start_matches(['~', ':']), 8).ok()?,
        user: word().unwrap_or("root"),
        group: word().unwrap_or("root"),
    })
}

/// Returns the number that `/etc/passwd` or `/etc/group` gives a name.
fn number(list: &str, name: &str) -> Option<u32> {
    let number = |line: &str| {
        let mut fields = line.split(':');
        let found = fields.next() == Some(name);
        found.then(|| fields.nth(1)?.parse().ok()).flatten()
    };
    name.parse().ok().or_else(|| list.lines().find_map(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_below_run_is_understood_and_all_else_is_left_alone() {
        let entry = parse("d /var/run/postgresql 2775 postgres postgres - -").unwrap();
        assert_eq!(entry.path, Path::new("/run/postgresql"));
        assert_eq!((entry.mode, entry.user), (0o2775, "postgres"));
        for line in [
            "# d /run/x",
            "d /tmp 1777 root root",
            "L /run/x - - - - /y",
            "d /run/%u",
            "d /run/systemd/x",
        ] {
            assert_eq!(parse(line), None, "{line}");
        }
        assert_eq!(parse("d /run/x").unwrap().mode, 0o755);
    }

    #[test]
    fn a_name_is_looked_up_and_a_number_is_itself() {
        let list = "root:x:0:0::/root:/bin/sh\ndb:x:104:112::/:/bin/sh\n";
        assert_eq!(number(list, "db"), Some(104));
        assert_eq!(number(list, "7"), Some(7));
        assert_eq!(number(list, "nobody"), None);
    }
}
