//! Whose a state directory is: what somebody else has prepared is not obeyed, since whatever is
//! wanted in there runs with the rights of who opens it; and root leaves those of others alone,
//! who could not change any more what root has written.

use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::problem::{Kind, Problem, Result};
use crate::sys::{self, users};

const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;

/// Refuses a state directory that is not this user's, or that others may write to; and one that
/// root would make among somebody else's files.
pub(super) fn expect_own(root: &Path) -> Result<()> {
    let (user, group) = sys::own_ids();
    match fs::metadata(root) {
        Ok(found) if found.uid() != user => Err(foreign(root, &found)),
        Ok(found) => expect_closed(root, &found, (user, group)),
        Err(error) if error.kind() == ErrorKind::NotFound => expect_place(root, user),
        Err(error) => Err(error.into()),
    }
}

fn foreign(root: &Path, found: &Metadata) -> anyhow::Error {
    let (user, _) = sys::own_ids();
    let (owner, own) = (users::name(found.uid()), users::name(user));
    let root = root.display();
    let message = format!("state directory {root} belongs to {owner}, and you are {own}");
    let hint = match user {
        0 => format!(
            "let {owner} run the command: sudo -u {owner} petset ...; or name root's own directory \
             with --state-dir"
        ),
        _ => format!(
            "if it is yours, take it over: sudo chown -R {own} {root}; or name another with \
             --state-dir"
        ),
    };
    Problem::new(Kind::Failed, message).hint(hint).into()
}

/// A group of the user's alone may write, as with the umask 002.
fn expect_closed(root: &Path, found: &Metadata, (user, group): (u32, u32)) -> Result<()> {
    let own_group = found.gid() == group && group == user;
    let mode = found.mode();
    if mode & OTHERS_WRITE == 0 && (mode & GROUP_WRITES == 0 || own_group) {
        return Ok(());
    }
    let root = root.display();
    let mode = mode & 0o7777;
    let message = format!("other users may write to the state directory {root} (mode {mode:o})");
    let hint = format!("close it, after a look at what is in it: chmod go-w {root}");
    Err(Problem::new(Kind::Failed, message).hint(hint).into())
}

fn expect_place(root: &Path, user: u32) -> Result<()> {
    let mut above = root.ancestors().skip(1);
    let Some((place, found)) = above.find_map(|dir| Some((dir, fs::metadata(dir).ok()?))) else {
        return Ok(());
    };
    if user != 0 || found.uid() == 0 {
        return Ok(());
    }
    let (place, owner) = (place.display(), users::name(found.uid()));
    let message = format!("{place} belongs to {owner}, and root would keep its pets in it");
    let hint = format!(
        "let {owner} run the command: sudo -u {owner} petset ...; or name root's own directory with \
         --state-dir, or make this one first: mkdir -p -m 700 {}",
        root.display()
    );
    Err(Problem::new(Kind::Failed, message).hint(hint).into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_directory_that_others_may_write_to_is_refused_with_the_way_out() {
        let dir = tempfile::tempdir().unwrap();
        for (mode, good) in [
            (0o700, true),
            (0o755, true),
            (0o757, false),
            (0o1777, false),
        ] {
            fs::set_permissions(dir.path(), PermissionsExt::from_mode(mode)).unwrap();
            assert_eq!(expect_own(dir.path()).is_ok(), good, "{mode:o}");
        }
        let refused = crate::problem::report(&expect_own(dir.path()).unwrap_err());
        assert!(refused.contains("chmod go-w"), "{refused}");
        assert!(expect_own(&dir.path().join("new/one")).is_ok());
    }
}
