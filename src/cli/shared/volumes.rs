//! The volumes of a namespace, and the sets and pets that use them.

mod claims;
mod removal;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Volume as PodVolume};

use super::session::Session;
use crate::model::pod::claims_of;
use crate::model::{Namespace, Ordinal, Set};
use crate::problem::{Problem, Result};
use crate::sorted::SortedSet;
use crate::store::salvage::read_if_whole;
use crate::store::{self, Backing, SET_ANNOTATION, names_in};
pub(crate) use claims::{OwnClaims, note_claim_users, say_found_again, warn_of_shared};
pub(crate) use removal::{Removal, remove_volumes};

/// One volume: a claim, and the directory behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Volume {
    pub(crate) name: String,
    /// The set it was created for; `None` for a claim without a set.
    pub(crate) set: Option<String>,
    pub(crate) status: VolumeStatus,
    /// The sets that exist now and have it, by the name of a template or by a mount.
    pub(crate) sets: Vec<String>,
    /// The size that its claim requests, in Kubernetes notation.
    pub(crate) requested: Option<String>,
    /// Where its data are; `None` as long as it has no volume.
    pub(crate) path: Option<PathBuf>,
    /// Whether petset has made its directory, which it may remove then.
    pub(crate) is_own: bool,
}

/// Whether a volume is in use, wanted or left over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum VolumeStatus {
    /// These pets use it, with commas between them.
    InUse(String),
    /// The set wants it for this pet, which does not exist now.
    Bound(String),
    /// The set was scaled down below it.
    Kept,
    /// The set is gone, or there never was one.
    Unbound,
}

impl VolumeStatus {
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::InUse(_) => "InUse",
            Self::Bound(_) => "Bound",
            Self::Kept => "Kept",
            Self::Unbound => "Unbound",
        }
    }

    pub(crate) fn pet(&self) -> Option<&str> {
        match self {
            Self::InUse(pet) => Some(pet),
            Self::Bound(_) | Self::Kept | Self::Unbound => None,
        }
    }
}

/// All volumes of a namespace, ordered by name and ordinal.
#[derive(Debug)]
pub(crate) struct VolumeList {
    pub(crate) all: Vec<Volume>,
}

impl VolumeList {
    /// Reads the current claims, directories, sets and pets.
    pub(crate) fn of(session: &Session) -> Result<Self> {
        let (layout, namespace) = (session.store.layout(), &session.namespace);
        let claims = layout.claims(namespace);
        let records =
            names_in(&claims).with_context(|| format!("cannot list {}", claims.display()))?;
        let dir = layout.volumes(namespace);
        let mut names = names_in(&dir).with_context(|| format!("cannot list {}", dir.display()))?;
        let recorded = records.iter().filter_map(|file| file.strip_suffix(".json"));
        names.extend(recorded.map(str::to_owned));
        names.sort_by_cached_key(|name| in_order(name));
        names.dedup();
        let sets: Vec<StatefulSet> = session.readable(namespace)?;
        let sets: Vec<(Set, Vec<PodVolume>)> = sets
            .iter()
            .map(|set| Ok((Set::of(set)?, mounts_of(set))))
            .collect::<Result<_>>()?;
        let users = users(session)?;
        let volume = |name: String| -> Result<Volume> {
            let claim: Option<PersistentVolumeClaim> =
                read_if_whole(&layout.claim(namespace, &name))?;
            let backing = store::backing_of(layout, namespace, &name)?;
            let is_own = matches!(backing, Backing::Made(_) | Backing::Missing);
            let path = match backing {
                Backing::Made(path) => Some(path),
                Backing::Missing => Some(layout.volume(namespace, &name)),
                Backing::Given(volume) => store::place_of(layout, &volume).ok(),
                Backing::Unbound | Backing::Lost(_) => None,
            };
            Ok(Volume {
                path,
                is_own,
                set: set_of(&name, claim.as_ref(), &sets),
                status: status_of(&name, &users, &sets),
                sets: sets_with(&name, &sets),
                requested: claim.as_ref().and_then(requested),
                name,
            })
        };
        let all = names.into_iter().map(volume).collect::<Result<_>>()?;
        Ok(Self { all })
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Volume> {
        self.all.iter().find(|volume| volume.name == name)
    }

    /// Returns the volume of this name, which has to exist.
    pub(crate) fn expect(&self, session: &Session, name: &str) -> Result<&Volume, Problem> {
        self.find(name).ok_or_else(|| {
            let mut problem = session.not_found("persistentvolumeclaims", name);
            problem.hints = vec!["see what exists with `petset volume ls`".to_owned()];
            problem
        })
    }
}

/// Sorts `data-web-2` before `data-web-10`.
fn in_order(name: &str) -> (String, u64) {
    let stem = name.trim_end_matches(|digit: char| digit.is_ascii_digit());
    (stem.to_owned(), name[stem.len()..].parse().unwrap_or(0))
}

fn mounts_of(set: &StatefulSet) -> Vec<PodVolume> {
    let spec = set
        .spec
        .as_ref()
        .and_then(|spec| spec.template.spec.as_ref());
    spec.and_then(|spec| spec.volumes.clone())
        .unwrap_or_default()
}

/// Returns whether one of these volumes of a template names the claim.
fn mount(volumes: &[PodVolume], claim: &str) -> bool {
    let mut named = volumes
        .iter()
        .filter_map(|it| it.persistent_volume_claim.as_ref());
    named.any(|named| named.claim_name == claim)
}

/// Returns the pods there are, and those that are to come.
fn pods_and_those_to_come(session: &Session, namespace: &Namespace) -> Result<Vec<Pod>> {
    let layout = session.store.layout();
    let mut pods = Vec::new();
    for name in names_in(&layout.pets_of(namespace)).context("cannot list the pets")? {
        pods.extend(store::pod_record(&layout.pet(namespace, &name)).unwrap_or_default());
    }
    let there: SortedSet<Option<String>> = pods.iter().map(name_of).collect();
    let mut to_come: Vec<Pod> = session.readable(namespace)?;
    to_come
        .retain(|pod| pod.metadata.deletion_timestamp.is_none() && !there.contains(&name_of(pod)));
    pods.append(&mut to_come);
    Ok(pods)
}

fn name_of(pod: &Pod) -> Option<String> {
    pod.metadata.name.clone()
}

/// Returns the pets and pods that use claims, by claim.
fn users(session: &Session) -> Result<BTreeMap<String, String>> {
    let pods = pods_and_those_to_come(session, &session.namespace)?;
    let mut users: BTreeMap<String, String> = BTreeMap::new();
    for pod in &pods {
        let name = name_of(pod).unwrap_or_default();
        let claims: SortedSet<String> = claims_of(pod).collect();
        for claim in claims {
            let all = users.entry(claim).or_default();
            let comma = if all.is_empty() { "" } else { ", " };
            *all = format!("{all}{comma}{name}");
        }
    }
    Ok(users)
}

fn sets_with(name: &str, sets: &[(Set, Vec<PodVolume>)]) -> Vec<String> {
    let having = sets
        .iter()
        .filter(|(set, volumes)| set.is_own_claim(name) || mount(volumes, name));
    having.map(|(set, _)| set.name.to_string()).collect()
}

fn set_of(
    name: &str,
    claim: Option<&PersistentVolumeClaim>,
    sets: &[(Set, Vec<PodVolume>)],
) -> Option<String> {
    let notes = claim.and_then(|claim| claim.metadata.annotations.as_ref());
    let noted = notes.and_then(|notes| notes.get(SET_ANNOTATION).cloned());
    let own = || sets.iter().find(|(set, _)| set.is_own_claim(name));
    noted.or_else(|| own().map(|(set, _)| set.name.to_string()))
}

fn status_of(
    name: &str,
    users: &BTreeMap<String, String>,
    sets: &[(Set, Vec<PodVolume>)],
) -> VolumeStatus {
    if let Some(pet) = users.get(name) {
        return VolumeStatus::InUse(pet.clone());
    }
    let mut kept = VolumeStatus::Unbound;
    for (set, volumes) in sets {
        if mount(volumes, name) {
            return VolumeStatus::Bound(set.name.to_string());
        }
        if !set.is_own_claim(name) {
            continue;
        }
        let ordinal = name
            .rsplit('-')
            .next()
            .and_then(|ordinal| ordinal.parse().ok());
        match ordinal.map(Ordinal) {
            Some(ordinal) if set.has(ordinal) && set.deletion.is_none() => {
                return VolumeStatus::Bound(set.pet_name(ordinal));
            }
            Some(_) | None => kept = VolumeStatus::Kept,
        }
    }
    kept
}

fn requested(claim: &PersistentVolumeClaim) -> Option<String> {
    let resources = claim.spec.as_ref()?.resources.as_ref()?;
    Some(resources.requests.as_ref()?.get("storage")?.0.clone())
}

#[cfg(test)]
mod tests {
    use crate::store::size_of;

    #[test]
    fn a_volume_takes_what_its_files_take() {
        let dir = tempfile::tempdir().unwrap();
        let empty = size_of(dir.path());
        std::fs::write(dir.path().join("file"), vec![1; 100_000]).unwrap();
        assert!(size_of(dir.path()) >= empty + 98_304);
        assert_eq!(size_of(&dir.path().join("nope")), 0);
    }
}
