//! The checks that are known to fail, and why.

/// A level of isolation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Full,
    None,
}

impl Level {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::None => "none",
        }
    }
}

/// Checks that are known to fail for one reason.
pub(crate) struct Known {
    pub(crate) why: &'static str,
    pub(crate) levels: &'static [Level],
    pub(crate) names: &'static [&'static str],
}

const BOTH: &[Level] = &[Level::Full, Level::None];
const FULL: &[Level] = &[Level::Full];

pub(crate) const KNOWN: &[Known] = &[
    Known {
        why: "a change of a ConfigMap or Secret does not reach pets that run",
        levels: BOTH,
        names: &[
            "volume-configmap-items-update",
            "volume-configmap-optional-appears",
            "volume-configmap-update",
            "volume-projected-update",
            "volume-restart-refreshes",
            "volume-secret-optional",
            "volume-secret-rotation",
            "volume-secret-update",
            "volume-update-many-pods",
        ],
    },
    Known {
        why: "immutable ConfigMaps and Secrets can be changed",
        levels: BOTH,
        names: &[
            "cm-immutable",
            "volume-configmap-immutable",
            "volume-secret-immutable",
        ],
    },
    Known {
        why: "files of a Secret are for their owner alone",
        levels: BOTH,
        names: &[
            "volume-projected-combined",
            "volume-projected-secret-modes",
            "volume-secret-modes",
        ],
    },
    Known {
        why: "files of a Secret are for their owner alone",
        levels: FULL,
        names: &["volume-secret-nonroot"],
    },
    Known {
        why: "there is no termination message file",
        levels: FULL,
        names: &["message-file", "message-file-first", "message-path"],
    },
    Known {
        why: "process 1 of a pet is petset's own",
        levels: FULL,
        names: &["process-one", "share-process"],
    },
    Known {
        why: "there are no gRPC probes",
        levels: BOTH,
        names: &["probe-live-grpc-fail"],
    },
    Known {
        why: "there are no account tokens without an API server",
        levels: FULL,
        names: &["volume-token-mounted"],
    },
    Known {
        why: "PersistentVolumes cannot be made by the user",
        levels: BOTH,
        names: &["volume-pv-hostpath"],
    },
    Known {
        why: "not done yet",
        levels: BOTH,
        names: &[
            "containers-tty",
            "downward-env-names",
            "file-key",
            "hostname-override-refused",
            "image-invalid",
            "init-fail-never",
            "os-mismatch",
            "pod-generation-conditions",
            "pod-generation-delete",
            "pod-qos",
            "pod-two-deleted",
            "rule-all",
            "rule-refused",
            "runtimeclass-missing",
            "volume-claim-unscheduled",
            "volume-emptydir-evicted",
            "volume-ephemeral-claim",
            "volume-mount-propagation",
            "volume-subpath-made",
        ],
    },
    Known {
        why: "not done yet",
        levels: FULL,
        names: &[
            "caps-drop",
            "privileged-true",
            "seccomp",
            "sysctl-set",
            "volume-claim-fsgroup",
            "volume-claim-subpath-nonroot",
            "volume-emptydir-memory-limit",
            "volume-read-only-recursive",
            "volume-subpath-fsgroup",
            "volume-working-dir",
        ],
    },
];
