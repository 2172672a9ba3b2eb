//! Volumes that users make, and what stands for petset's own directories.

use std::path::PathBuf;
use std::time::Instant;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};

use super::metadata;
use super::session::{Session, say};
use super::waiting::WaitArgs;
use super::watcher::Watcher;
use crate::manifest::check_claim_update;
use crate::model::binder::{VOLUME_PROTECTION, is_bound, is_provisioned, provisioned_volume};
use crate::model::kind::ObjectKind;
use crate::model::{Namespace, ObjectName, ObjectRef};
use crate::problem::{Kind, Problem, Result};
use crate::sorted::sort_by;
use crate::store::{self, Backing, Edit, backing_of};

impl Session {
    /// Returns every volume: those that users have made, and those that stand for the directories
    /// of claims.
    pub(crate) fn volumes(&self) -> Result<Vec<PersistentVolume>> {
        let mut all: Vec<PersistentVolume> = self.readable(&Namespace::default())?;
        for namespace in self.namespaces()? {
            for claim in self.items(ObjectKind::PersistentVolumeClaim, &namespace)? {
                if let crate::model::object::Object::PersistentVolumeClaim(claim) = claim {
                    all.extend(self.own_volume(&namespace, &claim));
                }
            }
        }
        sort_by(&mut all, |one, other| {
            one.metadata.name.cmp(&other.metadata.name)
        });
        Ok(all)
    }

    fn own_volume(
        &self,
        namespace: &Namespace,
        claim: &PersistentVolumeClaim,
    ) -> Option<PersistentVolume> {
        if !is_bound(claim) || !is_provisioned(claim) {
            return None;
        }
        let name = claim.metadata.name.as_deref()?;
        let path = self.store.layout().volume(namespace, name);
        let reclaim = self.store.settings().reclaim_policy.word();
        Some(provisioned_volume(
            claim,
            &path.display().to_string(),
            reclaim,
        ))
    }

    /// Returns the volume of this name.
    pub(crate) fn volume(&self, name: &ObjectName) -> Result<Option<PersistentVolume>> {
        if let Some(found) = self.store.find(&Namespace::default(), name)? {
            return Ok(Some(found));
        }
        if !name.as_str().starts_with("pvc-") {
            return Ok(None);
        }
        let named = |it: &PersistentVolume| it.metadata.name.as_deref() == Some(name.as_str());
        Ok(self.volumes()?.into_iter().find(named))
    }
}

/// Checks a volume of a manifest, and gives it what the API server would.
pub(crate) fn complete(session: &Session, volume: &mut PersistentVolume) -> Result<(), Problem> {
    store::place_of(session.store.layout(), volume)?;
    volume.metadata.finalizers = Some(vec![VOLUME_PROTECTION.to_owned()]);
    Ok(())
}

/// Refuses what may not change of a claim, as it is now with what it was given since (PV25).
pub(crate) fn check_claim(session: &Session, new: &PersistentVolumeClaim) -> Result<()> {
    let ObjectRef { namespace, name } = ObjectRef::of(&new.metadata)?;
    let Some(mut old) = session.claim(&namespace, &name)? else {
        return Ok(());
    };
    let mut new = new.clone();
    // It was given both, or neither is asked for.
    if let (Some(new), Some(old)) = (&mut new.spec, &mut old.spec) {
        let given = new.volume_name.take().or_else(|| old.volume_name.clone());
        new.volume_name = given;
        let class = new.storage_class_name.take();
        new.storage_class_name = class.or_else(|| old.storage_class_name.clone());
        if new.volume_mode.is_none() || old.volume_mode.is_none() {
            old.volume_mode.clone_from(&new.volume_mode);
        }
    }
    new.metadata.uid.clone_from(&old.metadata.uid);
    Ok(check_claim_update(&old, &new)?)
}

/// Returns whether the directory of a claim is petset's own, or nothing is known of it.
pub(crate) fn is_own(session: &Session, claim: &ObjectName) -> Result<bool> {
    let layout = session.store.layout();
    Ok(
        match backing_of(layout, &session.namespace, claim.as_str())? {
            Backing::Made(_) | Backing::Missing => true,
            Backing::Unbound | Backing::Given(_) | Backing::Lost(_) => false,
        },
    )
}

/// Has claims without a directory of petset's go: at once, or with the last pod that uses one.
pub(crate) fn release_claims(
    session: &Session,
    names: &[ObjectName],
    wait: &WaitArgs,
) -> Result<()> {
    let namespace = &session.namespace;
    session.edit("delete", |edit| {
        for name in names {
            if let Some(mut claim) = session.claim(namespace, name)? {
                claim.metadata.namespace = Some(namespace.to_string());
                metadata::mark_deleted(&mut claim.metadata, None);
                edit.put(&claim)?;
            }
        }
        Ok(())
    })?;
    let layout = session.store.layout();
    let places = [
        layout.claims(namespace),
        layout.wanted_kind(namespace, ObjectKind::PersistentVolumeClaim),
    ];
    for name in names {
        wait_until_gone(wait, &places, || {
            let there = session.claim(namespace, name)?.is_some();
            Ok(there.then(|| format!("pods still use persistentvolumeclaim/{name}")))
        })?;
    }
    Ok(())
}

/// Marks volumes for deletion, which go when no claim is bound to them (PV22).
pub(crate) fn release_volumes(
    session: &Session,
    names: &[ObjectName],
    wait: &WaitArgs,
) -> Result<()> {
    let any = Namespace::default();
    session.edit("delete", |edit| {
        for name in names {
            mark_volume(edit, &any, name)?;
        }
        Ok(())
    })?;
    let places = [session
        .store
        .layout()
        .wanted_kind(&any, ObjectKind::PersistentVolume)];
    for name in names {
        wait_until_gone(wait, &places, || {
            let found: Option<PersistentVolume> = session.store.find(&any, name)?;
            Ok(found.map(|it| {
                let claim = claim_of(&it).unwrap_or_default();
                format!("persistentvolume/{name} is bound to {claim}, and goes when that is gone")
            }))
        })?;
    }
    Ok(())
}

fn mark_volume(edit: &mut Edit<'_>, any: &Namespace, name: &ObjectName) -> Result<()> {
    let found: Option<PersistentVolume> = edit.find(any, name)?;
    let Some(mut volume) = found else {
        let message = format!(
            "persistentvolumes {:?} stands for a directory",
            name.as_str()
        );
        let hint = "it goes with its claim: petset delete pvc";
        return Err(Problem::new(Kind::Conflict, message).hint(hint).into());
    };
    metadata::mark_deleted(&mut volume.metadata, None);
    edit.put(&volume)
}

/// Returns the claim that a volume is bound to or reserved for, as `default/data-web-0`.
pub(crate) fn claim_of(volume: &PersistentVolume) -> Option<String> {
    let claim = volume.spec.as_ref()?.claim_ref.as_ref()?;
    let namespace = claim.namespace.as_deref().unwrap_or_default();
    Some(format!(
        "{namespace}/{}",
        claim.name.as_deref().unwrap_or_default()
    ))
}

/// Returns whether a volume has a claim that is still there.
pub(crate) fn is_in_use(volume: &PersistentVolume) -> bool {
    let status = volume.status.as_ref();
    status.and_then(|status| status.phase.as_deref()) == Some("Bound")
}

/// Waits until something is gone, unless the user asked not to; says what it waits for, once.
fn wait_until_gone(
    args: &WaitArgs,
    places: &[PathBuf],
    waits_for: impl Fn() -> Result<Option<String>>,
) -> Result<()> {
    let Some(timeout) = args.allowed() else {
        return Ok(());
    };
    let deadline = Instant::now() + timeout;
    let mut watcher = Watcher::new()?;
    let mut told = false;
    loop {
        watcher.watch(places)?;
        let Some(waiting) = waits_for()? else {
            return Ok(());
        };
        let now = Instant::now();
        if now >= deadline {
            let message = format!("timed out: {waiting}");
            let hint = "it goes by itself later; allow more time with --timeout";
            return Err(Problem::new(Kind::TimedOut, message).hint(hint).into());
        }
        let soon = now + SOON;
        if !told && !watcher.wait(Some(soon.min(deadline)))? {
            say(format!("Waiting: {waiting}."));
            told = true;
        } else if told {
            watcher.wait(Some(deadline))?;
        }
    }
}

/// What takes longer is told.
const SOON: std::time::Duration = std::time::Duration::from_millis(500);
