//! Whether this machine can isolate pets: tried for real, and written down for the rest of the
//! boot, because a trial takes longer than most commands.

use std::fs;

use serde::{Deserialize, Serialize};

use crate::runner::isolation;
use crate::store::{self, Layout, Sync};
use crate::sys::proc;

/// What an administrator may forbid namespaces by, the value that does, and how to allow them.
const LIMITS: [(&str, &str, &str); 4] = [
    (
        "user/max_user_namespaces",
        "0",
        "sysctl user.max_user_namespaces=15000",
    ),
    (
        "user/max_net_namespaces",
        "0",
        "sysctl user.max_net_namespaces=15000",
    ),
    (
        "kernel/unprivileged_userns_clone",
        "0",
        "sysctl kernel.unprivileged_userns_clone=1",
    ),
    (
        "kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "sysctl kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile for petset",
    ),
];

/// What this machine can do for pets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ability {
    /// The boot, the user and the limits it was tried under: with others it may come out
    /// otherwise.
    circumstances: String,
    /// Why pets cannot be isolated; nothing where they can.
    pub(crate) lack: Option<String>,
}

impl Ability {
    /// Tries for real what a pet would need: all namespaces, all mounts, and a network.
    pub(crate) fn tried() -> Self {
        let tried = isolation::attempt().and_then(|_| crate::network::attempt());
        Self {
            circumstances: circumstances(),
            lack: tried.err().map(|problem| problem.message),
        }
    }

    /// Returns what was found out under the present circumstances, if anything was.
    pub(crate) fn known(layout: &Layout) -> Option<Self> {
        let known: Option<Self> = store::read_json(&layout.isolation()).ok().flatten();
        known.filter(|known| known.circumstances == circumstances())
    }

    /// Returns what this machine can do. A lack is never believed: somebody may have mended it.
    pub(crate) fn of_this_machine(layout: &Layout) -> Self {
        let known = Self::known(layout).filter(|known| known.lack.is_none());
        known.unwrap_or_else(Self::tried)
    }

    /// Writes it down for commands that follow. They can do without.
    pub(crate) fn keep(&self, layout: &Layout) {
        if Self::known(layout).as_ref() != Some(self) {
            let _ = store::replace_json(&layout.isolation(), self, Sync::No);
        }
    }
}

/// Returns what isolated pets have to do without on this machine.
pub(crate) fn lacks_of_isolation() -> Vec<String> {
    isolation::attempt().unwrap_or_default()
}

/// ServedNames what forbids namespaces on this machine, and how to allow them.
pub(crate) fn way_out() -> String {
    let found = LIMITS
        .iter()
        .find(|(name, value, _)| proc::setting(name).as_deref() == Some(*value));
    found.map_or_else(
        || "it needs Linux 5.12, and user namespaces or root".to_owned(),
        |(_, _, advice)| format!("allow namespaces: {advice}"),
    )
}

fn circumstances() -> String {
    let user = rustix::process::geteuid().as_raw();
    let space = fs::read_link("/proc/self/ns/user").unwrap_or_default();
    let limits = LIMITS.map(|(name, ..)| proc::setting(name).unwrap_or_else(|| "-".to_owned()));
    let boot = proc::boot_id();
    format!("{boot} {user} {} {}", space.display(), limits.join(" "))
}
