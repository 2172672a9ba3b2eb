//! `run/<container>.json`: how a container was started, written by its runner and read by `exec`
//! and `describe`.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::sys::SeccompFilter;

/// The command, environment and confinement that a container was started with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Launch {
    pub(crate) argv: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) cwd: PathBuf,
    /// The pid of its main process, as the host numbers it.
    #[serde(default)]
    pub(crate) pid: u32,
    #[serde(default)]
    pub(crate) mounts: Vec<Mount>,
    /// The directory that is its root file system; `None` when it sees the host's.
    #[serde(default)]
    pub(crate) rootfs: Option<PathBuf>,
    /// The user that it runs as; `None` when that is the user who runs petset.
    #[serde(default)]
    pub(crate) user: Option<User>,
    /// Whether its programs cannot gain privileges (`allowPrivilegeEscalation: false`).
    #[serde(default, alias = "humble")]
    pub(crate) no_new_privs: bool,
    /// Whether its root file system is read-only (`readOnlyRootFilesystem`).
    #[serde(default, alias = "closed")]
    pub(crate) read_only_root: bool,
    /// The capabilities that its programs may get, a bit each; `None` where it asks for nothing.
    #[serde(default)]
    pub(crate) capabilities: Option<u64>,
    /// Whether it is held to a seccomp filter (`RuntimeDefault`).
    #[serde(default)]
    pub(crate) seccomp: bool,
    /// The filter that a profile of the user's was compiled to (`Localhost`).
    #[serde(default)]
    pub(crate) seccomp_filter: Option<SeccompFilter>,
    /// Whether it is in a user namespace that is not its pod's: one of root that is privileged or
    /// not filtered as usual.
    #[serde(default)]
    pub(crate) own_users: bool,
}

/// The user id, group id and supplementary groups of a process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
}

/// A volume mount of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Mount {
    pub(crate) volume: String,
    pub(crate) mount_path: String,
    /// The directory or file of the host that is mounted.
    pub(crate) path: PathBuf,
    pub(crate) read_only: bool,
    /// The directory of the whole volume, where only a part of it is mounted: what a pet may have
    /// put into it must not lead out of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) within: Option<PathBuf>,
}

impl Mount {
    /// Returns the path that is named by petset, and the one below it, if any, that is not.
    pub(crate) fn source(&self) -> (&Path, Option<&Path>) {
        let whole = self.within.as_deref();
        let part = whole.and_then(|whole| Some((whole, self.path.strip_prefix(whole).ok()?)));
        part.map_or((&self.path, None), |(whole, part)| (whole, Some(part)))
    }
}

impl Launch {
    /// Returns the filter of system calls that its programs are held to.
    pub(crate) fn filter(&self) -> Option<SeccompFilter> {
        let usual = || self.seccomp.then(SeccompFilter::usual);
        self.seccomp_filter.clone().or_else(usual)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_launch_is_read_as_it_was_written() {
        let launch = Launch {
            argv: vec!["server".to_owned()],
            env: vec![("A".to_owned(), "1".to_owned())],
            cwd: PathBuf::from("/srv"),
            pid: 7,
            mounts: vec![Mount {
                volume: "data".to_owned(),
                mount_path: "/data".to_owned(),
                path: PathBuf::from("/host/data"),
                read_only: true,
                within: None,
            }],
            rootfs: Some(PathBuf::from("/root-of-image")),
            user: Some(User {
                uid: 1,
                gid: 2,
                groups: vec![3],
            }),
            no_new_privs: true,
            read_only_root: true,
            capabilities: Some(1 << 10),
            seccomp: true,
            seccomp_filter: Some(SeccompFilter::default()),
            own_users: true,
        };
        let text = serde_json::to_string(&launch).unwrap();
        assert_eq!(serde_json::from_str::<Launch>(&text).unwrap(), launch);
    }

    #[test]
    fn the_field_names_of_earlier_versions_are_understood() {
        let text = r#"{"argv": ["a"], "env": [], "cwd": "/", "humble": true, "closed": true}"#;
        let launch: Launch = serde_json::from_str(text).unwrap();
        assert!(launch.no_new_privs && launch.read_only_root);
        let text = r#"{"argv": ["a"], "env": [], "cwd": "/"}"#;
        let launch: Launch = serde_json::from_str(text).unwrap();
        assert_eq!((launch.pid, launch.user), (0, None));
    }
}
