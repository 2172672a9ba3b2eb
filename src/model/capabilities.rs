//! The capabilities that the programs of a container may get (V62).

use k8s_openapi::api::core::v1::Capabilities;

use super::egress::Egress;

/// The names of all capabilities, each at its number, without `CAP_`.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// What root of a container has where nothing else is asked for: Docker's list, without `MKNOD`.
const USUAL: [&str; 13] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SYS_CHROOT",
    "AUDIT_WRITE",
    "SETFCAP",
];

/// Capabilities that reach beyond a container: without a user namespace of its own nobody gets
/// them.
const OF_THE_HOST: [&str; 17] = [
    "DAC_READ_SEARCH",
    "LINUX_IMMUTABLE",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_TIME",
    "MKNOD",
    "AUDIT_CONTROL",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

fn bit(name: &str) -> u64 {
    let name = name.trim_start_matches("CAP_");
    let at = NAMES.iter().position(|known| *known == name);
    at.map_or(0, |at| 1 << at)
}

fn bits<'a>(names: impl IntoIterator<Item = &'a str>) -> u64 {
    names.into_iter().fold(0, |all, name| all | bit(name))
}

/// How far the programs of a container reach.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ContainerReach {
    /// Whether they have a user namespace of their own, beyond which no capability reaches.
    pub(crate) own_users: bool,
    /// Whether they may leave their network.
    pub(crate) egress: Egress,
}

/// Returns the set of capabilities, a bit each, that a container may get, and those asked for that
/// it is not given because they reach beyond it. `NET_RAW` is not usual where packets stay inside.
pub(crate) fn bounding_set(
    asked: Option<&Capabilities>,
    reach: ContainerReach,
) -> (u64, Vec<String>) {
    let list = |list: Option<&Vec<String>>| list.cloned().unwrap_or_default();
    let add = list(asked.and_then(|asked| asked.add.as_ref()));
    let drop = list(asked.and_then(|asked| asked.drop.as_ref()));
    let is_all = |name: &String| name == "ALL" || name == "CAP_ALL";
    let mut set = bits(USUAL);
    if reach.egress == Egress::None {
        set &= !bit("NET_RAW");
    }
    if add.iter().any(is_all) {
        set = bits(NAMES);
    }
    if drop.iter().any(is_all) {
        set = 0;
    }
    set |= bits(add.iter().map(String::as_str));
    set &= !bits(drop.iter().map(String::as_str));
    if reach.own_users {
        return (set, Vec::new());
    }
    let beyond = OF_THE_HOST.iter().filter(|name| set & bit(name) != 0);
    let refused = beyond.map(|name| (*name).to_owned()).collect();
    (set & !bits(OF_THE_HOST), refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUALLY: ContainerReach = ContainerReach {
        own_users: false,
        egress: Egress::Auto,
    };

    fn set(add: &[&str], drop: &[&str]) -> (u64, Vec<String>) {
        let list = |list: &[&str]| Some(list.iter().map(|it| (*it).to_owned()).collect());
        let (add, drop) = (list(add), list(drop));
        bounding_set(Some(&Capabilities { add, drop }), USUALLY)
    }

    #[test]
    fn v62_capabilities_are_added_and_dropped() {
        let usual = 0xa004_25fb;
        assert_eq!(bounding_set(None, USUALLY), (usual, Vec::new()));
        assert_eq!(set(&[], &["ALL"]).0, 0);
        assert_eq!(set(&["NET_BIND_SERVICE"], &["ALL"]).0, 1 << 10);
        let without = usual & !(1 << 5);
        assert_eq!(set(&["CAP_NET_ADMIN"], &["KILL"]).0, without | 1 << 12);
        let (all, refused) = set(&["ALL"], &[]);
        assert_eq!(all & 1 << 21, 0, "not the host's");
        assert_eq!(refused.len(), OF_THE_HOST.len());
    }

    #[test]
    fn raw_packets_are_not_usual_where_they_stay_inside() {
        let inside = ContainerReach {
            own_users: true,
            egress: Egress::None,
        };
        let net_raw = 1 << 13;
        assert_eq!(bounding_set(None, inside).0 & net_raw, 0);
        let add = Some(vec!["NET_RAW".to_owned()]);
        let asked = Capabilities { add, drop: None };
        assert_ne!(bounding_set(Some(&asked), inside).0 & net_raw, 0);
    }
}
