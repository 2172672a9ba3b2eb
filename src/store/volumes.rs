//! Where the data of claims are: in directories that petset has made, or in volumes that users have
//! made. No other part knows this mapping.
//!
//! A volume is kept whole in `wanted/_cluster`, with the claim that it is bound to: which pet has
//! which data must outlast any crash. The volumes that stand for petset's own directories are kept
//! nowhere.

use std::io;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};

use super::files;
use super::kept::of_text;
use super::paths::Layout;
use super::salvage::read_if_whole;
use crate::model::binder::{has_claim, is_bound, is_provisioned};
use crate::model::kind::ObjectKind;
use crate::model::{Namespace, ObjectName};
use crate::problem::Problem;

/// What is behind a claim.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Backing {
    /// There is no claim of this name, or nothing is left of its data.
    Missing,
    /// It waits for a volume.
    Unbound,
    /// The directory that was made for it.
    Made(PathBuf),
    /// The volume that a user has made.
    Given(Box<PersistentVolume>),
    /// The volume of this name, which is gone or has another claim.
    Lost(String),
}

/// Returns what is behind the claim of a name.
pub(crate) fn backing_of(
    layout: &Layout,
    namespace: &Namespace,
    claim: &str,
) -> io::Result<Backing> {
    let record: Option<PersistentVolumeClaim> = read_if_whole(&layout.claim(namespace, claim))?;
    let dir = layout.volume(namespace, claim);
    let bound = record.as_ref().filter(|record| is_bound(record));
    if let Some(bound) = bound.filter(|bound| !is_provisioned(bound)) {
        let name = bound.spec.as_ref().and_then(|it| it.volume_name.clone());
        let name = name.unwrap_or_default();
        let volume = volume(layout, &name)?.filter(|volume| has_claim(volume, bound));
        return Ok(match volume {
            Some(volume) => Backing::Given(Box::new(volume)),
            None => Backing::Lost(name),
        });
    }
    // A claim of an earlier version has its directory, and no name of a volume.
    Ok(match (dir.is_dir(), record) {
        (true, _) => Backing::Made(dir),
        (false, Some(record)) if !is_bound(&record) => Backing::Unbound,
        (false, _) => Backing::Missing,
    })
}

/// Reads a volume that a user has made.
fn volume(layout: &Layout, name: &str) -> io::Result<Option<PersistentVolume>> {
    let Ok(name) = name.parse::<ObjectName>() else {
        return Ok(None);
    };
    let kind = ObjectKind::PersistentVolume;
    let path = layout.wanted_object(&Namespace::default(), kind, &name);
    let Some(text) = files::read(&path)? else {
        return Ok(None);
    };
    let read = of_text(&text, name.as_str());
    read.map(Some).map_err(|error| {
        let why = format!("{} is damaged: {error:#}", path.display());
        io::Error::new(io::ErrorKind::InvalidData, why)
    })
}

/// Returns the directory or file of a volume that a user has made.
///
/// # Errors
///
/// A place at or within the state directory is refused: what petset keeps there is no data of a
/// claim.
pub(crate) fn place_of(layout: &Layout, volume: &PersistentVolume) -> Result<PathBuf, Problem> {
    let name = volume.metadata.name.as_deref().unwrap_or_default();
    let spec = volume.spec.as_ref();
    let host = spec.and_then(|spec| Some(&spec.host_path.as_ref()?.path));
    let local = spec.and_then(|spec| Some(&spec.local.as_ref()?.path));
    let Some(path) = host.or(local) else {
        let message = format!("volume {name} is no directory of this machine");
        return Err(Problem::failed(message));
    };
    let path = PathBuf::from(path);
    let state = layout.root();
    let is_within = path.starts_with(state) || real(&path).starts_with(real(state));
    if is_within {
        let message = format!(
            "volume {name} is at {}, which belongs to the state directory {}",
            path.display(),
            state.display()
        );
        let hint = "give it a directory of its own, outside of the state directory";
        return Err(Problem::invalid(message).hint(hint));
    }
    Ok(path)
}

/// Returns a path without links, as far as it exists.
fn real(path: &Path) -> PathBuf {
    let there = path.ancestors().find_map(|part| {
        let rest = path.strip_prefix(part).ok()?;
        Some(std::fs::canonicalize(part).ok()?.join(rest))
    });
    there.unwrap_or_else(|| path.to_owned())
}
