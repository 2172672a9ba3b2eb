//! What is meant to differ from a kubelet, and why.

use super::compare::Aspect;

/// Recordings that petset means to differ from for one reason.
pub(crate) struct Known {
    pub(crate) why: &'static str,
    pub(crate) aspects: &'static [Aspect],
    pub(crate) names: &'static [&'static str],
    pub(crate) when: When,
}

/// Whether a difference is there each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    Always,
    /// It depends on the moment: a comparison that is equal is as good.
    Sometimes,
}

use Aspect::{End, Events, Page, Refusal, Rest, Statuses, Word};
use When::{Always, Sometimes};

pub(crate) const KNOWN: &[Known] = &[
    Known {
        why: "what the kernel keeps the stop signal from is killed at once, where a kubelet waits \
              for two seconds or the grace: restarts by probes come sooner, so that another one is \
              under way at the same moment",
        aspects: &[Statuses, Rest, End, Events, Word, Page],
        names: &[
            "probe-count-grows",
            "probe-live-grace",
            "probe-live-grpc-fail",
            "probe-redirect-local",
            "probe-startup-grace",
            "probe-startup-then-liveness",
        ],
        when: Sometimes,
    },
    Known {
        why: "the command of a probe is killed when its time is over, where the recorded runtime \
              waited for its end: restarts come sooner",
        aspects: &[Statuses, Rest, End, Events, Word, Page],
        names: &["probe-exec-timeout"],
        when: Sometimes,
    },
    Known {
        why: "nothing is pulled, so that a missing image is known at once and not after ten seconds",
        aspects: &[Statuses, Rest, End, Events, Word, Page],
        names: &["image-missing"],
        when: Sometimes,
    },
    Known {
        why: "the state of a container whose variable is in no file says so at its second try, a \
              kubelet's does not",
        aspects: &[Statuses, Rest, Word, Page],
        names: &["file-key-missing"],
        when: Sometimes,
    },
    Known {
        why: "when all containers are started again, how long the init container runs and whether \
              that is seen is a matter of milliseconds here, of a second there",
        aspects: &[Statuses],
        names: &["rule-all"],
        when: Sometimes,
    },
    Known {
        why: "there are no account tokens without an API server",
        aspects: &[Statuses, Rest, End, Word, Page],
        names: &["volume-token-mounted"],
        when: Always,
    },
    Known {
        why: "a file is taken as a whole or not at all: kubectl makes the first of its objects",
        aspects: &[Refusal],
        names: &["volume-hostpath-types", "volume-pv-hostpath"],
        when: Always,
    },
    Known {
        why: "one pod waits for what another one does, which on a cluster is done by then",
        aspects: &[Statuses, Rest, End, Events, Word, Page],
        names: &[
            "volume-delete-keeps-linked",
            "volume-hostpath-live",
            "volume-hostpath-missing-waits",
        ],
        when: Sometimes,
    },
    Known {
        why: "kubectl printed it at another moment of its life than the one that is recorded",
        aspects: &[Word, Page],
        names: &["kubelet-fail-delete", "run-never-waits"],
        when: Sometimes,
    },
    Known {
        why: "the volumes of two claim templates are in no order on a cluster",
        aspects: &[Page],
        names: &["volume-two-templates"],
        when: Sometimes,
    },
];
