//! The pets that `petset stop` has ended. Nothing is left of them but their logs and volumes: they
//! are shown as their sets will start them again.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Pod, PodStatus};

use super::session::{Session, say};
use crate::model::printer::STOPPED;
use crate::model::{Namespace, ObjectName, PetName, Set};
use crate::problem::Result;

/// Returns the pet of this name, where everything is stopped and the pet has run before.
pub(crate) fn find(session: &Session, namespace: &Namespace, name: &str) -> Result<Option<Pod>> {
    let left = session.store.layout().pet(namespace, name);
    if !session.store.is_stopped() || left.pod().exists() || !left.root().exists() {
        return Ok(None);
    }
    let Ok(pet) = name.parse::<PetName>() else {
        return Ok(None);
    };
    let set: ObjectName = pet.set().as_str().parse()?;
    let set: Option<StatefulSet> = session.store.find(namespace, &set)?;
    let Some(set) = set.filter(|set| set.metadata.deletion_timestamp.is_none()) else {
        return Ok(None);
    };
    let want = Set::of(&set)?;
    Ok(want
        .has(pet.ordinal())
        .then(|| shown(&set, &want, namespace, name)))
}

/// Returns a pet of a set as it will be, marked as stopped. It has no uid: it does not exist now.
fn shown(set: &StatefulSet, want: &Set, namespace: &Namespace, name: &str) -> Pod {
    let template = set.spec.clone().unwrap_or_default().template;
    let mut metadata = template.metadata.unwrap_or_default();
    metadata.name = Some(name.to_owned());
    metadata.namespace = Some(namespace.to_string());
    metadata.owner_references = Some(vec![want.owner_reference()]);
    let status = PodStatus {
        phase: Some("Pending".to_owned()),
        reason: Some(STOPPED.to_owned()),
        message: Some("petset start runs it again".to_owned()),
        ..PodStatus::default()
    };
    Pod {
        metadata,
        spec: template.spec,
        status: Some(status),
    }
}

/// Returns whether a pod is one that [`find`] has returned.
pub(crate) fn is_stopped(pod: &Pod) -> bool {
    let reason = pod.status.as_ref().and_then(|it| it.reason.as_deref());
    pod.metadata.uid.is_none() && reason == Some(STOPPED)
}

/// Says how everything starts again, where it is stopped.
pub(crate) fn say_how_to_start(session: &Session) {
    if session.store.is_stopped() {
        say("Everything is stopped: start it with `petset start`.");
    }
}
