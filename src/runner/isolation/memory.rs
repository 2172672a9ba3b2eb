//! The volumes of a pod that are in memory: file systems that are mounted in a mount namespace of
//! the sandbox, out of which its containers take them (V65). They end with the sandbox.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, Volume};
use rustix::fs::{Mode, OFlags};
use rustix::thread::move_into_link_name_space;

use super::message::{Message, WorkOutcome};
use super::step::{MountStep, c_path};
use crate::model::quantity::Quantity;
use crate::runner::user;
use crate::sorted::SortedMap;
use crate::store::PetLayout;
use crate::sys::{self, Fork};

/// Volumes in memory, opened, by the directories that they are mounted on.
pub(in crate::runner) type MemoryRoots = SortedMap<PathBuf, Arc<OwnedFd>>;

/// A volume in memory: the directory that it is mounted on, and the options of its mount.
#[derive(Debug)]
struct MemoryVolume {
    path: PathBuf,
    options: CString,
}

fn volumes<'a>(pod: &'a Pod, pet: &'a PetLayout) -> impl Iterator<Item = MemoryVolume> + 'a {
    let spec = pod.spec.as_ref();
    let all = spec.and_then(|spec| spec.volumes.as_ref());
    let all = all.into_iter().flatten();
    all.filter_map(move |volume| in_memory(volume, pod, pet))
}

fn in_memory(volume: &Volume, pod: &Pod, pet: &PetLayout) -> Option<MemoryVolume> {
    let source = volume.empty_dir.as_ref()?;
    if source.medium.as_deref() != Some("Memory") {
        return None;
    }
    let mut options = match user::fs_group(pod) {
        Some(group) => format!("mode=2777,gid={group}"),
        None => "mode=777".to_owned(),
    };
    let limit = source.size_limit.as_ref();
    let limit = limit.and_then(|limit| limit.0.parse::<Quantity>().ok());
    if let Some(limit) = limit.filter(|limit| limit.units() > 0) {
        options.push_str(&format!(",size={}", limit.units()));
    }
    Some(MemoryVolume {
        path: pet.volumes().join(&volume.name),
        options: CString::new(options).unwrap_or_default(),
    })
}

/// Opens a volume in memory: a process that enters these namespaces sends it.
pub(super) fn open(namespaces: &[Arc<OwnedFd>], place: &Path) -> io::Result<OwnedFd> {
    let (own, theirs) = sys::link()?;
    let path = c_path(place);
    let Some(_) = sys::fork(Fork::CHILD)? else {
        let mut all = namespaces.iter();
        let entered = all.try_for_each(|one| move_into_link_name_space(one.as_fd(), None));
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match entered.and_then(|()| rustix::fs::open(&path, flags, Mode::empty())) {
            Ok(root) => {
                // That nothing came is told by the end of this process.
                let _ = Message::Done.send_with([root.as_fd(), root.as_fd()], theirs.as_fd());
            }
            Err(error) => Message::failed(0, error).send(theirs.as_fd()),
        }
        sys::exit_now(0)
    };
    drop(theirs);
    let mut outcome = WorkOutcome::receive(&own)?;
    match outcome.failed {
        Some((_, error)) => Err(error),
        None => outcome
            .descriptors
            .pop()
            .ok_or_else(|| io::Error::other("nothing was sent")),
    }
}

/// Returns the directories of the volumes in memory.
pub(super) fn places(pod: &Pod, pet: &PetLayout) -> Vec<PathBuf> {
    volumes(pod, pet).map(|volume| volume.path).collect()
}

/// Returns the steps that mount them; none where there are none.
pub(super) fn steps(pod: &Pod, pet: &PetLayout) -> Vec<MountStep> {
    let mount = |MemoryVolume { path, options }| MountStep::Memory {
        at: c_path(path),
        options,
    };
    let mounts: Vec<MountStep> = volumes(pod, pet).map(mount).collect();
    match mounts.is_empty() {
        true => mounts,
        false => std::iter::once(MountStep::MakePrivate)
            .chain(mounts)
            .collect(),
    }
}
