//! The home directory of the user who runs petset.

use std::env;
use std::fs;
use std::path::PathBuf;

use super::own_ids;

/// Returns `$HOME`, or what `/etc/passwd` says where that is missing or relative: a relative one
/// would mean another directory in every working directory.
pub(crate) fn home() -> Option<PathBuf> {
    let named = env::var_os("HOME").map(PathBuf::from);
    let listed = || {
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        home_in(&passwd, own_ids().0)
    };
    named.filter(|home| home.is_absolute()).or_else(listed)
}

fn home_in(passwd: &str, uid: u32) -> Option<PathBuf> {
    let mut lines = passwd.lines().map(|line| line.split(':'));
    let home = lines.find_map(|mut fields| {
        let own = fields.nth(2)?.parse() == Ok(uid);
        own.then(|| fields.nth(2).map(PathBuf::from))?
    });
    home.filter(|home| home.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_home_of_a_user_is_the_sixth_field_of_their_line() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nme:x:1000:1000:Me:/home/me:/bin/sh\nodd:x:7\n";
        assert_eq!(home_in(passwd, 1000), Some(PathBuf::from("/home/me")));
        assert_eq!(home_in(passwd, 0), Some(PathBuf::from("/root")));
        assert_eq!((home_in(passwd, 7), home_in(passwd, 8)), (None, None));
    }
}
