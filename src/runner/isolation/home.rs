//! What a root is furnished with beside the host's directories: files of `/etc`, claims that its
//! users may write to, and the knowledge of what has to be hidden.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::{Surroundings, files};
use crate::model::address::Block;
use crate::runner::user::Names;
use crate::store::{Launch, User};

/// Lists the state directories of this machine, as far as they are known.
pub(super) fn state_directories() -> Vec<PathBuf> {
    let listed = std::fs::read_dir(crate::store::registry());
    let listed = listed.into_iter().flatten().flatten();
    let listed = listed.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let usual = home.map(|home| home.join(".local/state/petset"));
    // Anybody may have put anything on the list; nothing else is hidden for that.
    let real = |path: &PathBuf| path.is_absolute() && path.join("format").is_file();
    // A link would be followed on the host's side, to what is no pet's own.
    let resolved = |path: PathBuf| path.canonicalize().ok();
    let all = listed.chain(usual).filter(real);
    all.filter_map(resolved).collect()
}

/// Lets the users that servers drop to use fresh claims, as the provisioners of local clusters do. Who may come so far is decided by the
/// state directory; what a server has made its own stays as it is.
pub(super) fn open_claims(launch: &Launch, around: &Surroundings<'_>) {
    let volumes = around.layout.root().join("volumes");
    for mount in &launch.mounts {
        let Ok(found) = std::fs::metadata(&mount.path) else {
            continue;
        };
        let empty = std::fs::read_dir(&mount.path).is_ok_and(|mut it| it.next().is_none());
        let fresh =
            empty && found.uid() == crate::sys::own_ids().0 && found.mode() & 0o7777 == 0o700;
        if fresh && found.is_dir() && mount.path.starts_with(&volumes) {
            let open = std::fs::Permissions::from_mode(0o777);
            let _ = std::fs::set_permissions(&mount.path, open);
        }
    }
}

pub(super) fn etc(launch: &Launch, around: &Surroundings<'_>) -> Vec<(&'static str, String)> {
    let domain = around.cluster_domain;
    let name = files::host_name(around.pod, domain);
    let own = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let server = around
        .doors
        .as_ref()
        .and_then(|doors| Block::of(doors.ip))
        .map(Block::name_server);
    let mut all = vec![
        ("hosts", files::hosts(around.pod, around.ip, domain)),
        ("hostname", format!("{name}\n")),
        (
            "resolv.conf",
            files::resolver(around.pod, server, domain, &own),
        ),
    ];
    let root = launch.rootfs.as_deref().unwrap_or(Path::new("/"));
    let lists = introduction(launch, &Names::read(root));
    let named = ["passwd", "group"].into_iter().zip(lists);
    all.extend(named.filter_map(|(name, list)| Some((name, list?))));
    all
}

/// Returns the passwd and group that know who the container runs as, where its own do not.
fn introduction(launch: &Launch, names: &Names) -> [Option<String>; 2] {
    let own = || User {
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        groups: Vec::new(),
    };
    let user = launch.user.clone().unwrap_or_else(own);
    let home = launch.env.iter().find(|(name, _)| name == "HOME");
    let home = home.map_or("/", |(_, home)| home);
    names.introduce(user.uid, user.gid, home)
}
