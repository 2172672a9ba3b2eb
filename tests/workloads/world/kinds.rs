//! The kinds of objects that recordings are about.

use serde_json::Value;

/// The kind of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Deployment,
    ReplicaSet,
    ReplicationController,
    DaemonSet,
    StatefulSet,
    Job,
    CronJob,
    Pod,
    Claim,
    Volume,
    Revision,
    Node,
    Quota,
    Class,
}

struct Row {
    kind: Kind,
    short: &'static str,
    path: &'static str,
    name: &'static str,
    names: &'static str,
}

const fn row(kind: Kind, short: &'static str, path: &'static str, name: &'static str) -> Row {
    Row {
        kind,
        short,
        path,
        name,
        names: "",
    }
}

const ROWS: &[Row] = &[
    row(Kind::Deployment, "deploy", "deployments", "Deployment"),
    Row {
        names: "replicaSets",
        ..row(Kind::ReplicaSet, "rs", "replicasets", "ReplicaSet")
    },
    row(
        Kind::ReplicationController,
        "rc",
        "replicationcontrollers",
        "ReplicationController",
    ),
    row(Kind::DaemonSet, "ds", "daemonsets", "DaemonSet"),
    row(Kind::StatefulSet, "sts", "statefulsets", "StatefulSet"),
    Row {
        names: "jobs",
        ..row(Kind::Job, "job", "jobs", "Job")
    },
    row(Kind::CronJob, "cronjob", "cronjobs", "CronJob"),
    Row {
        names: "pods",
        ..row(Kind::Pod, "pod", "pods", "Pod")
    },
    row(
        Kind::Claim,
        "pvc",
        "persistentvolumeclaims",
        "PersistentVolumeClaim",
    ),
    row(Kind::Volume, "pv", "persistentvolumes", "PersistentVolume"),
    Row {
        names: "revisions",
        ..row(
            Kind::Revision,
            "rev",
            "controllerrevisions",
            "ControllerRevision",
        )
    },
    row(Kind::Node, "node", "nodes", "Node"),
    row(Kind::Quota, "quota", "resourcequotas", "ResourceQuota"),
    row(Kind::Class, "sc", "storageclasses", "StorageClass"),
];

impl Kind {
    fn row(self) -> &'static Row {
        ROWS.iter().find(|row| row.kind == self).unwrap()
    }

    pub(crate) fn of_short(short: &str) -> Option<Self> {
        Some(ROWS.iter().find(|row| row.short == short)?.kind)
    }

    pub(crate) fn of_path(path: &str) -> Option<Self> {
        Some(ROWS.iter().find(|row| row.path == path)?.kind)
    }

    pub(crate) fn of_name(name: &str) -> Option<Self> {
        Some(ROWS.iter().find(|row| row.name == name)?.kind)
    }

    /// Returns what events and keys of a recording call it.
    pub(crate) fn short(self) -> &'static str {
        self.row().short
    }

    pub(crate) fn name(self) -> &'static str {
        self.row().name
    }

    /// Returns the group of made-up names of a recording.
    pub(crate) fn names(self) -> &'static str {
        self.row().names
    }

    /// Returns whether it counts how often its spec was changed.
    pub(crate) fn has_generation(self) -> bool {
        let storage = matches!(self, Self::Claim | Self::Volume | Self::Class);
        !storage && !matches!(self, Self::Pod | Self::Revision)
    }

    /// Returns whether the status is shown under its own key when a step has settled.
    pub(crate) fn is_shown(self) -> bool {
        matches!(
            self,
            Self::Deployment
                | Self::DaemonSet
                | Self::StatefulSet
                | Self::Job
                | Self::CronJob
                | Self::ReplicationController
        )
    }
}

/// Returns the reference to the controller of an object, if it has one.
pub(crate) fn controller(object: &Value) -> Option<&Value> {
    let owners = object["metadata"]["ownerReferences"].as_array()?;
    owners.iter().find(|owner| owner["controller"] == true)
}
