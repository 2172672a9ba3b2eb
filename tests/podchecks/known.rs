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
        why: "process 1 of a pet is petset's own",
        levels: FULL,
        names: &["process-one", "share-process"],
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
        why: "stdin and tty are not acted on",
        levels: BOTH,
        names: &["containers-tty"],
    },
    Known {
        why: "capabilities, privileged, seccomp profiles and sysctls are not acted on",
        levels: FULL,
        names: &["caps-drop", "privileged-true", "seccomp", "sysctl-set"],
    },
    Known {
        why: "an emptyDir in memory is a directory",
        levels: FULL,
        names: &["volume-emptydir-memory-limit"],
    },
];
