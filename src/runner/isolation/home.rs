//! What a root file system needs beside the host's directories: files of `/etc`, claims that its
//! users may write to, and the state directories that it must not show.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::context::PodContext;
use super::files;
use super::mountinfo::HostMounts;
use crate::model::address::Block;
use crate::runner::user::Accounts;
use crate::runner::volumes::open_mounted;
use crate::store::covers::{EnteredStates, real_state_directory};
use crate::store::{Launch, User};
use crate::sys::beneath::DescriptorPath;

/// Lists the state directories of this machine, as far as they are known.
pub(super) fn state_directories(entered: &mut EnteredStates, host: &HostMounts) -> Vec<PathBuf> {
    let hides = |path: &Path| host.hides(path);
    let usual = crate::sys::home().map(|home| home.join(".local/state/petset"));
    let usual = usual.filter(|usual| !hides(usual));
    let usual = usual.and_then(|usual| real_state_directory(&usual));
    let mut all = entered.directories(hides);
    all.extend(usual);
    all.sort();
    all.dedup();
    all
}

/// Opens fresh claims to all users, since servers drop to users of their own, as the provisioners
/// of local clusters do. The state directory still decides who gets that far; a claim that a
/// server has made its own stays as it is.
pub(super) fn open_claims(launch: &Launch, context: &PodContext<'_>) {
    let volumes = context.layout.root().join("volumes");
    let claims = launch.mounts.iter();
    for mount in claims.filter(|mount| mount.path.starts_with(&volumes)) {
        let Ok(claim) = open_mounted(mount) else {
            continue;
        };
        // By this path nothing else is reached, whatever a pet renames meanwhile.
        let path = DescriptorPath::of(&claim);
        let path = Path::new(OsStr::from_bytes(path.as_c_str().to_bytes()));
        let Ok(found) = std::fs::metadata(path) else {
            continue;
        };
        let empty = std::fs::read_dir(path).is_ok_and(|mut it| it.next().is_none());
        let own = found.uid() == crate::sys::own_ids().0;
        if found.is_dir() && empty && own && found.mode() & 0o7777 == 0o700 {
            let open = std::fs::Permissions::from_mode(0o777);
            let _ = std::fs::set_permissions(path, open);
        }
    }
}

/// Returns the files of `/etc` that a container has instead of the host's.
pub(super) fn etc(launch: &Launch, context: &PodContext<'_>) -> Vec<(&'static str, String)> {
    let domain = context.cluster_domain;
    let name = files::host_name(context.pod, domain);
    let own = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let server = context
        .network
        .as_ref()
        .and_then(|network| Block::of(network.ip))
        .map(Block::name_server);
    let mut all = vec![
        ("hosts", files::hosts(context.pod, context.ip, domain)),
        ("hostname", format!("{name}\n")),
        (
            "resolv.conf",
            files::resolver(context.pod, server, domain, &own),
        ),
    ];
    let root = launch.rootfs.as_deref().unwrap_or(Path::new("/"));
    let lists = accounts(launch, &Accounts::read(root));
    let named = ["passwd", "group"].into_iter().zip(lists);
    all.extend(named.filter_map(|(name, list)| Some((name, list?))));
    all
}

/// Returns the passwd and group files with entries for the container's user, where they lack them.
fn accounts(launch: &Launch, names: &Accounts) -> [Option<String>; 2] {
    let own = || User {
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        groups: Vec::new(),
    };
    let user = launch.user.clone().unwrap_or_else(own);
    let home = launch.env.iter().find(|(name, _)| name == "HOME");
    let home = home.map_or("/", |(_, home)| home);
    names.with_missing_entries(user.uid, user.gid, home)
}
