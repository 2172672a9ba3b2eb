//! How much a pet is kept apart from the host, as a manifest or the settings ask for it.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::api::core::v1::{Container, PodSpec};
use serde::Deserialize;

use crate::problem::Problem;

/// Tells in a set, and in each of its pods, how much it is kept apart.
pub const ISOLATION_ANNOTATION: &str = "petset.dev/isolation";

/// `"true"`: without isolation, the set's commands may name their mount paths all the same.
pub const HOST_PATHS_ANNOTATION: &str = "petset.dev/host-paths";

/// A level of isolation that may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// As a container is, where the machine can do that.
    #[default]
    Auto,
    /// As a container is: files, processes and names of its own.
    Full,
    /// Not at all: a plain process of the host.
    None,
}

impl fmt::Display for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Auto => "auto",
            Self::Full => "full",
            Self::None => "none",
        })
    }
}

impl std::str::FromStr for Isolation {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        match text {
            "auto" => Ok(Self::Auto),
            "full" => Ok(Self::Full),
            "none" => Ok(Self::None),
            other => {
                let fault = format!("{other:?} is no isolation: it is auto, full or none");
                Err(Problem::invalid(fault))
            }
        }
    }
}

impl Isolation {
    /// Returns the isolation that the annotations of a set ask for, if they name one.
    pub fn asked(annotations: Option<&BTreeMap<String, String>>) -> Result<Option<Self>, Problem> {
        let asked = annotations.and_then(|notes| notes.get(ISOLATION_ANNOTATION));
        let asked = asked.map(|asked| asked.parse()).transpose();
        asked.map_err(|fault| Problem::invalid(format!("{ISOLATION_ANNOTATION}: {fault}")))
    }
}

/// A word of a container's command that names a mount path, which only isolation puts there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPath {
    /// The container.
    pub container: String,
    /// The mount path that is named.
    pub path: String,
}

/// Lists the mount paths that commands, hooks and probes of a pod name: without isolation they
/// would mean the host's own files.
#[must_use]
pub fn host_paths(spec: &PodSpec) -> Vec<HostPath> {
    let containers = spec.init_containers.iter().flatten();
    let mut found = Vec::new();
    for container in containers.chain(&spec.containers) {
        let words = words_of(container);
        let mounts = container.volume_mounts.iter().flatten();
        for path in mounts.map(|mount| mount.mount_path.trim_end_matches('/')) {
            let absolute = path.len() > 1 && path.starts_with('/');
            if absolute && words.iter().any(|word| names(word, path)) {
                found.push(HostPath {
                    container: container.name.clone(),
                    path: path.to_owned(),
                });
            }
        }
    }
    found
}

fn words_of(container: &Container) -> Vec<&str> {
    let hooks = container.lifecycle.as_ref();
    let hooks = hooks.map(|hooks| [&hooks.post_start, &hooks.pre_stop]);
    let hooks = hooks.into_iter().flatten().flatten();
    let probes = [
        &container.startup_probe,
        &container.liveness_probe,
        &container.readiness_probe,
    ];
    let probes = probes.into_iter().flatten();
    let executed = hooks
        .map(|hook| &hook.exec)
        .chain(probes.map(|probe| &probe.exec));
    let executed = executed.flatten().filter_map(|exec| exec.command.as_ref());
    let own = container.command.iter().chain(&container.args);
    own.chain(executed).flatten().map(String::as_str).collect()
}

/// Returns whether a text has a path in it, as a whole and from its root.
fn names(text: &str, path: &str) -> bool {
    let part = |letter: char| letter.is_alphanumeric() || "/._-".contains(letter);
    text.match_indices(path).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + path.len()..].chars().next();
        !before.is_some_and(|it| part(it) || it == ')' || it == '}')
            && !after.is_some_and(|it| part(it) && it != '/')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_named_as_a_whole_and_from_its_root() {
        for text in ["/data", "rm -rf /data/*", "--dir=/data", "cat '/data'"] {
            assert!(names(text, "/data"), "{text}");
        }
        for text in [
            "/database",
            "/srv/data",
            "$(ROOT)/data",
            "data",
            "/data.old",
        ] {
            assert!(!names(text, "/data"), "{text}");
        }
    }

    #[test]
    fn a_hook_that_names_a_mount_is_found() {
        let spec = serde_json::json!({"containers": [{"name": "c", "command": ["etcd"],
            "volumeMounts": [{"name": "d", "mountPath": "/var/run/etcd/"}],
            "lifecycle": {"preStop": {"exec": {"command": ["sh", "-c", "rm -rf /var/run/etcd/*"]}}}}]});
        let spec: PodSpec = serde_json::from_value(spec).unwrap();
        let (container, path) = ("c".to_owned(), "/var/run/etcd".to_owned());
        assert_eq!(host_paths(&spec), [HostPath { container, path }]);
    }

    #[test]
    fn an_annotation_asks_for_a_level_and_a_typo_is_refused() {
        let notes = |level: &str| BTreeMap::from([(ISOLATION_ANNOTATION.into(), level.into())]);
        let asked = |level: &str| Isolation::asked(Some(&notes(level)));
        assert_eq!(asked("auto").unwrap(), Some(Isolation::Auto));
        assert_eq!(Isolation::asked(None).unwrap(), None);
        let fault = asked("ful").unwrap_err().to_string();
        assert!(fault.contains("petset.dev/isolation: \"ful\""), "{fault}");
    }
}
