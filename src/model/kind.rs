//! The kinds of objects that petset knows: one table, from which every part takes its words.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

/// The kind of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum ObjectKind {
    /// A config map.
    ConfigMap,
    /// A secret.
    Secret,
    /// A claim to a volume.
    PersistentVolumeClaim,
    /// A service.
    Service,
    /// A set.
    StatefulSet,
    /// A pod.
    Pod,
    /// The pods that a service leads to, or what a user wrote instead.
    Endpoints,
    /// Where a service without a selector leads, as a user wrote it.
    EndpointSlice,
    /// A template that a set has had.
    ControllerRevision,
    /// The request to replace one pet.
    Eviction,
    /// What is wanted of a running pod beside its template.
    Overlay,
    /// What makes pods that are not pets.
    Workload(WorkloadKind),
    /// A volume that a claim can be bound to.
    PersistentVolume,
    /// A class of volumes.
    StorageClass,
}

/// The kind of an object that makes pods from a template without giving them an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum WorkloadKind {
    /// Rolls from one replica set to the next.
    Deployment,
    /// Keeps a number of equal pods.
    ReplicaSet,
    /// Does the same, in the words of the first Kubernetes.
    ReplicationController,
    /// Keeps a pod on each node.
    DaemonSet,
    /// Runs pods until enough of them have succeeded.
    Job,
    /// Makes jobs by a schedule.
    CronJob,
}

/// What is done with objects of a kind that stand in manifests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handling {
    /// They never do.
    Never,
    /// They are kept and acted on.
    Kept,
}

/// The row of a kind in the table.
struct Row {
    /// `apiVersion` and `kind` as manifests have them: today's first, then earlier ones.
    versions: &'static [(&'static str, &'static str)],
    /// The name of one object, with its API group: `statefulset.apps`.
    singular: &'static str,
    /// The name of the resource, with its API group: `statefulsets.apps`.
    plural: &'static str,
    /// Other words for it on a command line: kubectl's short names and petset's words.
    words: &'static [&'static str],
    /// What is done with those in manifests.
    handling: Handling,
    /// Whether it belongs to a namespace.
    namespaced: bool,
}

const ALL: [ObjectKind; 19] = [
    ObjectKind::StatefulSet,
    ObjectKind::Service,
    ObjectKind::ConfigMap,
    ObjectKind::Secret,
    ObjectKind::PersistentVolumeClaim,
    ObjectKind::Pod,
    ObjectKind::Endpoints,
    ObjectKind::EndpointSlice,
    ObjectKind::ControllerRevision,
    ObjectKind::Eviction,
    ObjectKind::Overlay,
    ObjectKind::Workload(WorkloadKind::Deployment),
    ObjectKind::Workload(WorkloadKind::ReplicaSet),
    ObjectKind::Workload(WorkloadKind::ReplicationController),
    ObjectKind::Workload(WorkloadKind::DaemonSet),
    ObjectKind::Workload(WorkloadKind::Job),
    ObjectKind::Workload(WorkloadKind::CronJob),
    ObjectKind::PersistentVolume,
    ObjectKind::StorageClass,
];

impl WorkloadKind {
    /// All of them.
    pub(crate) const ALL: [Self; 6] = [
        Self::Deployment,
        Self::ReplicaSet,
        Self::ReplicationController,
        Self::DaemonSet,
        Self::Job,
        Self::CronJob,
    ];

    /// Returns the kind that a reference to an owner names.
    pub(crate) fn of_reference(owner: &OwnerReference) -> Option<Self> {
        let named = |kind: &Self| {
            let kind = ObjectKind::Workload(*kind);
            (kind.api_version(), kind.as_str()) == (owner.api_version.as_str(), owner.kind.as_str())
        };
        Self::ALL.into_iter().find(named)
    }

    const fn row(self) -> &'static Row {
        match self {
            Self::Deployment => &Row {
                versions: &[("apps/v1", "Deployment")],
                singular: "deployment.apps",
                plural: "deployments.apps",
                words: &["deploy"],
                handling: Handling::Kept,
                namespaced: true,
            },
            Self::ReplicaSet => &Row {
                versions: &[("apps/v1", "ReplicaSet")],
                singular: "replicaset.apps",
                plural: "replicasets.apps",
                words: &["rs"],
                handling: Handling::Kept,
                namespaced: true,
            },
            Self::ReplicationController => &Row {
                versions: &[("v1", "ReplicationController")],
                singular: "replicationcontroller",
                plural: "replicationcontrollers",
                words: &["rc"],
                handling: Handling::Kept,
                namespaced: true,
            },
            Self::DaemonSet => &Row {
                versions: &[("apps/v1", "DaemonSet")],
                singular: "daemonset.apps",
                plural: "daemonsets.apps",
                words: &["ds"],
                handling: Handling::Kept,
                namespaced: true,
            },
            Self::Job => &Row {
                versions: &[("batch/v1", "Job")],
                singular: "job.batch",
                plural: "jobs.batch",
                words: &[],
                handling: Handling::Kept,
                namespaced: true,
            },
            Self::CronJob => &Row {
                versions: &[("batch/v1", "CronJob")],
                singular: "cronjob.batch",
                plural: "cronjobs.batch",
                words: &["cj"],
                handling: Handling::Kept,
                namespaced: true,
            },
        }
    }
}

impl ObjectKind {
    #[expect(clippy::too_many_lines, reason = "a table")]
    const fn row(self) -> &'static Row {
        match self {
            Self::StatefulSet => &Row {
                versions: &[
                    ("apps/v1", "StatefulSet"),
                    ("apps/v1beta1", "StatefulSet"),
                    ("apps/v1beta2", "StatefulSet"),
                    ("apps/v1alpha1", "PetSet"),
                ],
                singular: "statefulset.apps",
                plural: "statefulsets.apps",
                words: &["sts", "set", "sets", "petset", "petsets"],
                handling: Handling::Kept,
                namespaced: true,
            },
            Self::Pod => &Row {
                versions: &[("v1", "Pod")],
                singular: "pod",
                plural: "pods",
                words: &["po", "pet", "pets"],
                handling: Handling::Kept,
                namespaced: true,
            },
            Self::Service => &Row {
                versions: &[("v1", "Service")],
                singular: "service",
                plural: "services",
                words: &["svc"],
                handling: Handling::Kept,
                namespaced: true,
            },
            Self::ConfigMap => &Row {
                versions: &[("v1", "ConfigMap")],
                singular: "configmap",
                plural: "configmaps",
                words: &["cm"],
                handling: Handling::Kept,
                namespaced: true,
            },
            Self::Secret => &Row {
                versions: &[("v1", "Secret")],
                singular: "secret",
                plural: "secrets",
                words: &[],
                handling: Handling::Kept,
                namespaced: true,
            },
            Self::PersistentVolumeClaim => &Row {
                versions: &[("v1", "PersistentVolumeClaim")],
                singular: "persistentvolumeclaim",
                plural: "persistentvolumeclaims",
                words: &["pvc", "pvcs", "claim", "claims"],
                handling: Handling::Kept,
                namespaced: true,
            },
            Self::Endpoints => &Row {
                versions: &[("v1", "Endpoints")],
                singular: "endpoints",
                plural: "endpoints",
                words: &["ep", "endpoint"],
                handling: Handling::Kept,
                namespaced: true,
            },
            Self::EndpointSlice => &Row {
                versions: &[
                    ("discovery.k8s.io/v1", "EndpointSlice"),
                    ("discovery.k8s.io/v1beta1", "EndpointSlice"),
                ],
                singular: "endpointslice.discovery.k8s.io",
                plural: "endpointslices.discovery.k8s.io",
                words: &[],
                handling: Handling::Kept,
                namespaced: true,
            },
            Self::ControllerRevision => &Row {
                versions: &[("apps/v1", "ControllerRevision")],
                singular: "controllerrevision.apps",
                plural: "controllerrevisions.apps",
                words: &["revision", "revisions"],
                handling: Handling::Never,
                namespaced: true,
            },
            Self::Eviction => &Row {
                versions: &[("policy/v1", "Eviction")],
                singular: "eviction.policy",
                plural: "evictions.policy",
                words: &[],
                handling: Handling::Never,
                namespaced: true,
            },
            Self::Overlay => &Row {
                versions: &[("petset.dev/v1", "Overlay")],
                singular: "overlay.petset.dev",
                plural: "overlays.petset.dev",
                words: &[],
                handling: Handling::Never,
                namespaced: true,
            },
            Self::Workload(kind) => kind.row(),
            Self::PersistentVolume => &Row {
                versions: &[("v1", "PersistentVolume")],
                singular: "persistentvolume",
                plural: "persistentvolumes",
                words: &["pv"],
                handling: Handling::Kept,
                namespaced: false,
            },
            Self::StorageClass => &Row {
                versions: &[("storage.k8s.io/v1", "StorageClass")],
                singular: "storageclass.storage.k8s.io",
                plural: "storageclasses.storage.k8s.io",
                words: &["sc"],
                handling: Handling::Kept,
                namespaced: false,
            },
        }
    }

    /// Returns whether there are objects of this kind to look at; the others are requests.
    const fn is_shown(self) -> bool {
        !matches!(self, Self::Eviction | Self::Overlay)
    }

    /// Returns the kind that a word of the command line means, in kubectl's words and petset's.
    pub(crate) fn of_word(word: &str) -> Option<Self> {
        let word = word.to_ascii_lowercase();
        let mut shown = ALL.into_iter().filter(|kind| kind.is_shown());
        shown.find(|kind| kind.is_called(&word))
    }

    /// Returns the kind whose objects are kept in a folder of this name.
    pub(crate) fn of_folder(folder: &str) -> Option<Self> {
        ALL.into_iter().find(|kind| kind.folder() == folder)
    }

    /// Returns the words that mean kinds which can be shown.
    pub(crate) fn words() -> Vec<&'static str> {
        let shown = ALL.into_iter().filter(|kind| kind.is_shown());
        let words = shown.flat_map(|kind| {
            let row = kind.row();
            let full = [row.singular, row.plural].map(without_group);
            full.into_iter().chain(row.words.iter().copied())
        });
        words.collect()
    }

    /// Returns whether the word, in lower case, means this kind.
    pub(crate) fn is_called(self, word: &str) -> bool {
        let row = self.row();
        let is = |full: &str| word == full || word == without_group(full);
        is(row.singular) || is(row.plural) || row.words.contains(&word)
    }

    /// Returns the kind that a manifest means, whose API version may be an earlier one.
    pub(crate) fn of_manifest(version: &str, kind: &str) -> Option<Self> {
        let mut given = ALL
            .into_iter()
            .filter(|known| known.handling() != Handling::Never);
        given.find(|known| known.row().versions.contains(&(version, kind)))
    }

    /// Returns what a slightly wrong version or kind in a manifest was meant to be, as
    /// `StatefulSet of apps/v1`.
    pub(crate) fn meant(version: &str, kind: &str) -> Option<String> {
        let group = group_of(version);
        let lower = kind.to_lowercase();
        let given = ALL
            .into_iter()
            .filter(|known| known.handling() == Handling::Kept);
        let mut versions = given.flat_map(|known| known.row().versions);
        let meant = versions.find(|(home, name)| {
            let near = matches!(group, "" | "apps" | "extensions" | "core");
            name.to_lowercase() == lower && (near || group == group_of(home))
        });
        meant.map(|(version, kind)| format!("{kind} of {version}"))
    }

    /// Returns what is done with objects of this kind that stand in manifests.
    pub(crate) const fn handling(self) -> Handling {
        self.row().handling
    }

    /// Returns whether objects of this kind belong to a namespace.
    pub(crate) const fn is_namespaced(self) -> bool {
        self.row().namespaced
    }

    /// Returns the name as the API server's messages have it: `StatefulSet.apps`.
    pub(crate) fn with_group(self) -> String {
        match self.singular().split_once('.') {
            Some((_, group)) => format!("{}.{group}", self.as_str()),
            None => self.as_str().to_owned(),
        }
    }

    /// Returns the API version that objects are kept in: `apps/v1`.
    pub(crate) const fn api_version(self) -> &'static str {
        self.row().versions[0].0
    }

    /// Returns the name as a manifest has it: `StatefulSet`.
    pub(crate) const fn as_str(self) -> &'static str {
        self.row().versions[0].1
    }

    /// Returns the name as it stands before an object's: `statefulset.apps`.
    pub(crate) const fn singular(self) -> &'static str {
        self.row().singular
    }

    /// Returns the name of the resource, with its API group: `statefulsets.apps`.
    pub(crate) const fn plural(self) -> &'static str {
        self.row().plural
    }

    /// Returns the name of the folder below `wanted/` for those kinds that users ask for.
    pub(crate) fn folder(self) -> &'static str {
        without_group(self.row().singular)
    }
}

fn without_group(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

fn group_of(version: &str) -> &str {
    version.rsplit_once('/').map_or("", |(group, _)| group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_goes_by_kubectls_words_and_by_petsets() {
        let words = [
            ("sts", ObjectKind::StatefulSet),
            ("StatefulSets.apps", ObjectKind::StatefulSet),
            ("petset", ObjectKind::StatefulSet),
            ("po", ObjectKind::Pod),
            ("pvc", ObjectKind::PersistentVolumeClaim),
            ("ep", ObjectKind::Endpoints),
            ("controllerrevision", ObjectKind::ControllerRevision),
            ("pv", ObjectKind::PersistentVolume),
            ("storageclasses.storage.k8s.io", ObjectKind::StorageClass),
        ];
        for (word, kind) in words {
            assert_eq!(ObjectKind::of_word(word), Some(kind), "{word}");
        }
        assert_eq!(ObjectKind::of_word("eviction"), None);
    }

    #[test]
    fn messages_name_a_kind_with_its_group() {
        let kinds = [
            (ObjectKind::StatefulSet, "StatefulSet.apps"),
            (ObjectKind::PersistentVolume, "PersistentVolume"),
            (ObjectKind::StorageClass, "StorageClass.storage.k8s.io"),
        ];
        for (kind, name) in kinds {
            assert_eq!(kind.with_group(), name);
        }
    }

    #[test]
    fn no_word_means_two_kinds() {
        for kind in ALL {
            let row = kind.row();
            let words = row.words.iter().chain([&row.singular, &row.plural]);
            for word in words {
                let called = ALL.into_iter().filter(|other| other.is_called(word));
                assert_eq!(called.collect::<Vec<_>>(), [kind], "{word}");
            }
        }
    }

    #[test]
    fn a_manifest_may_have_an_earlier_version_or_a_slip() {
        let set = ObjectKind::StatefulSet;
        assert_eq!(
            ObjectKind::of_manifest("apps/v1alpha1", "PetSet"),
            Some(set)
        );
        assert_eq!(ObjectKind::of_manifest("policy/v1", "Eviction"), None);
        let job = ObjectKind::of_manifest("batch/v1", "Job");
        assert_eq!(job, Some(ObjectKind::Workload(WorkloadKind::Job)));
        let meant = ObjectKind::meant("extensions/v1beta1", "Statefulset");
        assert_eq!(meant.as_deref(), Some("StatefulSet of apps/v1"));
    }
}
