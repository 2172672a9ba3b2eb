//! Whether this machine can isolate pets: a process tries it, and caches the result for the rest of
//! the boot, because a trial takes longer than most commands.

use std::fs;

use crate::runner::isolation;
use crate::store::{Ability, Layout};
use crate::sys::proc;

/// The kernel settings that can forbid namespaces, the value that does, and how to change it.
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

impl Ability {
    /// Makes what an isolated pet needs: all namespaces, all mounts, and a network.
    pub(crate) fn tried() -> Self {
        let tried = isolation::attempt().and_then(|_| crate::network::attempt());
        Self {
            circumstances: circumstances(),
            lack: tried.err().map(|problem| problem.message),
        }
    }

    /// Returns the cached result of a trial under the present circumstances, if there is one.
    pub(crate) fn known(layout: &Layout) -> Option<Self> {
        let known = Self::read(layout).ok().flatten();
        known.filter(|known| known.circumstances == circumstances())
    }

    /// Returns the cached result if pets can be isolated, and else tries again, because the user
    /// may have removed the cause.
    pub(crate) fn of_this_machine(layout: &Layout) -> Self {
        let known = Self::known(layout).filter(|known| known.lack.is_none());
        known.unwrap_or_else(Self::tried)
    }

    /// Caches the result for later commands; a failure is ignored, for they can try again.
    pub(crate) fn keep(&self, layout: &Layout) {
        if Self::known(layout).as_ref() != Some(self) {
            let _ = self.write(layout);
        }
    }
}

/// Returns the features that isolated pets lack on this machine.
pub(crate) fn lacks_of_isolation() -> Vec<String> {
    isolation::attempt().unwrap_or_default()
}

/// Returns how to allow namespaces on this machine.
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
