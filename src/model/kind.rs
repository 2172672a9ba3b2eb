//! The kinds of objects that petset knows: one table, from which every part takes its words.

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
    /// The pods that a service leads to.
    Endpoints,
    /// A template that a set has had.
    ControllerRevision,
    /// The request to replace one pet.
    Eviction,
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
    /// Whether it is given in manifests.
    in_manifests: bool,
}

const ALL: [ObjectKind; 9] = [
    ObjectKind::StatefulSet,
    ObjectKind::Service,
    ObjectKind::ConfigMap,
    ObjectKind::Secret,
    ObjectKind::PersistentVolumeClaim,
    ObjectKind::Pod,
    ObjectKind::Endpoints,
    ObjectKind::ControllerRevision,
    ObjectKind::Eviction,
];

impl ObjectKind {
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
                in_manifests: true,
            },
            Self::Pod => &Row {
                versions: &[("v1", "Pod")],
                singular: "pod",
                plural: "pods",
                words: &["po", "pet", "pets"],
                in_manifests: true,
            },
            Self::Service => &Row {
                versions: &[("v1", "Service")],
                singular: "service",
                plural: "services",
                words: &["svc"],
                in_manifests: true,
            },
            Self::ConfigMap => &Row {
                versions: &[("v1", "ConfigMap")],
                singular: "configmap",
                plural: "configmaps",
                words: &["cm"],
                in_manifests: true,
            },
            Self::Secret => &Row {
                versions: &[("v1", "Secret")],
                singular: "secret",
                plural: "secrets",
                words: &[],
                in_manifests: true,
            },
            Self::PersistentVolumeClaim => &Row {
                versions: &[("v1", "PersistentVolumeClaim")],
                singular: "persistentvolumeclaim",
                plural: "persistentvolumeclaims",
                words: &["pvc", "pvcs", "claim", "claims"],
                in_manifests: true,
            },
            Self::Endpoints => &Row {
                versions: &[("v1", "Endpoints")],
                singular: "endpoints",
                plural: "endpoints",
                words: &["ep", "endpoint"],
                in_manifests: false,
            },
            Self::ControllerRevision => &Row {
                versions: &[("apps/v1", "ControllerRevision")],
                singular: "controllerrevision.apps",
                plural: "controllerrevisions.apps",
                words: &["revision", "revisions"],
                in_manifests: false,
            },
            Self::Eviction => &Row {
                versions: &[("policy/v1", "Eviction")],
                singular: "eviction.policy",
                plural: "evictions.policy",
                words: &[],
                in_manifests: false,
            },
        }
    }

    /// Returns the kind that a word of the command line means, in kubectl's words and petset's.
    pub(crate) fn of_word(word: &str) -> Option<Self> {
        let word = word.to_ascii_lowercase();
        let shown = ALL.into_iter().filter(|kind| *kind != Self::Eviction);
        shown.into_iter().find(|kind| kind.is_called(&word))
    }

    /// Returns whether the word, in lower case, means this kind.
    pub(crate) fn is_called(self, word: &str) -> bool {
        let row = self.row();
        let is = |full: &str| word == full || word == without_group(full);
        is(row.singular) || is(row.plural) || row.words.contains(&word)
    }

    /// Returns the kind that a manifest means, whose API version may be an earlier one.
    pub(crate) fn of_manifest(version: &str, kind: &str) -> Option<Self> {
        let mut given = ALL.into_iter().filter(|known| known.row().in_manifests);
        given.find(|known| known.row().versions.contains(&(version, kind)))
    }

    /// Returns what a slightly wrong version or kind in a manifest was meant to be, as
    /// `StatefulSet of apps/v1`.
    pub(crate) fn meant(version: &str, kind: &str) -> Option<String> {
        let group = group_of(version);
        let lower = kind.to_lowercase();
        let given = ALL.into_iter().filter(|known| known.row().in_manifests);
        let mut versions = given.flat_map(|known| known.row().versions);
        let meant = versions.find(|(home, name)| {
            let near = matches!(group, "" | "apps" | "extensions" | "core");
            name.to_lowercase() == lower && (near || group == group_of(home))
        });
        meant.map(|(version, kind)| format!("{kind} of {version}"))
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
        ];
        for (word, kind) in words {
            assert_eq!(ObjectKind::of_word(word), Some(kind), "{word}");
        }
        assert_eq!(ObjectKind::of_word("eviction"), None);
        assert_eq!(ObjectKind::of_word("deployment"), None);
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
        assert_eq!(ObjectKind::of_manifest("v1", "Endpoints"), None);
        let meant = ObjectKind::meant("extensions/v1beta1", "Statefulset");
        assert_eq!(meant.as_deref(), Some("StatefulSet of apps/v1"));
    }
}
