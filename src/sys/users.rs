//! User namespaces of an ordinary user, with other users and groups in them where the user has
//! subordinate ids: `/etc/subuid` and `/etc/subgid` grant them, `newuidmap` and `newgidmap` map
//! them.
//!
//! In such a namespace the user keeps their id, and every other id up to the size of the grant is
//! a subordinate id of the host. The user who made it has all rights over its processes from
//! outside too: signals, `/proc` and the namespaces' files work as ever; only files that belong
//! to a subordinate id do not, and need a process inside.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::net::SendFlags;
use rustix::process::{Pid, Signal, WaitOptions, waitpid};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::{Fork, NamespaceFlags, exit_now, fork, is_ordinary, link, nested, own_ids};

/// The most ids that are mapped: enough for 65534, which is nobody.
const MOST: u32 = 65_536;
/// The first id that distributions grant.
const FIRST: u32 = 100_000;
const GRANTS: [&str; 2] = ["/etc/subuid", "/etc/subgid"];
const TOOLS: [&str; 2] = ["newuidmap", "newgidmap"];
const MAPS: [&str; 2] = ["uid_map", "gid_map"];

/// Ids that a user was granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grant {
    first: u32,
    pub(crate) count: u32,
}

/// Why no subordinate ids can be mapped, and the way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lack {
    pub(crate) why: String,
    pub(crate) way_out: String,
}

/// Returns the subordinate uids and gids of this user, if those can be mapped.
pub(crate) fn grants() -> Result<[Grant; 2], Lack> {
    let (uid, _) = own_ids();
    let name = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = name_of(&name, uid).unwrap_or_else(|| uid.to_string());
    let lists = GRANTS.map(|path| fs::read_to_string(path).unwrap_or_default());
    let [users, groups] = lists.each_ref().map(|list| granted(list, &name, uid));
    let (Some(users), Some(groups)) = (users, groups) else {
        let first = lists.iter().map(|list| first_free(list)).max();
        let first = first.unwrap_or(FIRST);
        let range = format!("{first}-{}", first + MOST - 1);
        return Err(Lack {
            why: format!("{name} has no subordinate ids in /etc/subuid and /etc/subgid"),
            way_out: format!(
                "apt install uidmap; usermod --add-subuids {range} --add-subgids {range} {name}"
            ),
        });
    };
    match TOOLS.into_iter().find(|tool| on_path(tool).is_none()) {
        Some(tool) => Err(Lack {
            why: format!("{tool} is not installed"),
            way_out: "apt install uidmap, or the package of that tool".to_owned(),
        }),
        None => Ok([users, groups]),
    }
}

/// Returns the name of a user, or the number where they have none.
pub(crate) fn name(uid: u32) -> String {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    name_of(&passwd, uid).unwrap_or_else(|| format!("user {uid}"))
}

fn name_of(passwd: &str, uid: u32) -> Option<String> {
    let mut lines = passwd.lines().map(|line| line.split(':'));
    lines.find_map(|mut fields| {
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

/// Finds the largest grant in a list: `name:first:count`, by name or number.
fn granted(list: &str, name: &str, uid: u32) -> Option<Grant> {
    let grant = |line: &str| {
        let mut fields = line.trim().split(':');
        let whose = fields.next()?;
        let first = fields.next()?.parse().ok()?;
        let count: u32 = fields.next()?.parse().ok()?;
        let count = count.min(MOST);
        let own = whose == name || whose.parse() == Ok(uid);
        (own && count > 0).then_some(Grant { first, count })
    };
    list.lines().filter_map(grant).max_by_key(|it| it.count)
}

/// Returns the first id after all grants: two users must not share any.
fn first_free(list: &str) -> u32 {
    let end = |line: &str| {
        let mut fields = line.trim().split(':').skip(1);
        let first: u32 = fields.next()?.parse().ok()?;
        first.checked_add(fields.next()?.parse().ok()?)
    };
    let ends = list.lines().filter_map(end).max();
    let end = ends.unwrap_or(FIRST).max(FIRST);
    end.min(u32::MAX - MOST)
}

fn on_path(tool: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/bin")]);
    folders
        .map(|folder| folder.join(tool))
        .find(|it| it.is_file())
}

impl Grant {
    /// Lists the map as the tools take it: first id inside, first id outside, count.
    fn map(self, own: u32) -> Vec<[u32; 3]> {
        let below = own.min(self.count);
        let above = (own.saturating_add(1)).min(self.count);
        let all = [
            [0, self.first, below],
            [own, own, 1],
            [above, self.first + above, self.count - above],
        ];
        all.into_iter().filter(|[.., count]| *count > 0).collect()
    }
}

/// Makes a user namespace in which the user keeps their ids, with all others that can be mapped.
pub(crate) fn make() -> io::Result<OwnedFd> {
    if let Ok(grants) = grants()
        && let Ok(space) = make_with(grants)
    {
        return Ok(space);
    }
    let (uid, gid) = own_ids();
    make_by(|of| {
        fs::write(of.join("setgroups"), "deny")?;
        fs::write(of.join("uid_map"), format!("{uid} {uid} 1\n"))?;
        fs::write(of.join("gid_map"), format!("{gid} {gid} 1\n"))
    })
}

/// Makes a user namespace in which all ids are those outside: its processes own what they own
/// outside, and have rights over nothing but what belongs to the namespace.
pub(crate) fn make_identical() -> io::Result<OwnedFd> {
    let maps = MAPS.map(|map| fs::read_to_string(format!("/proc/self/{map}")));
    make_by(|of| {
        for (map, text) in MAPS.iter().zip(&maps) {
            let text = text.as_deref().unwrap_or_default();
            fs::write(of.join(map), identical(text))?;
        }
        Ok(())
    })
}

/// Makes a user namespace in which the granted ids are mapped.
pub(crate) fn make_with(grants: [Grant; 2]) -> io::Result<OwnedFd> {
    let (uid, gid) = own_ids();
    make_by(|of| {
        for ((tool, grant), own) in TOOLS.into_iter().zip(grants).zip([uid, gid]) {
            let program = on_path(tool).ok_or(io::ErrorKind::NotFound)?;
            let pid = of.file_name().unwrap_or_default();
            let map = grant.map(own).concat();
            let mut command = Command::new(program);
            let words = map.iter().map(u32::to_string);
            let output = command.arg(pid).args(words).output()?;
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr);
                return Err(io::Error::other(said.trim().to_owned()));
            }
        }
        Ok(())
    })
}

/// Makes a user namespace whose maps are written by `map`, which is told the directory below
/// `/proc` of a process in it; and within that one another, which has the same ids, as far as the
/// machine lets it.
fn make_by(map: impl Fn(&Path) -> io::Result<()>) -> io::Result<OwnedFd> {
    let how = Fork {
        namespaces: NamespaceFlags::NEWUSER,
        sibling: false,
    };
    let (link, theirs) = link()?;
    let parent = Some(rustix::process::getpid());
    let Some(pid) = fork(how)? else {
        let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
        // It may have died before, and nothing that it held is to be held for longer.
        if rustix::process::getppid() != parent {
            exit_now(1)
        }
        nested::serve(theirs.as_fd())
    };
    drop(theirs);
    let of = Path::new("/proc").join(pid.to_string());
    let made = map(&of).and_then(|()| {
        let outer = File::open(of.join("ns/user"))?.into();
        let identical = |map: &str| fs::read_to_string(of.join(map)).map(|map| identical(&map));
        let [users, groups] = MAPS.map(identical);
        let inner = nested::ask(&link, &[users?, groups?])?;
        Ok(inner.unwrap_or(outer))
    });
    let _ = rustix::net::send(&link, b".", SendFlags::NOSIGNAL);
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        while waitpid(Some(pid), WaitOptions::empty()).err() == Some(rustix::io::Errno::INTR) {}
    }
    made
}

/// Returns the map that maps the ids inside of another one to themselves.
fn identical(map: &str) -> String {
    let lines = read_map(map).into_iter();
    lines
        .map(|(first, count)| format!("{first} {first} {count}\n"))
        .collect()
}

/// Enters such a namespace: this process, which must have one thread only, has all rights over
/// the ids that are mapped there.
pub(crate) fn enter(space: &OwnedFd) -> io::Result<()> {
    move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::User)).map_err(Into::into)
}

/// The ids that a user namespace maps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IdMap {
    users: Vec<(u32, u32)>,
    groups: Vec<(u32, u32)>,
}

impl IdMap {
    /// Reads the maps of a process's user namespace.
    pub(crate) fn of_process(pid: u32) -> Self {
        let [users, groups] = MAPS.map(|map| {
            let text = fs::read_to_string(format!("/proc/{pid}/{map}"));
            text.unwrap_or_default()
        });
        Self::read(&users, &groups)
    }

    /// Reads the texts of such maps.
    pub(crate) fn read(users: &str, groups: &str) -> Self {
        let [users, groups] = [users, groups].map(read_map);
        Self { users, groups }
    }

    pub(crate) fn has_user(&self, uid: u32) -> bool {
        has(&self.users, uid)
    }

    pub(crate) fn has_group(&self, gid: u32) -> bool {
        has(&self.groups, gid)
    }

    /// Returns whether it maps any ids beside those of the user who made the namespace.
    pub(crate) fn has_others(&self) -> bool {
        let count = |map: &[(u32, u32)]| map.iter().map(|it| u64::from(it.1)).sum::<u64>();
        count(&self.users) > 1 && count(&self.groups) > 1
    }
}

fn read_map(text: &str) -> Vec<(u32, u32)> {
    let line = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let first = fields.next()?.parse().ok()?;
        Some((first, fields.nth(1)?.parse().ok()?))
    };
    text.lines().filter_map(line).collect()
}

fn has(map: &[(u32, u32)], id: u32) -> bool {
    map.iter()
        .any(|(first, count)| id.checked_sub(*first).is_some_and(|it| it < *count))
}

/// Returns whether files may belong to subordinate ids of this user.
pub(crate) fn has_subordinates() -> bool {
    is_ordinary() && grants().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_grant_counts_by_name_or_number() {
        let list = "other:1:9\nme:100000:1000\n1000:200000:70000\nme:x:5\n";
        let (first, count) = (200_000, MOST);
        assert_eq!(granted(list, "me", 1000), Some(Grant { first, count }));
        assert_eq!(granted(list, "you", 7), None);
        assert_eq!(first_free(list), 270_000);
        assert_eq!(first_free(""), FIRST);
        let passwd = "root:x:0:0::/:/bin/sh\nme:x:1000:1000::/:/bin/sh\n";
        assert_eq!(name_of(passwd, 1000), Some("me".to_owned()));
    }

    #[test]
    fn the_user_stays_who_they_are_and_no_number_is_mapped_twice() {
        let (first, count) = (100_000, 2000);
        let grant = Grant { first, count };
        let all = [[0, 100_000, 1000], [1000, 1000, 1], [1001, 101_001, 999]];
        assert_eq!(grant.map(1000), all);
        assert_eq!(grant.map(5000), [[0, 100_000, 2000], [5000, 5000, 1]]);
        assert_eq!(grant.map(1999)[1..], [[1999, 1999, 1]]);
    }

    #[test]
    fn who_is_known_is_what_the_map_says() {
        let users =
            read_map("         0     100000       1777\n      1777       1777          1\n");
        assert!(has(&users, 0) && has(&users, 1777) && !has(&users, 1778));
        let groups = users.clone();
        assert!(IdMap { users, groups }.has_others());
    }
}
