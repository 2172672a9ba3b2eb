//! The volumes of a pod: directories of the state directory or of the host.
//!
//! Without isolation nothing can be mounted, so that a mount is a link below the container's root
//! directory, `data` for `/data`, and `readOnly` is noted and not enforced. [`prepare`] may be
//! called again at any time: it leaves an emptyDir as it is. Changed files are written beside the
//! old ones, and shown at once (V04).

mod context;
mod env_file;
mod mounts;
mod ownership;
mod payload;

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{HostPathVolumeSource, Volume};

use crate::model::pod::claim_of;
use crate::model::{ObjectName, label_fault};
use crate::problem::{Kind, Problem};
use crate::sorted::SortedMap;
use crate::store::{self, Backing, PetLayout, make_dir};

pub(super) use self::context::VolumeContext;
use self::payload::{Payload, StagedFiles};
#[cfg(test)]
use mounts::Mounted;
pub(super) use mounts::open_mounted;
pub(super) use ownership::ChownJob;

/// Says, as a kubelet does, that a volume could not be set up: the message of a `FailedMount`.
fn setup_failed(volume: &str, fault: impl fmt::Display) -> Problem {
    Problem::failed(format!(
        "MountVolume.SetUp failed for volume {volume:?} : {fault}"
    ))
}

/// The path of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
struct VolumePath {
    path: PathBuf,
    sort: VolumeKind,
    read_only: bool,
    /// Whether it is a path of the host, whose owner and mode petset never changes.
    of_host: bool,
}

impl VolumePath {
    const fn kept(path: PathBuf, read_only: bool) -> Self {
        let sort = VolumeKind::Kept;
        Self {
            path,
            sort,
            read_only,
            of_host: false,
        }
    }
}

/// The kind of a volume, as far as mounts depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum VolumeKind {
    /// Lives and dies with the pod, and belongs to it alone.
    Empty,
    /// Its files are written by petset.
    Written,
    /// Belongs to the user: a claim or a directory of the host.
    Kept,
}

/// The volumes of a pod, all of them there.
#[derive(Debug)]
pub(crate) struct PreparedVolumes {
    places: SortedMap<String, VolumePath>,
    pet: PetLayout,
    /// Whether they are really mounted, rather than found by links.
    pub(crate) mounted: bool,
    /// Content that is to be shown once it belongs to whom it shall.
    staged: Vec<StagedFiles>,
    /// Warnings about what was left out.
    pub(crate) warnings: Vec<String>,
}

/// Makes the volumes of a pod.
pub(super) fn prepare(home: &VolumeContext<'_>) -> Result<PreparedVolumes, Problem> {
    let mut volumes = PreparedVolumes {
        places: SortedMap::new(),
        pet: home.layout.pet(home.namespace, home.pod_name()),
        mounted: false,
        staged: Vec::new(),
        warnings: Vec::new(),
    };
    for volume in home.volumes() {
        refuse_unbound_claim(home, volume)?;
    }
    for volume in home.volumes() {
        let place = volumes.place(volume, home);
        let place = place.map_err(|fault| setup_failed(&volume.name, fault))?;
        volumes.places.insert(volume.name.clone(), place);
    }
    Ok(volumes)
}

impl PreparedVolumes {
    fn place(&mut self, volume: &Volume, home: &VolumeContext<'_>) -> Result<VolumePath, Problem> {
        if let Some(fault) = label_fault(&volume.name) {
            return Err(fault.into());
        }
        if let Some(source) = unsupported(volume) {
            return Err(Problem::failed(format!(
                "petset has no volumes of the kind {source}"
            )));
        }
        if let Some(claim) = claim_of(home.pod_name(), volume) {
            let named = volume.persistent_volume_claim.as_ref();
            let read_only = named.is_some_and(|claim| claim.read_only == Some(true));
            return claim_place(home, &claim, read_only);
        }
        if let Some(source) = &volume.host_path {
            let place = VolumePath::kept(host_path(source)?, false);
            return Ok(VolumePath {
                of_host: true,
                ..place
            });
        }
        let path = self.pet.volumes().join(&volume.name);
        let sort = self.fill(&path, payload::of(volume, home)?);
        let sort = sort.map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(VolumePath {
            path,
            sort,
            read_only: sort == VolumeKind::Written,
            of_host: false,
        })
    }

    /// Makes a volume that lives with the pod.
    fn fill(&mut self, path: &Path, payload: Option<Payload>) -> io::Result<VolumeKind> {
        let Some(payload) = payload else {
            make_empty(path)?;
            return Ok(VolumeKind::Empty);
        };
        self.warnings.extend(payload.warnings);
        self.staged.extend(payload::stage(path, payload.files)?);
        Ok(VolumeKind::Written)
    }

    /// Writes the files again that petset writes, as far as they have changed; returns what could
    /// not be: such a volume stays as it is.
    pub(super) fn refresh(&mut self, home: &VolumeContext<'_>) -> Vec<Problem> {
        let mut faults = Vec::new();
        for volume in home.volumes() {
            let place = self.places.get(&volume.name);
            if place.is_none_or(|place| place.sort != VolumeKind::Written) {
                continue;
            }
            if let Err(fault) = self.place(volume, home) {
                faults.push(setup_failed(&volume.name, fault));
            }
        }
        self.warnings.clear();
        faults
    }

    /// Returns whether some content is not shown yet.
    pub(crate) const fn is_staged(&self) -> bool {
        !self.staged.is_empty()
    }

    /// Shows the content that was written, each volume in one step.
    pub(crate) fn show(&mut self) -> Result<(), Problem> {
        for staged in std::mem::take(&mut self.staged) {
            let shown = staged.show();
            shown.map_err(|error| format!("showing the files of a volume: {error}"))?;
        }
        Ok(())
    }
}

/// Says, as a scheduler does, that a pod cannot be placed as long as a claim of it is missing, or
/// has no volume.
fn refuse_unbound_claim(home: &VolumeContext<'_>, volume: &Volume) -> Result<(), Problem> {
    let Some(name) = claim_of(home.pod_name(), volume) else {
        return Ok(());
    };
    let message = match backing(home, &name)? {
        Backing::Missing => format!("persistentvolumeclaim {name:?} not found"),
        Backing::Unbound => "pod has unbound immediate PersistentVolumeClaims".to_owned(),
        Backing::Lost(volume) => {
            format!(
                "persistentvolumeclaim {name:?} bound to non-existent persistentvolume {volume:?}"
            )
        }
        Backing::Made(_) | Backing::Given(_) => return Ok(()),
    };
    Err(Problem::new(Kind::NotFound, message))
}

fn backing(home: &VolumeContext<'_>, name: &str) -> Result<Backing, Problem> {
    let claim: ObjectName = name.parse().map_err(|fault| format!("{fault}"))?;
    let found = store::backing_of(home.layout, home.namespace, claim.as_str());
    found.map_err(|error| format!("reading the claim {name}: {error}").into())
}

/// Returns where the data of a claim are: in the directory that petset has made for it, or at the
/// place of its volume.
fn claim_place(
    home: &VolumeContext<'_>,
    name: &str,
    read_only: bool,
) -> Result<VolumePath, Problem> {
    let volume = match backing(home, name)? {
        Backing::Made(path) => return Ok(VolumePath::kept(path, read_only)),
        Backing::Given(volume) => volume,
        Backing::Missing | Backing::Unbound | Backing::Lost(_) => {
            let message = format!("persistentvolumeclaim {name:?} not found");
            return Err(Problem::failed(message));
        }
    };
    let path = store::place_of(home.layout, &volume)?;
    let spec = volume.spec.unwrap_or_default();
    let path = match &spec.host_path {
        Some(source) => host_path(source)?,
        None if path.exists() => path,
        None => {
            let shown = path.display();
            let message = format!("path {shown:?} does not exist");
            return Err(Problem::failed(message));
        }
    };
    Ok(VolumePath {
        of_host: true,
        ..VolumePath::kept(path, read_only)
    })
}

/// Makes an emptyDir: every user may write to it (V01), but the state directory lets none pass.
fn make_empty(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    make_dir(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o777))
}

/// Checks or makes a path of the host, by its type (V05). Without a type a missing path becomes a
/// directory, as containerd and CRI-O make it.
fn host_path(source: &HostPathVolumeSource) -> Result<PathBuf, Problem> {
    let path = PathBuf::from(&source.path);
    let shown = |error: io::Error| format!("{}: {error}", path.display());
    let kind = source.type_.as_deref().unwrap_or_default();
    match kind {
        "" | "DirectoryOrCreate" if !path.exists() => {
            let mut builder = DirBuilder::new();
            let made = builder.recursive(true).mode(0o755).create(&path);
            made.map_err(shown)?;
        }
        "FileOrCreate" if !path.exists() => {
            let mut options = OpenOptions::new();
            let made: io::Result<File> = options.write(true).create(true).mode(0o644).open(&path);
            made.map_err(shown)?;
        }
        _ => {}
    }
    let found = fs::metadata(&path).map(|found| found.file_type()).ok();
    let is = |test: &dyn Fn(fs::FileType) -> bool| found.is_some_and(test);
    let (fits, wanted) = match kind {
        "" => (true, ""),
        "Directory" | "DirectoryOrCreate" => (is(&|kind| kind.is_dir()), "a directory"),
        "File" | "FileOrCreate" => (is(&|kind| kind.is_file()), "a file"),
        "Socket" => (is(&|kind| kind.is_socket()), "a socket file"),
        "CharDevice" => (is(&|kind| kind.is_char_device()), "a character device"),
        "BlockDevice" => (is(&|kind| kind.is_block_device()), "a block device"),
        _ => {
            return Err(Problem::failed(format!(
                "{kind:?} is an invalid volume type"
            )));
        }
    };
    if fits {
        return Ok(path);
    }
    let shown = path.display();
    Err(Problem::failed(format!(
        "hostPath type check failed: {shown} is not {wanted}"
    )))
}

/// Returns the source of a volume that petset does not support.
fn unsupported(volume: &Volume) -> Option<&'static str> {
    // Without `..`, so that a new kind of volume does not compile until it is listed here.
    let Volume {
        name: _,
        config_map: _,
        downward_api: _,
        empty_dir: _,
        ephemeral: _,
        host_path: _,
        persistent_volume_claim: _,
        projected: _,
        secret: _,
        aws_elastic_block_store,
        azure_disk,
        azure_file,
        cephfs,
        cinder,
        csi,
        fc,
        flex_volume,
        flocker,
        gce_persistent_disk,
        git_repo,
        glusterfs,
        image,
        iscsi,
        nfs,
        photon_persistent_disk,
        portworx_volume,
        quobyte,
        rbd,
        scale_io,
        storageos,
        vsphere_volume,
    } = volume;
    let sources = [
        ("awsElasticBlockStore", aws_elastic_block_store.is_some()),
        ("azureDisk", azure_disk.is_some()),
        ("azureFile", azure_file.is_some()),
        ("cephfs", cephfs.is_some()),
        ("cinder", cinder.is_some()),
        ("csi", csi.is_some()),
        ("fc", fc.is_some()),
        ("flexVolume", flex_volume.is_some()),
        ("flocker", flocker.is_some()),
        ("gcePersistentDisk", gce_persistent_disk.is_some()),
        ("gitRepo", git_repo.is_some()),
        ("glusterfs", glusterfs.is_some()),
        ("image", image.is_some()),
        ("iscsi", iscsi.is_some()),
        ("nfs", nfs.is_some()),
        ("photonPersistentDisk", photon_persistent_disk.is_some()),
        ("portworxVolume", portworx_volume.is_some()),
        ("quobyte", quobyte.is_some()),
        ("rbd", rbd.is_some()),
        ("scaleIO", scale_io.is_some()),
        ("storageos", storageos.is_some()),
        ("vsphereVolume", vsphere_volume.is_some()),
    ];
    let mut given = sources.into_iter().filter(|(_, given)| *given);
    given.next().map(|(name, _)| name)
}

#[cfg(test)]
mod tests;
